Pods and what surrounds them.
$ kubectl create namespace podded
$ kubectl config set-context --current --namespace=podded
$ kubectl run early --image=busybox
$ kubectl create serviceaccount default
$ kubectl create sa robot
$ kubectl run one --image=busybox --restart=Never --labels=app=one
$ kubectl get pods
$ kubectl get pods -o wide
$ kubectl get pod one -o jsonpath='{.spec.tolerations}'
$ kubectl get pod one -o jsonpath='{.spec.containers[0].volumeMounts[0].mountPath}'
$ kubectl get pod one -o jsonpath='{.status}'
$ kubectl get pods --field-selector status.phase=Pending
$ kubectl get pods --field-selector spec.nodeName=x
$ kubectl get pods --field-selector spec.none=x
$ kubectl label pod one app=two --overwrite
$ kubectl patch pod one --subresource=status --type=merge -p '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"one","ready":true,"restartCount":2,"image":"busybox","imageID":"i","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}'
$ kubectl get pod one
$ kubectl wait pod/one --for=condition=Ready --timeout=5s
$ kubectl patch pod one -p '{"spec":{"containers":[{"name":"one","image":"busybox:2"}]}}'
$ kubectl patch pod one -p '{"spec":{"restartPolicy":"Always"}}'
$ kubectl set image pod/one one=alpine
$ kubectl describe pod one
$ kubectl logs one
$ kubectl exec one -- true
$ kubectl run two --image=busybox --dry-run=client -o yaml
$ kubectl create -f -
  {apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: [{name: A}]}}
$ kubectl create -f -
  {apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {}}
$ kubectl create -f -
  {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
$ kubectl get pvc
$ kubectl describe pvc disk
$ kubectl describe sa robot
$ kubectl create token robot
$ kubectl create token none
$ kubectl events
$ kubectl get events
$ kubectl delete pod one --grace-period=0 --force
$ kubectl delete pods --all
$ kubectl get pods
