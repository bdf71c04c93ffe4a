A namespace of its own.
$ kubectl create ns spaced
$ kubectl get ns spaced
$ kubectl describe ns spaced
$ kubectl label ns spaced a=b
$ kubectl get ns spaced --show-labels
$ kubectl create ns Bad_Name
$ kubectl create cm -n spaced x
$ kubectl get cm -A -l none=none
$ kubectl get cm -A --field-selector metadata.namespace=spaced
$ kubectl delete ns spaced --wait=false
$ kubectl get ns spaced
$ kubectl create cm -n spaced y
$ kubectl delete ns default
$ kubectl delete ns none
