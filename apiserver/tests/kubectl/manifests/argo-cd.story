Argo CD's whole installation, and applications that keep or break their schema.
$ kubectl create namespace argocd
$ kubectl config set-context --current --namespace=argocd
$ kubectl apply --server-side -f manifests/argo-cd/install.yaml
$ kubectl wait --for=condition=Established --timeout=20s crd applications.argoproj.io applicationsets.argoproj.io appprojects.argoproj.io
$ kubectl diff --server-side -f manifests/argo-cd/install.yaml
$ kubectl diff -f manifests/argo-cd/install.yaml
$ kubectl create -f manifests/argo-cd/install.yaml 2>&1 | grep -v applicationsets.argoproj.io
$ kubectl api-resources --api-group=argoproj.io
$ kubectl get deploy,sts,svc,sa,netpol,role,rolebinding,cm,secret
$ kubectl get deploy argocd-server -o yaml
$ kubectl explain application.spec.syncPolicy --recursive
$ kubectl explain applicationset --recursive | wc -l
$ kubectl apply -f -
  apiVersion: argoproj.io/v1alpha1
  kind: AppProject
  metadata: {name: team}
  spec: {sourceRepos: ["*"], destinations: [{namespace: team-*, server: "*"}], roles: [{name: deploy, policies: ["p, proj:team:deploy, applications, sync, team/*, allow"]}]}
$ kubectl get appproject team -o yaml
$ kubectl apply -f -
  apiVersion: argoproj.io/v1alpha1
  kind: Application
  metadata: {name: shop, finalizers: [resources-finalizer.argocd.argoproj.io]}
  spec:
    project: team
    source: {repoURL: "https://example.com/shop.git", path: deploy, targetRevision: main, helm: {parameters: [{name: image.tag, value: "1.2"}], valuesObject: {replicas: 2, nested: {free: [1, two]}}}}
    destination: {server: "https://kubernetes.default.svc", namespace: team-shop}
    syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}
$ kubectl get application shop -o yaml
$ kubectl get app
$ kubectl patch app shop --type=merge -p '{"operation":{"sync":{"revision":"abc"}}}'
$ kubectl patch app shop --type=merge -p '{"status":{"sync":{"status":"Synced"},"health":{"status":"Healthy"}}}'
$ kubectl get app
$ kubectl apply -f - 2>&1 | sort
  apiVersion: argoproj.io/v1alpha1
  kind: Application
  metadata: {name: bad}
  spec: {project: 5, source: {path: x}, syncPolicy: {retry: {limit: many}}}
$ kubectl create -f -
  apiVersion: argoproj.io/v1alpha1
  kind: Application
  metadata: {name: unknown}
  spec: {project: team, destination: {}, sauce: {}}
$ kubectl apply --server-side -f -
  apiVersion: argoproj.io/v1alpha1
  kind: ApplicationSet
  metadata: {name: all}
  spec:
    generators: [{list: {elements: [{cluster: a}, {cluster: b, url: "https://example.com"}]}}]
    template: {metadata: {name: "{{cluster}}-shop"}, spec: {project: team, source: {repoURL: "https://example.com/shop.git", path: "{{cluster}}"}, destination: {name: "{{cluster}}", namespace: shop}}}
$ kubectl get appset all -o yaml
$ kubectl delete app shop --wait=false
$ kubectl get app shop -o jsonpath='{.metadata.finalizers}'
$ kubectl patch app shop --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'
$ kubectl get app
$ kubectl delete appset,appproject --all
