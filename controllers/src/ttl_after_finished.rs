//! Jobs that are deleted some time after they have finished.

use client::{Client, DeleteOptions, Error, Key, Next, Propagation, Store};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

use crate::context::Context;

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let jobs = context.informers.of::<Job>();
    let queue = context.queue("ttl_jobs_to_delete");
    let of_jobs = queue.clone();
    jobs.on_change(move |change| {
        if left(change.object(), Timestamp::now()).is_some() {
            of_jobs.add(Key::of(change.object().as_ref()));
        }
    });
    let (client, store) = (context.client.clone(), jobs.store());
    let workers = context.options.workers.concurrent_ttl_after_finished_syncs;
    let ready = async move { jobs.synced().await };
    context.work(
        ("ttl-after-finished-controller", workers),
        queue,
        ready,
        move |key: Key| {
            let (client, store) = (client.clone(), store.clone());
            async move { sync(&client, &store, &key).await }
        },
    );
}

async fn sync(client: &Client, jobs: &Store<Job>, key: &Key) -> Result<Next, Error> {
    let left_of = |job: &Job| left(job, Timestamp::now());
    match jobs.get(key).and_then(|job| left_of(&job)) {
        None => return Ok(Next::Done),
        Some(left) if left.is_positive() => return Ok(Next::After(left.unsigned_abs())),
        Some(_) => {}
    }
    // The cache may be old, and what is deleted stays so.
    let live: Job = match client.get(key).await {
        Err(error) if error.is_not_found() => return Ok(Next::Done),
        live => live?,
    };
    match left_of(&live) {
        None => return Ok(Next::Done),
        Some(left) if left.is_positive() => return Ok(Next::After(left.unsigned_abs())),
        Some(_) => {}
    }
    let options = DeleteOptions {
        propagation: Propagation::Foreground,
        ..DeleteOptions::of_uid(live.metadata.uid.unwrap_or_default())
    };
    match client.delete::<Job>(key, &options).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(Next::Done),
    }
}

/// How long a Job has left, which is nothing once it is due; none if no time takes it away.
fn left(job: &Job, now: Timestamp) -> Option<SignedDuration> {
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let kept = SignedDuration::from_secs(job.spec.as_ref()?.ttl_seconds_after_finished?.into());
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let mut ends =
        conditions.filter(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
    let end = ends.find(|condition| condition.status == "True")?;
    let passed = now.duration_since(end.last_transition_time.as_ref()?.0);
    Some(kept.saturating_sub(passed).max(SignedDuration::ZERO))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_finished_job_is_kept_for_its_time_and_no_other_job_is_touched() {
        let ended = |end: &str, status: &str| json!({"conditions": [{"type": end, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        let ttl = json!({"ttlSecondsAfterFinished": 100, "template": {}});
        let cases = [
            (json!({}), ttl.clone(), ended("Complete", "True"), Some(60)),
            (json!({}), ttl.clone(), ended("Failed", "True"), Some(60)),
            (
                json!({}),
                json!({"ttlSecondsAfterFinished": 40, "template": {}}),
                ended("Failed", "True"),
                Some(0),
            ),
            (
                json!({}),
                json!({"ttlSecondsAfterFinished": 0, "template": {}}),
                ended("Complete", "True"),
                Some(0),
            ),
            (json!({}), ttl.clone(), ended("Complete", "False"), None),
            (
                json!({}),
                ttl.clone(),
                ended("SuccessCriteriaMet", "True"),
                None,
            ),
            (
                json!({}),
                json!({"template": {}}),
                ended("Complete", "True"),
                None,
            ),
            (
                json!({"deletionTimestamp": "2026-01-01T00:00:01Z"}),
                ttl,
                ended("Complete", "True"),
                None,
            ),
        ];
        for (metadata, spec, status, seconds) in cases {
            let job: Value = json!({"metadata": metadata, "spec": spec, "status": status});
            let now = "2026-01-01T00:00:40Z".parse().unwrap();
            let found = left(&serde_json::from_value(job.clone()).unwrap(), now);
            assert_eq!(found.map(|left| left.as_secs()), seconds, "{job}");
        }
    }
}
