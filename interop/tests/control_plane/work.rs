//! What ends by itself or follows its load: Jobs, CronJobs and autoscalers.

use super::cluster::Space;

/// A Job of a name, with fields of its spec, and annotations that steer its pods.
fn job(name: &str, fields: &str, annotations: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  {fields}
  template:
    metadata: {{annotations: {{{annotations}}}}}
    spec: {{restartPolicy: Never, containers: [{{name: work, image: busybox}}]}}
"
    )
}

pub(crate) fn a_job_completes(space: &Space<'_>) {
    let fields = "completions: 4\n  parallelism: 2";
    space.apply(&job("work", fields, ""));
    space.until_true("job/work", "condition=complete");
    let status = "{.status.succeeded}/{.status.failed}/{.status.active}";
    assert_eq!(space.field("job/work", status), "4//");
    let phases = space.words("pods", "{.items[*].status.phase}");
    assert_eq!(phases, ["Succeeded"; 4]);
    space.until_events(&["Completed"]);
}

pub(crate) fn an_indexed_job_numbers_its_pods(space: &Space<'_>) {
    let fields = "completions: 3\n  parallelism: 3\n  completionMode: Indexed";
    space.apply(&job("parts", fields, ""));
    space.until_true("job/parts", "condition=complete");
    assert_eq!(
        space.field("job/parts", "{.status.completedIndexes}"),
        "0-2"
    );
    let index = r"{.items[*].metadata.annotations.batch\.kubernetes\.io/job-completion-index}";
    assert_eq!(space.words("pods", index), ["0", "1", "2"]);
}

pub(crate) fn a_job_fails(space: &Space<'_>) {
    let annotations = "simulation.mainstay.dev/exit-code: \"3\"";
    space.apply(&job("bad", "backoffLimit: 0", annotations));
    space.until_true("job/bad", "condition=failed");
    let reason = "{.status.conditions[?(@.type==\"Failed\")].reason}/{.status.failed}";
    assert_eq!(space.field("job/bad", reason), "BackoffLimitExceeded/1");
    let code = "{.items[*].status.containerStatuses[*].state.terminated.exitCode}";
    assert_eq!(space.field("pods", code), "3");
}

pub(crate) fn a_cron_job_is_a_mould_for_jobs(space: &Space<'_>) {
    space.kubectl("create cronjob tick --image=busybox --schedule='0 0 1 1 *' -- date");
    let table = space.kubectl("get cronjob tick");
    assert!(table.contains("0 0 1 1 *"), "{table}");
    space.kubectl("create job once --from=cronjob/tick");
    space.until_true("job/once", "condition=complete");
    let owner = "{.metadata.ownerReferences[*].kind}/{.metadata.ownerReferences[*].name}";
    assert_eq!(space.field("job/once", owner), "CronJob/tick");
}

pub(crate) fn an_autoscaler_follows_what_pods_use(space: &Space<'_>) {
    space.apply(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata:
      labels: {app: busy}
      annotations: {simulation.mainstay.dev/cpu-usage: 200m}
    spec: {containers: [{name: busy, image: busy, resources: {requests: {cpu: 100m}}}]}
"#,
    );
    space.kubectl("autoscale deployment busy --cpu-percent=50 --min=1 --max=3");
    space.until("top pods", |text| text.contains("200m"));
    space.until_field("deployment/busy", "{.status.readyReplicas}", "3");
    space.until_field("hpa/busy", "{.status.desiredReplicas}", "3");
    space.until_events(&["SuccessfulRescale"]);
}
