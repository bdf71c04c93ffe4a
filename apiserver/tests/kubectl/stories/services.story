Services of every type, ingresses and policies.
$ kubectl create namespace served
$ kubectl config set-context --current --namespace=served
$ kubectl create service clusterip in --tcp=80:8080
$ kubectl create service nodeport out --tcp=80
$ kubectl create service loadbalancer bal --tcp=80
$ kubectl create service externalname ext --external-name=example.com
$ kubectl create service clusterip headless --clusterip=None
$ kubectl get svc
$ kubectl get svc in -o yaml
$ kubectl describe svc in
$ kubectl set selector svc in app=x
$ kubectl patch svc in -p '{"spec":{"clusterIP":"10.0.0.7"}}'
$ kubectl patch svc in -p '{"spec":{"type":"Wrong"}}'
$ kubectl create ingress web --rule='example.com/path=in:80'
$ kubectl get ingress
$ kubectl describe ingress web
$ kubectl create pdb guard --selector=app=x --min-available=1
$ kubectl get pdb
$ kubectl create quota few --hard=pods=2,configmaps=10
$ kubectl get quota
$ kubectl create priorityclass served-high --value=1000
$ kubectl get priorityclass served-high
$ kubectl patch priorityclass served-high -p '{"value":5}'
$ kubectl delete priorityclass served-high
$ kubectl get endpoints in
$ kubectl get endpointslices
$ kubectl create -f -
  {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: {}}}
$ kubectl get netpol
$ kubectl describe netpol deny
$ kubectl delete svc --all
