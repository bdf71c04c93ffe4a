Config maps and secrets that stay while servers are killed.
$ kubectl create namespace kept-configs
$ kubectl config set-context --current --namespace=kept-configs
$ kubectl create configmap c1 --from-literal=a=1
$ kubectl get configmap c1 -o yaml
$ kubectl create configmap c2 --from-literal=a=2
$ kubectl get configmap c2 -o yaml
$ kubectl create configmap c3 --from-literal=a=3
$ kubectl get configmap c3 -o yaml
$ kubectl create configmap c4 --from-literal=a=4
$ kubectl get configmap c4 -o yaml
$ kubectl create configmap c5 --from-literal=a=5
$ kubectl get configmap c5 -o yaml
$ kubectl create configmap c6 --from-literal=a=6
$ kubectl get configmap c6 -o yaml
$ kubectl create configmap c7 --from-literal=a=7
$ kubectl get configmap c7 -o yaml
$ kubectl create configmap c8 --from-literal=a=8
$ kubectl get configmap c8 -o yaml
$ kubectl create configmap c9 --from-literal=a=9
$ kubectl get configmap c9 -o yaml
$ kubectl create configmap c10 --from-literal=a=10
$ kubectl get configmap c10 -o yaml
$ kubectl create configmap c11 --from-literal=a=11
$ kubectl get configmap c11 -o yaml
$ kubectl create configmap c12 --from-literal=a=12
$ kubectl get configmap c12 -o yaml
$ kubectl create configmap c13 --from-literal=a=13
$ kubectl get configmap c13 -o yaml
$ kubectl create configmap c14 --from-literal=a=14
$ kubectl get configmap c14 -o yaml
$ kubectl create configmap c15 --from-literal=a=15
$ kubectl get configmap c15 -o yaml
$ kubectl create configmap c16 --from-literal=a=16
$ kubectl get configmap c16 -o yaml
$ kubectl create configmap c17 --from-literal=a=17
$ kubectl get configmap c17 -o yaml
$ kubectl create configmap c18 --from-literal=a=18
$ kubectl get configmap c18 -o yaml
$ kubectl create configmap c19 --from-literal=a=19
$ kubectl get configmap c19 -o yaml
$ kubectl create configmap c20 --from-literal=a=20
$ kubectl get configmap c20 -o yaml
$ for i in 1 2 3 4 5 6 7 8; do kubectl label --overwrite configmap c$i number=$i || exit; done
$ kubectl get configmaps -L number
$ kubectl create secret generic s1 --from-literal=user=me
$ kubectl create secret generic s2 --type=example.com/own --from-literal=a=b
$ kubectl get secrets
$ kubectl patch configmap c1 -p '{"data":{"b":"2"}}'
$ kubectl patch configmap c2 --type=merge -p '{"data":{"a":null,"c":"3"}}'
$ kubectl annotate --overwrite configmap c3 note=hello
$ kubectl get configmaps c1 c2 c3 -o yaml
$ kubectl delete configmap c4 c5
$ kubectl get configmaps -o name
$ kubectl create configmap c5 --from-literal=again=1
$ kubectl patch configmap c6 -p '{"immutable":true}'
$ kubectl patch configmap c6 -p '{"data":{"x":"y"}}'
$ kubectl get configmaps --chunk-size=2 -o name
$ kubectl wait configmap/c1 --for=jsonpath='{.data.b}'=2 --timeout=20s
$ kubectl get configmaps,secrets -o yaml
