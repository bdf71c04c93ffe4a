//! Parts of a control plane fail, and work goes on: timed, with bounds that are far above what is usual.

use std::time::{Duration, Instant};

use super::cluster::{Space, getting};

/// A leader that is killed holds its lease for 15 s.
const LEADER_BOUND: Duration = Duration::from_secs(90);
const THIRD_BOUND: Duration = Duration::from_secs(90);
/// A node is believed for 50 s.
const NODE_BOUND: Duration = Duration::from_secs(110);
/// Where a lease names its holder.
const HOLDER: &str = "{.spec.holderIdentity}";

fn within(bound: Duration, from: Instant, what: &str) {
    let took = from.elapsed();
    println!("{what}: {:.1} s", took.as_secs_f64());
    assert!(took < bound, "{what} took {took:?}");
}

fn holder(space: &Space<'_>, lease: &str) -> String {
    space.field(&named(lease), HOLDER)
}

fn named(lease: &str) -> String {
    format!("lease/{lease} --namespace kube-system")
}

/// The holder of a lease is killed while twenty pods are replaced.
pub(crate) fn a_leader_is_killed(space: &Space<'_>, kind: &str, lease: &str) {
    space.kubectl(&format!(
        "create deployment {kind} --image=nginx:1 --replicas=20"
    ));
    let deployment = format!("deployment/{kind}");
    // Pods are replaced in several steps of a second each, so that most of the work is left when the leader is killed.
    space.kubectl(&format!(
        r#"patch {deployment} -p '{{"spec":{{"minReadySeconds":1}}}}'"#
    ));
    space.until_rolled(&deployment);
    let before = holder(space, lease);
    let leader = space.up.leader(kind, &before);

    let from = Instant::now();
    space.kubectl(&format!("set image {deployment} nginx=nginx:2"));
    space.up.kill(&leader);
    space.until_rolled(&deployment);
    within(
        LEADER_BOUND,
        from,
        &format!("a rollout of 20 while {leader}, which led, was killed"),
    );
    let images = "{.items[*].spec.containers[*].image}";
    space.until_field(
        &format!("pods -l app={kind} --field-selector=status.phase=Running"),
        images,
        &["nginx:2"; 20].join(" "),
    );
    // The lease of the killed one runs on for a while if what was left was done without a leader.
    space.until(&getting(&named(lease), HOLDER), |holder| {
        !holder.is_empty() && holder != before
    });
    space.kubectl(&format!("delete {deployment}"));
}

/// One of each part is killed at the same time, the controllers that lead among them.
pub(crate) fn a_third_is_killed(space: &Space<'_>) {
    let leader = holder(space, "kube-controller-manager");
    let leader = space.up.leader("controllers", &leader);
    let number = leader.trim_start_matches("controllers");
    let third = ["replica", "apiserver", "controllers", "scheduler", "node"];
    let third = third.map(|part| format!("{part}{number}"));
    let from = Instant::now();
    let killed = third.each_ref().map(|part| space.up.kill(part));
    space.kubectl_amid_kills("create deployment third --image=nginx --replicas=12");
    space.until_rolled("deployment/third");
    within(
        THIRD_BOUND,
        from,
        "a deployment of 12 after a third of all was killed",
    );
    for (part, killed) in third.iter().zip(killed) {
        space.up.await_another(part, killed);
    }
    space.kubectl("delete deployment third");
}

/// A node is not heard of any more.
pub(crate) fn a_node_fails(space: &Space<'_>) {
    space.apply(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: moving}
spec:
  replicas: 12
  selector: {matchLabels: {app: moving}}
  template:
    metadata: {labels: {app: moving}}
    spec:
      containers: [{name: web, image: nginx}]
      tolerations:
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
"#,
    );
    space.until_rolled("deployment/moving");
    let node = space.field("pods -l app=moving", "{.items[0].spec.nodeName}");
    let from = Instant::now();
    space.kubectl(&format!(
        "annotate --overwrite node {node} simulation.mainstay.dev/fail=true"
    ));
    space.until_true(&format!("node/{node}"), "condition=Ready=Unknown");
    let nodes = format!(
        "get pods -l app=moving -o 'jsonpath={{range .items[?(@.spec.nodeName!=\"{node}\")]}}\
         {{.status.conditions[?(@.type==\"Ready\")].status}} {{end}}'"
    );
    space.until(&nodes, |text| text.matches("True").count() == 12);
    within(
        NODE_BOUND,
        from,
        "12 pods run elsewhere after their node failed",
    );
    let taints = "{.spec.taints[*].key}";
    let taints = space.field(&format!("node/{node}"), taints);
    assert!(
        taints.contains("node.kubernetes.io/unreachable"),
        "{taints}"
    );

    space.kubectl(&format!(
        "annotate node {node} simulation.mainstay.dev/fail-"
    ));
    space.until_true(&format!("node/{node}"), "condition=Ready");
    space.until_field(&format!("node/{node}"), "{.spec.taints}", "");
    space.until("get pods -l app=moving -o name", |text| {
        text.lines().count() == 12
    });
}
