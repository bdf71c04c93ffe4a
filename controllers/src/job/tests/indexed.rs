//! Jobs with completion indexes.

use serde_json::{Value, json};

use super::{Model, merge};
use crate::job::view::{INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, completion_index};

fn indexed(spec: Value) -> Model {
    let mut whole = json!({"completionMode": "Indexed"});
    merge(&mut whole, spec);
    Model::of(whole)
}

fn indexes(model: &Model) -> Vec<u32> {
    let active = model.pods.iter().filter(|pod| crate::pods::is_active(pod));
    let mut indexes: Vec<u32> = active.filter_map(|pod| completion_index(pod)).collect();
    indexes.sort_unstable();
    indexes
}

/// Ends the active pod of an index.
fn exit(model: &mut Model, index: u32, code: i32) {
    let active = model.pods.iter().filter(|pod| crate::pods::is_active(pod));
    let at = active
        .into_iter()
        .position(|pod| completion_index(pod) == Some(index))
        .unwrap();
    model.exit(at, code);
}

#[test]
fn pods_carry_their_index_in_name_label_annotation_hostname_and_environment() {
    let mut model = indexed(json!({"parallelism": 2, "completions": 2}));
    model.settle();
    let pod = model
        .pods
        .iter()
        .find(|pod| completion_index(pod) == Some(1))
        .unwrap();
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("job-1-"));
    assert_eq!(pod.metadata.labels.as_ref().unwrap()[INDEX], "1");
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("job-1"));
    let variable = &spec.containers[0].env.as_ref().unwrap()[0];
    assert_eq!(variable.name, "JOB_COMPLETION_INDEX");
    let path = &variable
        .value_from
        .as_ref()
        .unwrap()
        .field_ref
        .as_ref()
        .unwrap()
        .field_path;
    assert_eq!(
        path,
        "metadata.labels['batch.kubernetes.io/job-completion-index']"
    );
}

#[test]
fn each_index_succeeds_once_and_the_lowest_free_ones_come_first() {
    let mut model = indexed(json!({"parallelism": 2, "completions": 4}));
    model.settle();
    assert_eq!(indexes(&model), [0, 1]);
    exit(&mut model, 1, 0);
    model.settle();
    assert_eq!(
        (indexes(&model), model.status().completed_indexes.as_deref()),
        (vec![0, 2], Some("1"))
    );
    exit(&mut model, 0, 1);
    model.settle();
    model.pass(10);
    model.settle();
    assert_eq!(indexes(&model), [0, 2]);
    for index in [0, 2, 3] {
        exit(&mut model, index, 0);
        model.settle();
    }
    let status = model.status();
    assert_eq!(
        (
            status.completed_indexes.as_deref(),
            status.succeeded,
            status.failed
        ),
        (Some("0-3"), Some(4), Some(1))
    );
    assert!(model.finished());
}

#[test]
fn pods_of_an_index_that_is_taken_or_too_high_are_withdrawn() {
    let mut model = indexed(json!({"parallelism": 2, "completions": 2}));
    model.settle();
    let mut twin = (*model.pods[0]).clone();
    twin.metadata.uid = Some("twin".to_owned());
    let mut high = (*model.pods[0]).clone();
    high.metadata.uid = Some("high".to_owned());
    high.metadata
        .annotations
        .as_mut()
        .unwrap()
        .insert(INDEX.to_owned(), "7".to_owned());
    model.pods.extend([twin.into(), high.into()]);
    model.settle();
    assert_eq!((indexes(&model), model.status().failed), (vec![0, 1], None));
}

#[test]
fn with_a_limit_for_each_index_a_failed_index_does_not_stop_the_others() {
    let mut model = indexed(json!({"parallelism": 3, "completions": 3, "backoffLimitPerIndex": 1}));
    model.set(json!({"backoffLimit": i32::MAX}));
    model.settle();
    exit(&mut model, 1, 1);
    let plan = model.settle();
    assert_eq!(
        (indexes(&model), plan.next.map(|next| next.as_secs())),
        (vec![0, 2], Some(10))
    );
    model.pass(10);
    model.settle();
    let again = model
        .pods
        .iter()
        .find(|pod| crate::pods::is_active(pod) && completion_index(pod) == Some(1))
        .unwrap();
    assert_eq!(
        again.metadata.annotations.as_ref().unwrap()[INDEX_FAILURES],
        "1"
    );
    exit(&mut model, 1, 1);
    model.settle();
    let status = model.status();
    assert_eq!(
        (status.failed_indexes.as_deref(), model.finished()),
        (Some("1"), false)
    );
    exit(&mut model, 0, 0);
    exit(&mut model, 2, 0);
    model.settle();
    let status = model.status();
    assert_eq!(
        (
            status.completed_indexes.as_deref(),
            status.failed_indexes.as_deref()
        ),
        (Some("0,2"), Some("1"))
    );
    assert_eq!((status.succeeded, status.failed), (Some(2), Some(2)));
    assert_eq!(
        model.conditions(),
        ["FailureTarget FailedIndexes", "Failed FailedIndexes"]
    );
    assert_eq!(model.events, ["FailedIndexes: Job has failed indexes"]);
}

#[test]
fn too_many_failed_indexes_end_the_job() {
    let mut model = indexed(json!({
        "parallelism": 4, "completions": 4, "backoffLimitPerIndex": 0, "maxFailedIndexes": 1, "backoffLimit": i32::MAX
    }));
    model.settle();
    exit(&mut model, 1, 1);
    model.settle();
    assert!(!model.finished());
    exit(&mut model, 3, 1);
    model.settle();
    assert_eq!(model.status().failed_indexes.as_deref(), Some("1,3"));
    assert_eq!(
        model.conditions(),
        [
            "FailureTarget MaxFailedIndexesExceeded",
            "Failed MaxFailedIndexesExceeded"
        ]
    );
}

#[test]
fn a_failure_policy_fails_an_index_at_once_or_counts_what_it_ignores_apart() {
    let rules = json!([
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    ]);
    let mut model = indexed(json!({
        "parallelism": 2, "completions": 2, "backoffLimitPerIndex": 3, "backoffLimit": i32::MAX,
        "podFailurePolicy": {"rules": rules},
    }));
    model.settle();
    exit(&mut model, 0, 42);
    exit(&mut model, 1, 7);
    model.settle();
    model.pass(10);
    model.settle();
    assert_eq!(
        (model.status().failed_indexes.as_deref(), indexes(&model)),
        (Some("0"), vec![1])
    );
    let again = model
        .pods
        .iter()
        .find(|pod| crate::pods::is_active(pod))
        .unwrap();
    let annotations = again.metadata.annotations.as_ref().unwrap();
    assert_eq!(
        (
            annotations[INDEX_FAILURES].as_str(),
            annotations[INDEX_IGNORED_FAILURES].as_str()
        ),
        ("0", "1")
    );
}

#[test]
fn a_success_policy_ends_the_job_before_all_indexes_are_done() {
    let rules = json!([{"succeededIndexes": "0-1", "succeededCount": 1}]);
    let mut model =
        indexed(json!({"parallelism": 3, "completions": 3, "successPolicy": {"rules": rules}}));
    model.settle();
    exit(&mut model, 1, 0);
    model.settle();
    let status = model.status();
    assert_eq!(
        model.conditions(),
        ["SuccessCriteriaMet SuccessPolicy", "Complete SuccessPolicy"]
    );
    assert_eq!(
        (status.succeeded, status.failed, model.active()),
        (Some(1), None, 0)
    );
}
