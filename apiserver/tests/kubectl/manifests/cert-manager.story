cert-manager's definitions, and issuers and certificates that keep or break their schema.
$ kubectl create namespace certificates
$ kubectl config set-context --current --namespace=certificates
$ kubectl apply --server-side -f manifests/cert-manager/
$ kubectl wait --for=condition=Established --timeout=20s crd certificates.cert-manager.io issuers.cert-manager.io clusterissuers.cert-manager.io orders.acme.cert-manager.io
$ kubectl diff --server-side -f manifests/cert-manager/
$ kubectl api-resources --api-group=cert-manager.io
$ kubectl api-resources --api-group=acme.cert-manager.io
$ kubectl get all,cert,issuer
$ kubectl explain certificate.spec.privateKey
$ kubectl explain issuer.spec.acme --recursive
$ kubectl explain clusterissuer --recursive | wc -l
$ kubectl apply -f -
  {apiVersion: cert-manager.io/v1, kind: ClusterIssuer, metadata: {name: self}, spec: {selfSigned: {}}}
$ kubectl apply -f -
  apiVersion: cert-manager.io/v1
  kind: Issuer
  metadata: {name: acme}
  spec:
    acme:
      server: https://acme.example.com/directory
      email: someone@example.com
      privateKeySecretRef: {name: account}
      solvers: [{http01: {ingress: {ingressClassName: edge, podTemplate: {spec: {nodeSelector: {zone: a}}}}}}]
$ kubectl get issuer acme -o yaml
$ kubectl get issuer,clusterissuer
$ kubectl apply -f -
  apiVersion: cert-manager.io/v1
  kind: Issuer
  metadata: {name: venafi}
  spec: {venafi: {zone: a, tpp: {url: "https://example.com", credentialsRef: {name: a}}, cloud: {apiTokenSecretRef: {name: b}}}}
$ kubectl apply -f -
  apiVersion: cert-manager.io/v1
  kind: Certificate
  metadata: {name: web}
  spec: {secretName: web-tls, dnsNames: [example.com, www.example.com], duration: 2160h, renewBefore: 360h, privateKey: {algorithm: ECDSA, size: 256}, issuerRef: {name: self, kind: ClusterIssuer}}
$ kubectl get certificate web -o yaml
$ kubectl get cert
$ kubectl patch cert web --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Ready","message":"issued"}],"notAfter":"2030-01-02T03:04:05Z"}}'
$ kubectl get cert web -o wide
$ kubectl wait --for=condition=Ready --timeout=5s cert/web
$ kubectl patch cert web --subresource=status --type=merge -p '{"status":{"conditions":[{"type":"Ready","status":"Perhaps"}]}}'
$ kubectl apply -f - 2>&1 | sort
  apiVersion: cert-manager.io/v1
  kind: Certificate
  metadata: {name: bad}
  spec: {dnsNames: example.com, privateKey: {algorithm: DSA, rotationPolicy: Never}, usages: [signing, flying], issuerRef: {}}
$ kubectl create --validate=strict -f -
  apiVersion: cert-manager.io/v1
  kind: Certificate
  metadata: {name: unknown}
  spec: {secretName: x, secretNames: [y], issuerRef: {name: self}}
$ kubectl get crd certificates.cert-manager.io -o jsonpath='{.status.conditions[*].type} {.status.acceptedNames.categories} {.status.storedVersions}'
$ kubectl delete crd certificates.cert-manager.io issuers.cert-manager.io
$ kubectl get cert
