Config maps and secrets: made, read in every output, changed, compared and taken away.
$ kubectl create namespace cms
$ kubectl create namespace cms
$ kubectl config set-context --current --namespace=cms
$ kubectl create configmap one --from-literal=a=1 --from-literal=b=2
$ kubectl create configmap one --from-literal=a=1
$ kubectl create configmap two --from-literal=c=3 --dry-run=server -o yaml
$ kubectl create configmap two --from-literal=c=3 --dry-run=client -o yaml
$ kubectl create configmap two --from-literal=c=3
$ kubectl create secret generic plain --from-literal=user=me
$ kubectl create secret docker-registry pull --docker-username=u --docker-password=p --docker-email=e@x.io
$ kubectl create secret generic odd --type=kubernetes.io/tls --from-literal=a=b
$ kubectl get configmaps
$ kubectl get cm one -o yaml
$ kubectl get cm one -o json
$ kubectl get cm -o name
$ kubectl get cm one -o jsonpath='{.data.a}'
$ kubectl get cm -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
$ kubectl get cm -o custom-columns=NAME:.metadata.name,A:.data.a
$ kubectl get cm --sort-by=.metadata.name --no-headers
$ kubectl get cm --chunk-size=1
$ kubectl get cm,secret
$ kubectl get cm none
$ kubectl get cm none --ignore-not-found
$ kubectl get cm --field-selector metadata.name=two
$ kubectl get cm --field-selector data.a=1
$ kubectl get secrets -o wide
$ kubectl get secret --field-selector type=Opaque
$ kubectl label cm one tier=web
$ kubectl label cm one tier=db
$ kubectl label cm one tier=db --overwrite
$ kubectl label cm one 'bad key=1'
$ kubectl annotate cm one note=hello
$ kubectl get cm -l tier=db --show-labels
$ kubectl get cm -L tier
$ kubectl get cm -l 'tier in (db, web),tier!=x'
$ kubectl get cm -l 'tier=('
$ kubectl patch cm one -p '{"data":{"a":"9"}}'
$ kubectl patch cm one -p '{"data":{"a":"9"}}'
$ kubectl patch cm one --type=merge -p '{"data":{"b":null}}'
$ kubectl patch cm one --type=json -p '[{"op":"test","path":"/data/a","value":"8"}]'
$ kubectl patch cm one --type=json -p '[{"op":"remove","path":"/data/none"}]'
$ kubectl patch cm one --type=json -p '[{"op":"add","path":"/data/z","value":"1"}]' -o jsonpath='{.data}'
$ kubectl patch cm one --type=json -p '{"not":"a list"}'
$ kubectl patch cm one --type=merge -p '{"data":{"a":1}}'
$ EDITOR='sed -i s/c:/d:/' kubectl edit cm two
$ kubectl get cm two -o jsonpath='{.data}'
$ kubectl describe cm one
$ kubectl describe secret plain
$ kubectl patch cm two -p '{"immutable":true}'
$ kubectl patch cm two -p '{"data":{"x":"y"}}'
$ kubectl get cm -w --request-timeout=10s
$ kubectl delete cm one two
$ kubectl delete cm one
$ kubectl delete secret --all
$ kubectl get cm,secret
