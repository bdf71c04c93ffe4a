Who may do what.
$ kubectl create namespace access
$ kubectl config set-context --current --namespace=access
$ kubectl create role reader --verb=get,list --resource=pods,configmaps
$ kubectl create rolebinding reads --role=reader --user=alice
$ kubectl create clusterrole access-all --verb='*' --resource=deployments.apps
$ kubectl create clusterrolebinding access-all --clusterrole=access-all --group=nobody
$ kubectl get role,rolebinding
$ kubectl get rolebinding -o wide
$ kubectl get clusterrole access-all -o yaml
$ kubectl get clusterrolebinding access-all -o wide
$ kubectl describe role reader
$ kubectl describe rolebinding reads
$ kubectl auth can-i create pods
$ kubectl auth can-i list pods --as=alice
$ kubectl auth can-i delete pods --as=alice
$ kubectl auth can-i --list --as=alice
$ kubectl auth whoami
$ kubectl auth whoami --as=alice --as-group=x
$ kubectl auth reconcile -f -
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: access}, rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]}
$ kubectl get pods --as=alice
$ kubectl delete pods --all --as=alice
$ kubectl get secrets --user=alice
$ kubectl get nodes --user=alice
$ kubectl get pods --user=alice --as=bob
$ kubectl get pods --token=wrong
$ kubectl create role x --verb=get --resource=none
$ kubectl patch rolebinding reads -p '{"roleRef":{"name":"other"}}'
$ kubectl delete clusterrole access-all
$ kubectl delete clusterrolebinding access-all
$ openssl genpkey -algorithm ed25519 -out k.pem && openssl req -new -key k.pem -subj /CN=zed -out k.csr && printf '{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: zed}, spec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], request: %s}}' $(base64 -w0 k.csr) | kubectl create -f -
$ kubectl get csr zed
$ kubectl certificate approve zed
$ kubectl get csr zed
$ kubectl certificate deny zed
$ kubectl delete csr zed
