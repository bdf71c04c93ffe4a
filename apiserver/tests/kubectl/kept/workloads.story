Workloads and services that stay while servers are killed.
$ kubectl create namespace kept-workloads
$ kubectl config set-context --current --namespace=kept-workloads
$ kubectl create deployment web --image=nginx --replicas=2 --port=80
$ kubectl get deployments
$ kubectl scale deployment web --replicas=3
$ kubectl set image deployment/web nginx=nginx:2
$ kubectl set env deployment/web A=b
$ kubectl set resources deployment/web --limits=cpu=200m,memory=64Mi
$ kubectl get deployment web -o yaml
$ kubectl patch deployment web --subresource=status --type=merge -p '{"status":{"observedGeneration":99,"replicas":3,"updatedReplicas":3,"readyReplicas":3,"availableReplicas":3}}'
$ kubectl rollout status deployment/web --timeout=20s
$ kubectl wait deployment/web --for=jsonpath='{.status.readyReplicas}'=3 --timeout=20s
$ kubectl create deployment d1 --image=nginx --replicas=1
$ kubectl set env deployment/d1 A=1
$ kubectl get deployment d1 -o yaml
$ kubectl create deployment d2 --image=nginx --replicas=2
$ kubectl set env deployment/d2 A=2
$ kubectl get deployment d2 -o yaml
$ kubectl create deployment d3 --image=nginx --replicas=3
$ kubectl set env deployment/d3 A=3
$ kubectl get deployment d3 -o yaml
$ kubectl create deployment d4 --image=nginx --replicas=4
$ kubectl set env deployment/d4 A=4
$ kubectl get deployment d4 -o yaml
$ kubectl create deployment d5 --image=nginx --replicas=5
$ kubectl set env deployment/d5 A=5
$ kubectl get deployment d5 -o yaml
$ kubectl create deployment d6 --image=nginx --replicas=6
$ kubectl set env deployment/d6 A=6
$ kubectl get deployment d6 -o yaml
$ kubectl create deployment d7 --image=nginx --replicas=7
$ kubectl set env deployment/d7 A=7
$ kubectl get deployment d7 -o yaml
$ kubectl create deployment d8 --image=nginx --replicas=8
$ kubectl set env deployment/d8 A=8
$ kubectl get deployment d8 -o yaml
$ kubectl create service clusterip in --tcp=80:8080
$ kubectl create service nodeport out --tcp=80
$ kubectl create service externalname ext --external-name=example.com
$ kubectl get services
$ kubectl set selector service in app=x
$ kubectl get service in -o yaml
$ kubectl patch service in -p '{"spec":{"type":"Wrong"}}'
$ kubectl create ingress web --rule='example.com/path=in:80'
$ kubectl create poddisruptionbudget guard --selector=app=x --min-available=1
$ kubectl create quota few --hard=pods=2,configmaps=10
$ kubectl create job once --image=busybox -- true
$ kubectl create cronjob often --image=busybox --schedule='*/5 * * * *'
$ kubectl get jobs,cronjobs
$ kubectl apply -f -
  {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: {}}}
$ kubectl delete service ext
$ kubectl get services -o name
$ kubectl get deployments,services,ingresses,poddisruptionbudgets,resourcequotas,cronjobs,networkpolicies -o yaml
