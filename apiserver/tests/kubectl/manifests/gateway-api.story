Gateway API's own definitions, and routes that keep or break their rules.
$ kubectl create namespace gateways
$ kubectl config set-context --current --namespace=gateways
$ kubectl apply --server-side -f manifests/gateway-api/
$ kubectl wait --for=condition=Established --timeout=20s crd gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io
$ kubectl diff --server-side -f manifests/gateway-api/
$ kubectl diff -f manifests/gateway-api/
$ kubectl api-resources --api-group=gateway.networking.k8s.io
$ kubectl explain gateway.spec
$ kubectl explain httproute.spec.rules.filters --recursive
$ kubectl explain backendtlspolicies --recursive | wc -l
$ kubectl explain referencegrants.spec.from
$ kubectl apply -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: GatewayClass
  metadata: {name: ours}
  spec: {controllerName: example.com/ours}
$ kubectl apply --server-side -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: edge}
  spec:
    gatewayClassName: ours
    listeners:
    - {name: plain, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: Same}}}
    - name: secure
      protocol: HTTPS
      port: 443
      hostname: "*.example.com"
      tls: {mode: Terminate, certificateRefs: [{name: cert}]}
$ kubectl get gateway edge -o yaml
$ kubectl get gateway,gatewayclass
$ kubectl apply --server-side -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: twice}
  spec:
    gatewayClassName: ours
    listeners:
    - {name: a, protocol: HTTP, port: 80}
    - {name: b, protocol: HTTP, port: 80}
$ kubectl apply -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: wrong}
  spec:
    gatewayClassName: ours
    listeners:
    - {name: a, protocol: TCP, port: 80, hostname: example.com}
    - {name: b, protocol: HTTP, port: 81, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
    - {name: c, protocol: HTTPS, port: 82, tls: {mode: Terminate}}
$ kubectl apply -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: address}
  spec:
    gatewayClassName: ours
    addresses: [{type: Hostname, value: "not a name"}, {type: IPAddress, value: 10.1.2.3}, {type: IPAddress, value: 10.1.2.3}]
    listeners: [{name: a, protocol: HTTP, port: 80}]
$ kubectl apply -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: empty}
  spec: {gatewayClassName: ours, listeners: []}
$ kubectl apply -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: range}
  spec: {gatewayClassName: ours, listeners: [{name: Upper_Case, protocol: HTTP, port: 70000}]}
$ kubectl apply -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: shop}
  spec:
    parentRefs: [{name: edge}]
    hostnames: [shop.example.com]
    rules:
    - matches: [{path: {type: PathPrefix, value: /cart}}, {headers: [{name: version, value: two}]}]
      backendRefs: [{name: cart, port: 80, weight: 9}, {name: cart-next, port: 80, weight: 1}]
      timeouts: {request: 10s, backendRequest: 2s}
$ kubectl get httproute shop -o yaml
$ kubectl get httproute
$ kubectl apply -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: both}
  spec:
    parentRefs: [{name: edge}]
    rules:
    - filters:
      - {type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}
      - {type: URLRewrite, urlRewrite: {hostname: other.example.com}}
$ kubectl apply -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: paths}
  spec:
    parentRefs: [{name: edge}]
    rules:
    - matches: [{path: {type: PathPrefix, value: "a//b"}}, {path: {type: Exact, value: "/x/../y"}}]
      timeouts: {request: 1s, backendRequest: 2s}
$ kubectl apply -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: filter}
  spec: {rules: [{filters: [{type: RequestMirror, requestRedirect: {scheme: ftp}}]}]}
$ kubectl patch httproute shop --type=json -p '[{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":-1}]'
$ kubectl patch httproute shop --type=merge -p '{"spec":{"hostnames":["UPPER.example.com","1.2.3.4"]}}'
$ kubectl patch httproute shop --type=merge -p '{"spec":{"hostnames":["other.example.com"],"nothing":1}}'
$ kubectl patch gatewayclass ours --type=merge -p '{"spec":{"controllerName":"example.com/theirs"}}'
$ kubectl apply --server-side --field-manager=team -f - 2>&1 | sort
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: edge}
  spec:
    listeners:
    - {name: plain, protocol: HTTP, port: 8080}
$ kubectl apply --server-side --field-manager=team -f -
  apiVersion: gateway.networking.k8s.io/v1
  kind: Gateway
  metadata: {name: edge}
  spec:
    gatewayClassName: ours
    listeners:
    - {name: extra, protocol: HTTP, port: 8081}
$ kubectl get gateway edge -o jsonpath='{.spec.listeners[*].name}'
$ kubectl delete httproute shop
$ kubectl delete gateway edge
$ kubectl delete gatewayclass ours
