//! What is said of pods in each of their states.

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use scheduler::explain::{Eviction, Explanation, Rejected, Shortfall};
use serde_json::{Value, from_value, json};

use super::answer::{Answer, Around, State};
use super::text;

fn pod(spec: Value, status: Value) -> Pod {
    let meta = json!({"name": "web", "namespace": "shop"});
    from_value(json!({"metadata": meta, "spec": spec, "status": status})).unwrap()
}

fn without_node(explanation: Explanation) -> Around {
    Around {
        explanation: Some(explanation),
        ..Around::default()
    }
}

fn judged(spec: Value, status: Value, around: Around) -> (State, String) {
    let mut spec = spec;
    spec["containers"] = json!([]);
    let answer = Answer::new(&pod(spec, status), around);
    (answer.state, answer.summary)
}

#[test]
fn a_pod_without_a_node_is_told_what_it_waits_for() {
    let scheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]});
    let fits = || Explanation {
        fits: vec!["a".to_owned()],
        ..Explanation::default()
    };
    let gated = Explanation {
        gates: vec!["x".to_owned(), "y".to_owned()],
        ..fits()
    };
    let (state, text) = judged(json!({}), json!({}), without_node(gated));
    assert_eq!(state, State::Gated);
    assert_eq!(
        text,
        "shop/web is not scheduled: no scheduler tries it until its gates are removed (x, y)"
    );

    let (state, text) = judged(
        json!({"schedulerName": "mine"}),
        json!({}),
        without_node(fits()),
    );
    assert_eq!(state, State::OtherScheduler);
    assert!(
        text.ends_with("waits for a scheduler named mine, and none of that name has looked at it"),
        "{text}"
    );

    let unschedulable = Explanation {
        message: "0/1 nodes are available: 1 Insufficient cpu.".to_owned(),
        ..Explanation::default()
    };
    let (state, text) = judged(
        json!({}),
        scheduled.clone(),
        without_node(unschedulable.clone()),
    );
    assert_eq!(state, State::Unschedulable);
    assert_eq!(
        text,
        "shop/web is not scheduled: 0/1 nodes are available: 1 Insufficient cpu."
    );

    let mut around = without_node(unschedulable);
    around.leaving = vec!["shop/old".to_owned()];
    let (state, text) = judged(json!({}), json!({"nominatedNodeName": "a"}), around);
    assert_eq!(state, State::Preempting);
    assert!(
        text.ends_with("pods leave node a for it (shop/old)"),
        "{text}"
    );

    let (state, text) = judged(json!({}), scheduled, without_node(fits()));
    assert_eq!(state, State::Schedulable);
    assert!(
        text.ends_with("1 node fits now, and it is tried again"),
        "{text}"
    );
    let (_, text) = judged(json!({}), json!({}), without_node(fits()));
    assert!(
        text.ends_with("no scheduler has said anything of it; is one running?"),
        "{text}"
    );
}

#[test]
fn a_pod_with_a_node_is_told_what_keeps_it_from_running() {
    let spec = || json!({"nodeName": "a"});
    let node = |ready: &str| -> Option<Node> {
        let condition = json!({"type": "Ready", "status": ready, "message": "silent"});
        from_value(json!({"metadata": {"name": "a"}, "status": {"conditions": [condition]}}))
            .unwrap()
    };
    let on = |node: Option<Node>| Around {
        node,
        ..Around::default()
    };
    let (state, text) = judged(spec(), json!({"phase": "Pending"}), on(None));
    assert_eq!(state, State::Starting);
    assert!(
        text.ends_with("does not run there yet: there is no node a any more"),
        "{text}"
    );
    let (_, text) = judged(spec(), json!({"phase": "Pending"}), on(node("Unknown")));
    assert!(text.ends_with("the node is not ready: silent"), "{text}");
    let (_, text) = judged(spec(), json!({"phase": "Pending"}), on(node("True")));
    assert_eq!(
        text,
        "shop/web was given to node a, which has said nothing of it yet"
    );

    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    let container = json!({"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
    let status = json!({"phase": "Pending", "containerStatuses": [container]});
    let (_, text) = judged(spec(), status, on(node("True")));
    assert!(
        text.ends_with("container main: ImagePullBackOff (no such image)"),
        "{text}"
    );

    let ready = |status: &str| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": status, "message": "no probe"}]});
    let (state, text) = judged(spec(), ready("True"), on(node("True")));
    assert_eq!(
        (state, text.as_str()),
        (State::Running, "shop/web runs on node a, and is ready")
    );
    let (_, text) = judged(spec(), ready("False"), on(node("True")));
    assert_eq!(text, "shop/web runs on node a, and is not ready: no probe");
    let (state, text) = judged(
        spec(),
        json!({"phase": "Failed", "reason": "Evicted"}),
        on(None),
    );
    assert_eq!(
        (state, text.as_str()),
        (
            State::Finished,
            "shop/web does not wait: it has ended (Failed): Evicted"
        )
    );
}

#[test]
fn the_text_has_a_sentence_tables_and_what_helps() {
    let names = |range: std::ops::Range<usize>| range.map(|number| format!("n{number}")).collect();
    let explanation = Explanation {
        message: "0/8 nodes are available: 7 Insufficient cpu, 1 node(s) were unschedulable."
            .to_owned(),
        nodes: 8,
        rejected: vec![
            Rejected {
                plugin: "NodeResourcesFit",
                reasons: vec!["Insufficient cpu".to_owned()],
                nodes: names(0..7),
            },
            Rejected {
                plugin: "NodeUnschedulable",
                reasons: vec!["node(s) were unschedulable".to_owned()],
                nodes: names(7..8),
            },
        ],
        shortfalls: vec![Shortfall {
            resource: "cpu".to_owned(),
            asked: "3".to_owned(),
            free_most: "2500m".to_owned(),
            free_most_on: "n3".to_owned(),
            free: "9".to_owned(),
            node_most: "4".to_owned(),
            nodes_short: 7,
        }],
        advice: vec!["uncordon a node".to_owned()],
        preempts: Some(Eviction {
            node: "n1".to_owned(),
            pods: vec!["shop/old".to_owned()],
        }),
        ..Explanation::default()
    };
    let mut around = without_node(explanation);
    let event = |time: &str, reason: &str| -> Event {
        from_value(json!({"metadata": {}, "involvedObject": {}, "lastTimestamp": time, "reason": reason, "message": "why", "count": 3})).unwrap()
    };
    around.warnings = vec![
        event("2026-01-02T00:00:00Z", "Newer"),
        event("2026-01-01T00:00:00Z", "Older"),
    ];
    let conditions =
        json!([{"type": "PodScheduled", "status": "False", "message": "0/9 nodes are available."}]);
    let answer = Answer::new(
        &pod(json!({"containers": []}), json!({"conditions": conditions})),
        around,
    );
    let expected = "\
shop/web is not scheduled: 0/8 nodes are available: 7 Insufficient cpu, 1 node(s) were unschedulable.
The scheduler last said: 0/9 nodes are available.

NODES  WHY NOT                     WHICH
7      Insufficient cpu            n0, n1, n2, n3, n4 and 2 more
1      node(s) were unschedulable  n7

RESOURCE  ASKED  MOST LEFT ON A NODE  LEFT ON ALL  LARGEST NODE  NODES SHORT
cpu       3      2500m (n3)           9            4             7

What would help:
  uncordon a node

Its priority lets it take the place of shop/old on node n1.

Warnings:
  Older (3 times): why
  Newer (3 times): why
";
    assert_eq!(text::of(&answer, false), expected);
    assert!(text::of(&answer, true).contains("n0, n1, n2, n3, n4, n5, n6\n"));
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["state"], "unschedulable");
    assert_eq!(json["shortfalls"][0]["freeMostOn"], "n3");
    assert_eq!(json["said"]["message"], "0/9 nodes are available.");
}
