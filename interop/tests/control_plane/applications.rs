//! What runs until it is told otherwise: Deployments, StatefulSets, DaemonSets, and Services before them.

use super::cluster::{NODES, Space, sorted};

pub(crate) fn a_deployment_rolls(space: &Space<'_>) {
    space.kubectl("create deployment web --image=nginx:1 --replicas=3");
    space.until_rolled("deployment/web");
    space.kubectl("scale deployment/web --replicas=5");
    space.until_field("deployment/web", "{.status.readyReplicas}", "5");
    space.kubectl("set image deployment/web nginx=nginx:2");
    space.until_rolled("deployment/web");

    space.kubectl("set image deployment/web nginx=registry.invalid/nginx:3");
    let waiting =
        "get pods -o 'jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}'";
    space.until(waiting, |reasons| reasons.contains("ImagePull"));
    space.until_field("deployment/web", "{.status.availableReplicas}", "4");
    let stuck = space.try_kubectl("rollout status deployment/web --timeout=2s", "");
    assert!(!stuck.succeeded, "{}", stuck.text);
    let available = space.field("deployment/web", "{.status.availableReplicas}");
    assert_eq!(available, "4", "no more than a quarter may be missing");
    let image = "{.spec.template.spec.containers[0].image}";
    let has_image = || space.field("deployment/web", image) == "nginx:2";
    // Done twice, it leads back to the image that cannot be pulled.
    space.kubectl_once("rollout undo deployment/web", has_image);
    space.until_rolled("deployment/web");
    assert_eq!(space.field("deployment/web", image), "nginx:2");
    let history = space.kubectl("rollout history deployment/web");
    let revisions = history.lines().filter_map(|line| line.split(' ').next());
    let revisions: Vec<&str> = revisions
        .filter(|word| word.parse::<u32>().is_ok())
        .collect();
    assert_eq!(revisions, ["1", "3", "4"], "{history}");

    space.until_events(&[
        "Failed",
        "Killing",
        "ScalingReplicaSet",
        "Scheduled",
        "Started",
        "SuccessfulCreate",
        "SuccessfulDelete",
    ]);
    let log = space.kubectl("logs deployment/web");
    assert!(log.contains("simulated node"), "{log}");
    let refused = space.try_kubectl("exec deployment/web -- true", "");
    assert!(!refused.succeeded, "{}", refused.text);
    assert!(refused.text.contains("is simulated"), "{}", refused.text);
}

pub(crate) fn a_stateful_set_keeps_its_claims(space: &Space<'_>) {
    space.apply(
        r#"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations: {simulation.mainstay.dev/ready-seconds: "2"}
    spec: {containers: [{name: db, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"#,
    );
    space.until_rolled("statefulset/db");
    let made: Vec<String> = (0..3)
        .map(|number| space.field(&format!("pod/db-{number}"), "{.metadata.creationTimestamp}"))
        .collect();
    assert!(
        made.is_sorted_by(|a, b| a < b),
        "one after another: {made:?}"
    );
    let claims = "{range .items[*]}{.metadata.name}/{.status.phase}/{.spec.storageClassName} {end}";
    let bound =
        ["data-db-0", "data-db-1", "data-db-2"].map(|name| format!("{name}/Bound/local-path"));
    assert_eq!(space.words("pvc", claims), bound);
    let kept = space.words("pvc", "{.items[*].metadata.uid}");

    space.kubectl("scale statefulset/db --replicas=1");
    space.until_field("pods", "{.items[*].metadata.name}", "db-0");
    assert_eq!(space.words("pvc", "{.items[*].metadata.uid}"), kept);
    space.kubectl("scale statefulset/db --replicas=3");
    space.until_field("statefulset/db", "{.status.readyReplicas}", "3");
    assert_eq!(space.words("pvc", "{.items[*].metadata.uid}"), kept);
}

pub(crate) fn a_daemon_set_is_on_every_node(space: &Space<'_>) {
    space.apply(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent}]}
"#,
    );
    space.until_field(
        "daemonset/agent",
        "{.status.numberReady}",
        &NODES.to_string(),
    );
    let nodes = space.words("nodes", "{.items[*].metadata.name}");
    assert_eq!(nodes.len(), NODES);
    assert_eq!(space.words("pods", "{.items[*].spec.nodeName}"), nodes);
}

pub(crate) fn a_service_leads_to_ready_pods(space: &Space<'_>) {
    space.kubectl("create deployment web --image=nginx --replicas=4");
    space.kubectl("expose deployment web --port=80 --target-port=8080");
    for replicas in [4, 2] {
        space.kubectl(&format!("scale deployment/web --replicas={replicas}"));
        space.until_rolled("deployment/web");
        let pods = "{.items[*].status.podIP}";
        let all = |text: &str| text.split_whitespace().count() == replicas;
        space.until(&format!("get pods -o 'jsonpath={pods}'"), all);
        let pods = space.words("pods", pods);
        let endpoints = "get endpoints/web -o 'jsonpath={.subsets[*].addresses[*].ip}'";
        space.until(endpoints, |text| sorted(text) == pods);
        let slices = "get endpointslices -l kubernetes.io/service-name=web \
                      -o 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[*]}'";
        space.until(slices, |text| sorted(text) == pods);
    }
}
