//! Deployments, their sets and a small model of the cluster around them.

mod model;
mod scaling;
mod status;

use super::*;
use model::{Model, at, deployment};
use serde_json::json;

use crate::hash;

#[test]
fn a_new_deployment_gets_one_set_of_its_template() {
    let mut model = Model::new(deployment(3, &json!({})));
    let plan = model.turn();
    let [
        Action::Create { set, event },
        Action::Status { status, revision },
    ] = &plan.actions[..]
    else {
        panic!("{plan:?}")
    };
    let hash = set.metadata.labels.as_ref().unwrap()[hash::TEMPLATE_HASH_LABEL].clone();
    let name = format!("web-{hash}");
    assert_eq!(set.metadata.name.as_deref(), Some(name.as_str()));
    let tree = json!(set);
    assert_eq!(
        tree["metadata"]["annotations"],
        json!({
            "deployment.kubernetes.io/revision": "1",
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
            "note": "mine",
        })
    );
    let labels = json!({"app": "web", "pod-template-hash": hash});
    assert_eq!(tree["metadata"]["labels"], labels);
    assert_eq!(tree["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(tree["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(tree["metadata"]["ownerReferences"][0]["uid"], "web-uid");
    assert_eq!(tree["spec"]["replicas"], 3);
    let message = format!("Scaled up replica set {name} from 0 to 3");
    assert_eq!(event, &Some(Event::normal("ScalingReplicaSet", message)));
    assert_eq!(revision.as_deref(), Some("1"));
    let conditions = json!(status.conditions);
    assert_eq!(conditions[0]["reason"], "NewReplicaSetCreated");
    assert_eq!(
        conditions[0]["message"],
        format!("Created new replica set {name:?}")
    );
    assert_eq!(conditions[1]["reason"], "MinimumReplicasUnavailable");
}

#[test]
fn a_rolling_update_keeps_its_limits_and_ends() {
    let amounts = json!([0, 1, 3, "25%", "50%", "100%"]);
    let amounts = amounts.as_array().unwrap();
    for replicas in [0, 1, 2, 4, 10] {
        for surge in amounts {
            for unavailable in amounts {
                let update = json!({"maxSurge": surge, "maxUnavailable": unavailable});
                let extra =
                    json!({"/spec/strategy": {"type": "RollingUpdate", "rollingUpdate": update}});
                let mut model = Model::new(deployment(replicas, &extra));
                model.settle();
                model.set_image("nginx:2");
                model.settle_within_limits();
                assert_eq!(
                    model.sizes(),
                    [("nginx:1".into(), 0), ("nginx:2".into(), replicas)],
                    "{update}"
                );
                assert_eq!(model.reason("Progressing"), "NewReplicaSetAvailable");
            }
        }
    }
}

#[test]
fn a_rollout_that_never_becomes_available_stops_within_its_limits() {
    let mut model = Model::new(deployment(
        10,
        &json!({"/spec/strategy/rollingUpdate": {
            "maxSurge": 3, "maxUnavailable": 2,
        }}),
    ));
    model.settle();
    model.broken_image = Some("nginx:bad".into());
    model.set_image("nginx:bad");
    model.settle_within_limits();
    assert_eq!(
        model.sizes(),
        [("nginx:1".into(), 8), ("nginx:bad".into(), 5)]
    );
    model.now = at(10_000);
    model.settle();
    assert_eq!(model.reason("Progressing"), "ProgressDeadlineExceeded");
    model.set_image("nginx:1");
    model.settle_within_limits();
    assert_eq!(
        model.sizes(),
        [("nginx:1".into(), 10), ("nginx:bad".into(), 0)]
    );
    assert_eq!(model.reason("Progressing"), "NewReplicaSetAvailable");
}

#[test]
fn going_back_uses_the_old_set_again_under_a_new_number() {
    let mut model = Model::new(deployment(2, &json!({})));
    for image in ["nginx:1", "nginx:2", "nginx:1"] {
        model.set_image(image);
        model.settle();
    }
    assert_eq!(model.sets.len(), 2);
    let again = model.set_of("nginx:1");
    let annotations = again.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(
        annotations["deployment.kubernetes.io/revision-history"],
        "1"
    );
    let own = model.deployment.metadata.annotations.as_ref().unwrap();
    assert_eq!(own["deployment.kubernetes.io/revision"], "3");
}

#[test]
fn a_replacement_starts_when_no_old_pod_runs() {
    let mut model = Model::new(deployment(
        3,
        &json!({"/spec/strategy": {"type": "Recreate"}}),
    ));
    model.settle();
    model.set_image("nginx:2");
    model.lingering = Some(model.set_of("nginx:1").metadata.uid.clone().unwrap());
    model.settle();
    assert_eq!(
        model.sizes(),
        [("nginx:1".into(), 0)],
        "a pod of it still ends"
    );
    model.lingering = None;
    model.settle();
    assert_eq!(
        model.sizes(),
        [("nginx:1".into(), 0), ("nginx:2".into(), 3)]
    );
}

#[test]
fn a_paused_deployment_scales_but_starts_nothing() {
    let mut model = Model::new(deployment(3, &json!({})));
    model.settle();
    model.change(|spec| spec.paused = Some(true));
    model.set_image("nginx:2");
    model.change(|spec| spec.replicas = Some(5));
    model.settle();
    assert_eq!(model.sizes(), [("nginx:1".into(), 5)]);
    assert_eq!(model.reason("Progressing"), "DeploymentPaused");
    model.change(|spec| spec.paused = Some(false));
    let plan = model.turn();
    assert!(
        matches!(&plan.actions[0], Action::Create { .. }),
        "{plan:?}"
    );
    model.settle();
    assert_eq!(model.reason("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(
        model.sizes(),
        [("nginx:1".into(), 0), ("nginx:2".into(), 5)]
    );
}

#[test]
fn old_sets_beyond_the_limit_are_deleted_from_the_oldest() {
    let mut model = Model::new(deployment(1, &json!({"/spec/revisionHistoryLimit": 2})));
    for version in 1..=5 {
        model.set_image(&format!("nginx:{version}"));
        model.settle();
    }
    let images: Vec<String> = model.sizes().into_iter().map(|(image, _)| image).collect();
    assert_eq!(images, ["nginx:3", "nginx:4", "nginx:5"]);
}

#[test]
fn a_set_that_exists_is_ours_or_a_collision() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.settle();
    let set = model.sets[0].clone();
    assert_eq!(existing(&model.deployment, &set), Existing::Ours);
    let mut foreign = set.clone();
    foreign.metadata.owner_references = None;
    let Existing::Collision(Action::Status { status, .. }) = existing(&model.deployment, &foreign)
    else {
        panic!("it is another's")
    };
    assert_eq!(status.collision_count, Some(1));
    model.deployment.status = Some(*status);
    model.sets.clear();
    model.turn();
    assert_ne!(
        model.sets[0].metadata.name, set.metadata.name,
        "the next name is another"
    );
}

#[test]
fn a_set_that_cannot_be_made_shows_in_the_status() {
    let deployment = deployment(1, &json!({}));
    let (action, event) = after_failure(&deployment, "web-x", "quota", at(7));
    let message = "Failed to create new replica set \"web-x\": quota";
    assert_eq!(event, Event::warning("ReplicaSetCreateError", message));
    let Some(Action::Status { status, .. }) = action else {
        panic!("nothing is told")
    };
    let condition = json!(status.conditions)[0].clone();
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("False"), &json!("ReplicaSetCreateError"))
    );
}

#[test]
fn a_deployment_that_selects_all_is_left_alone() {
    let plan = decide(
        &State {
            deployment: &deployment(1, &json!({"/spec/selector": {}})),
            sets: &[],
            with_pods: &[],
        },
        at(0),
    );
    assert_eq!(plan.events[0].reason, "SelectingAll");
    assert!(
        matches!(&plan.actions[..], [Action::Status { .. }]),
        "{plan:?}"
    );
}

#[test]
fn a_deployment_that_goes_only_tells_its_status() {
    let mut model = Model::new(deployment(3, &json!({})));
    model.settle();
    model.deployment.metadata.deletion_timestamp = Some(crate::patches::time(at(1)));
    model.set_image("nginx:2");
    for action in model.turn().actions {
        assert!(matches!(action, Action::Status { .. }), "{action:?}");
    }
}

#[test]
fn a_set_for_all_pods_of_the_deployment_follows_its_annotations_and_seconds() {
    let mut model = Model::new(deployment(1, &json!({})));
    model.settle();
    model.change(|spec| spec.min_ready_seconds = Some(7));
    let annotations = model.deployment.metadata.annotations.as_mut().unwrap();
    annotations.insert("note".into(), "other".into());
    model.settle();
    let set = &model.sets[0];
    assert_eq!(set.spec.as_ref().unwrap().min_ready_seconds, Some(7));
    assert_eq!(set.metadata.annotations.as_ref().unwrap()["note"], "other");
}
