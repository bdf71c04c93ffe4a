The definitions and the bundle of prometheus-operator, and monitors that keep or break their schema.
$ kubectl create namespace monitors
$ kubectl config set-context --current --namespace=monitors
$ kubectl apply --server-side -f manifests/prometheus-operator/bundle.yaml
$ kubectl wait --for=condition=Established --timeout=20s crd alertmanagerconfigs.monitoring.coreos.com prometheuses.monitoring.coreos.com prometheusagents.monitoring.coreos.com servicemonitors.monitoring.coreos.com thanosrulers.monitoring.coreos.com
$ kubectl diff --server-side -f manifests/prometheus-operator/bundle.yaml
$ kubectl create -f manifests/prometheus-operator/bundle.yaml
$ kubectl replace -f manifests/prometheus-operator/bundle.yaml
$ kubectl api-resources --api-group=monitoring.coreos.com
$ kubectl explain prometheus.spec.alerting --recursive
$ kubectl explain prometheus --recursive | wc -l
$ kubectl explain alertmanagerconfig.spec.route
$ kubectl explain servicemonitor.spec.endpoints.tlsConfig
$ kubectl get deploy,sa,svc -n default -l app.kubernetes.io/name=prometheus-operator -o name
$ kubectl apply -f -
  apiVersion: monitoring.coreos.com/v1
  kind: Prometheus
  metadata: {name: main}
  spec:
    replicas: 2
    shards: 2
    retention: 24h
    serviceMonitorSelector: {matchLabels: {team: a}}
    resources: {requests: {memory: 400Mi}}
    storage: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 10Gi}}}}}
$ kubectl get prometheus main -o yaml
$ kubectl get prometheus
$ kubectl scale prometheus main --replicas=3
$ kubectl get prometheus main -o jsonpath='{.spec.replicas} {.spec.shards} {.metadata.generation}'
$ kubectl apply -f - 2>&1 | sort
  apiVersion: monitoring.coreos.com/v1
  kind: Prometheus
  metadata: {name: wrong}
  spec: {retention: forever, replicas: two, logLevel: loud, scrapeInterval: "1 m"}
$ kubectl apply -f -
  apiVersion: monitoring.coreos.com/v1alpha1
  kind: PrometheusAgent
  metadata: {name: agent}
  spec: {mode: DaemonSet, replicas: 2}
$ kubectl apply -f -
  apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  metadata: {name: web, labels: {team: a}}
  spec:
    selector: {matchLabels: {app: web}}
    endpoints:
    - port: metrics
      interval: 30s
      relabelings: [{sourceLabels: [__meta_kubernetes_pod_name], targetLabel: pod}]
$ kubectl get servicemonitor web -o yaml
$ kubectl apply --server-side -f -
  apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  metadata: {name: bad}
  spec: {endpoints: [{port: 9, interval: often, scheme: ftp}]}
$ kubectl create -f -
  apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  metadata: {name: unknown}
  spec: {selector: {}, endpoints: [], nothing: true}
$ kubectl apply -f -
  apiVersion: monitoring.coreos.com/v1
  kind: PrometheusRule
  metadata: {name: rules}
  spec: {groups: [{name: up, interval: 1m, rules: [{alert: Down, expr: up == 0, for: 5m, labels: {severity: page}}, {record: "job:up:sum", expr: 1}]}]}
$ kubectl get prometheusrule rules -o jsonpath='{.spec}'
$ kubectl patch prometheusrule rules --type=merge -p '{"spec":{"groups":[{"name":"up"},{"name":"up"}]}}'
$ kubectl apply -f -
  apiVersion: monitoring.coreos.com/v1alpha1
  kind: AlertmanagerConfig
  metadata: {name: pages}
  spec:
    route: {receiver: team, groupBy: [job], repeatInterval: 12h, routes: [{receiver: team, matchers: [{name: severity, value: page, matchType: "="}]}]}
    receivers: [{name: team, webhookConfigs: [{url: "http://example.com/"}]}]
$ kubectl get alertmanagerconfig pages -o yaml
$ kubectl delete prometheus,servicemonitor,prometheusrule,alertmanagerconfig --all
