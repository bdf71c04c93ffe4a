A deployment's life, with a status that we write.
$ kubectl create namespace work
$ kubectl config set-context --current --namespace=work
$ kubectl create deployment web --image=nginx --replicas=2 --port=80
$ kubectl get deploy
$ kubectl get deploy -o wide
$ kubectl get deploy web -o yaml
$ kubectl scale deploy web --replicas=3
$ kubectl scale deploy web --replicas=4 --current-replicas=9
$ kubectl get deploy web --subresource=scale
$ kubectl set image deploy/web nginx=nginx:2
$ kubectl set env deploy/web A=b
$ kubectl set env deploy/web --list
$ kubectl set resources deploy/web --limits=cpu=200m,memory=64Mi
$ kubectl set serviceaccount deploy/web robot
$ kubectl set selector svc/none a=b
$ kubectl rollout pause deploy/web
$ kubectl rollout pause deploy/web
$ kubectl rollout resume deploy/web
$ kubectl rollout restart deploy/web | sed s/x/x/
$ kubectl rollout history deploy/web
$ kubectl rollout undo deploy/web
$ kubectl patch deploy web --subresource=status --type=merge -p '{"status":{"observedGeneration":99,"replicas":3,"updatedReplicas":3,"readyReplicas":3,"availableReplicas":3}}'
$ kubectl get deploy web
$ kubectl rollout status deploy/web
$ kubectl wait deploy/web --for=jsonpath='{.status.readyReplicas}'=3 --timeout=5s
$ kubectl wait deploy/web --for=condition=Available --timeout=1s
$ kubectl expose deploy web --port=80 --type=NodePort
$ kubectl get svc web -o wide
$ kubectl autoscale deploy web --min=1 --max=4 --cpu-percent=50
$ kubectl get hpa
$ kubectl patch deploy web -p '{"spec":{"selector":{"matchLabels":{"x":"y"}}}}'
$ kubectl patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","imagePullPolicy":"Sometimes"}]}}}}'
$ kubectl patch deploy web -p '{"spec":{"replicas":-1}}'
$ kubectl get deploy web -o jsonpath='{.metadata.generation} {.spec.replicas}'
$ kubectl describe deploy web
$ kubectl create job once --image=busybox -- true
$ kubectl get jobs
$ kubectl create cronjob often --image=busybox --schedule='*/5 * * * *'
$ kubectl create cronjob bad --image=busybox --schedule='never'
$ kubectl get cronjob -o wide
$ kubectl create job from-often --from=cronjob/often
$ kubectl get all
$ kubectl delete deploy web --cascade=orphan --wait=false
$ kubectl delete job once --cascade=foreground --wait=false
$ kubectl delete cronjob --all
