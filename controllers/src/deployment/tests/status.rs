//! What a Deployment's status tells in the course of time.

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Model, at, deployment};

fn condition(model: &Model, kind: &str) -> Value {
    let status = json!(model.deployment.status);
    let conditions = status["conditions"].as_array().unwrap();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap()
        .clone()
}

#[test]
fn a_complete_rollout_is_told_with_all_its_counts() {
    let mut model = Model::new(deployment(3, &json!({})));
    model.settle();
    let mut status = json!(model.deployment.status);
    let conditions = status["conditions"].take();
    let expected = json!({
        "availableReplicas": 3, "readyReplicas": 3, "replicas": 3, "updatedReplicas": 3,
        "terminatingReplicas": 0, "observedGeneration": 1, "conditions": null,
    });
    assert_eq!(status, expected);
    let told: Vec<(&str, &str)> = conditions
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| {
            (
                condition["type"].as_str().unwrap(),
                condition["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Available", "MinimumReplicasAvailable"),
            ("Progressing", "NewReplicaSetAvailable")
        ]
    );
    let name = model.sets[0].metadata.name.clone().unwrap();
    let message = condition(&model, "Progressing")["message"].clone();
    assert_eq!(
        message,
        format!("ReplicaSet {name:?} has successfully progressed.")
    );
}

#[test]
fn progress_moves_the_time_of_update_but_not_that_of_the_status() {
    let mut model = Model::new(deployment(2, &json!({})));
    model.turn();
    model.now = at(1100);
    let name = model.sets[0].metadata.name.clone().unwrap();
    model.sets[0].status = Some(serde_json::from_value(json!({"replicas": 2})).unwrap());
    model.turn();
    let told = condition(&model, "Progressing");
    assert_eq!(told["reason"], "ReplicaSetUpdated");
    assert_eq!(
        told["message"],
        format!("ReplicaSet {name:?} is progressing.")
    );
    assert_eq!(told["lastUpdateTime"], at(1100).to_string());
    assert_eq!(told["lastTransitionTime"], at(1000).to_string());
}

#[test]
fn a_rollout_that_stands_still_is_looked_at_after_its_deadline_and_then_failed() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.broken_image = Some("nginx:1".into());
    model.settle();
    model.now = at(1200);
    assert_eq!(model.turn().next_turn, Some(Duration::from_secs(401)));
    model.now = at(1600);
    assert!(
        model.turn().actions.is_empty(),
        "the deadline itself is not too late"
    );
    model.now = at(1601);
    model.turn();
    let told = condition(&model, "Progressing");
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("False"), &json!("ProgressDeadlineExceeded"))
    );
    let rest = model.turn();
    assert_eq!((rest.actions.len(), rest.next_turn), (0, None));
    model.broken_image = None;
    model.settle();
    assert_eq!(condition(&model, "Progressing")["status"], "True");
}

#[test]
fn a_deployment_without_a_deadline_tells_nothing_of_progress() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.settle();
    model.change(|spec| spec.progress_deadline_seconds = Some(i32::MAX));
    model.settle();
    let status = json!(model.deployment.status);
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_set_that_cannot_make_pods_shows_in_the_deployment() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.turn();
    let failure = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota",
        "lastTransitionTime": at(5).to_string()});
    let status = json!({"replicas": 0, "conditions": [failure]});
    model.sets[0].status = Some(serde_json::from_value(status).unwrap());
    model.turn();
    assert_eq!(condition(&model, "ReplicaFailure")["message"], "quota");
    model.settle();
    let status = json!(model.deployment.status);
    assert_eq!(status["conditions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_set_that_does_not_count_ending_pods_makes_their_number_unknown() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.settle();
    let status = model.sets[0].status.as_mut().unwrap();
    status.terminating_replicas = None;
    model.turn();
    assert_eq!(
        json!(model.deployment.status).get("terminatingReplicas"),
        None
    );
}
