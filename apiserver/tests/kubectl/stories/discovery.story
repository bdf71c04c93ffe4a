What the server says of itself, but for what a server beside a kube-apiserver would measure.
$ kubectl api-versions | grep -v metrics.k8s.io
$ kubectl api-resources | grep -v metrics.k8s.io
$ kubectl api-resources -o wide | grep -v metrics.k8s.io
$ kubectl api-resources -o name | grep -v metrics.k8s.io
$ kubectl api-resources --namespaced=false | grep -v metrics.k8s.io
$ kubectl api-resources --api-group=apps
$ kubectl api-resources --verbs=list,get --sort-by=kind | grep -v metrics.k8s.io
$ kubectl api-resources --categories=all
$ kubectl version -o json | grep -A14 serverVersion | grep -E 'gitVersion|major|minor'
$ kubectl cluster-info
$ kubectl get --raw /healthz
$ kubectl get --raw /readyz
$ kubectl get --raw /version | grep -c gitVersion
$ kubectl get --raw /nothing
$ kubectl get --raw /api
$ kubectl get nothing
$ kubectl explain pods
$ kubectl explain pod.spec.containers.livenessProbe
$ kubectl explain deployment.spec --recursive
$ kubectl explain pods.none
$ kubectl explain none
$ kubectl explain configmap --api-version=v1
$ kubectl explain svc --output=plaintext-openapiv2
$ kubectl get componentstatuses
$ kubectl get ns default kube-system
$ kubectl get ns default -o yaml
$ kubectl get svc kubernetes -n default
$ kubectl get flowschema
$ kubectl get apiservices
