Objects that are applied by the client and by the server, and stay while servers are killed.
$ kubectl create namespace kept-applied
$ kubectl config set-context --current --namespace=kept-applied
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "1"}}
$ kubectl apply --server-side --field-manager=m01 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k01: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "2"}}
$ kubectl apply --server-side --field-manager=m02 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k02: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "3"}}
$ kubectl apply --server-side --field-manager=m03 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k03: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "4"}}
$ kubectl apply --server-side --field-manager=m04 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k04: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "5"}}
$ kubectl apply --server-side --field-manager=m05 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k05: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "6"}}
$ kubectl apply --server-side --field-manager=m06 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k06: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "7"}}
$ kubectl apply --server-side --field-manager=m07 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k07: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "8"}}
$ kubectl apply --server-side --field-manager=m08 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k08: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "9"}}
$ kubectl apply --server-side --field-manager=m09 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k09: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "10"}}
$ kubectl apply --server-side --field-manager=m10 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k10: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "11"}}
$ kubectl apply --server-side --field-manager=m11 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k11: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "12"}}
$ kubectl apply --server-side --field-manager=m12 -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k12: "1"}}
$ kubectl get configmaps one two -o yaml
$ kubectl apply --server-side --field-manager=other -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k01: "2"}}
$ kubectl apply --server-side --field-manager=other --force-conflicts -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {k01: "2"}}
$ kubectl apply -f -
  {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: keepers.kept.example}, spec: {group: kept.example, scope: Namespaced, names: {plural: keepers, singular: keeper, kind: Keeper, listKind: KeeperList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer, default: 3}}}}}}}]}}
$ kubectl wait crd/keepers.kept.example --for=condition=Established --timeout=30s
$ kubectl apply -f -
  {apiVersion: kept.example/v1, kind: Keeper, metadata: {name: first}, spec: {}}
$ kubectl apply --server-side -f -
  {apiVersion: kept.example/v1, kind: Keeper, metadata: {name: second}, spec: {size: 7}}
$ kubectl get keepers.kept.example -o yaml
$ kubectl get configmaps,keepers.kept.example -o yaml --show-managed-fields
