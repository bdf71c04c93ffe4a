Objects are applied by the client and by the server.
$ kubectl create namespace applied
$ kubectl config set-context --current --namespace=applied
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "1", b: "2"}}
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "1", b: "2"}}
$ kubectl diff -f - | grep '^[-+ ] '
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "2"}}
$ kubectl apply -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {set: a}}, data: {a: "2"}}
$ kubectl get cm one -o yaml
$ kubectl apply view-last-applied cm one
$ kubectl apply --server-side -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {a: "1"}}
$ kubectl apply --server-side --field-manager=other -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {a: "2"}}
$ kubectl apply --server-side --field-manager=other --force-conflicts -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {a: "2"}}
$ kubectl get cm two -o yaml --show-managed-fields
$ kubectl apply --server-side --dry-run=server -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {a: "1"}}
$ kubectl apply --prune -l set=a -f - --prune-allowlist=core/v1/ConfigMap
  {apiVersion: v1, kind: ConfigMap, metadata: {name: four, labels: {set: a}}, data: {a: "1"}}
$ kubectl get cm -o name
$ kubectl create -f - -o name
  {apiVersion: v1, kind: ConfigMap, metadata: {generateName: made-}}
$ kubectl create -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, dat: {a: "1"}}
$ kubectl create --validate=warn -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: warned}, dat: {a: "1"}}
$ kubectl create --validate=ignore -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: ignored}, dat: {a: "1"}}
$ kubectl create -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: Not_Good}}
$ kubectl create -f -
  {apiVersion: v1, kind: Nothing, metadata: {name: x}}
$ kubectl create -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {}}
$ kubectl create -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: elsewhere}}
$ kubectl create -n nowhere configmap x
$ kubectl replace -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: four}, data: {b: "2"}}
$ kubectl replace -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: none}, data: {b: "2"}}
$ kubectl replace -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: four, resourceVersion: "1"}, data: {b: "2"}}
$ kubectl replace --force -f -
  {apiVersion: v1, kind: ConfigMap, metadata: {name: four}, data: {c: "3"}}
$ kubectl delete cm -l set=a
$ kubectl delete cm two --now
$ kubectl delete cm none --ignore-not-found
