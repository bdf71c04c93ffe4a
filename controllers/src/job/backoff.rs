//! How long a Job waits after failed pods before it makes another: 10 s, doubled by each failure up to 10 min.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The wait after one failure.
pub(super) const FIRST: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// The failures since the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: Option<Timestamp>,
}

impl Failures {
    /// What becomes of the record when these pods finished: a success forgets every failure before it.
    pub(super) fn after(&self, succeeded: &[&Pod], failed: &[&Pod]) -> Failures {
        let success = succeeded.iter().map(|pod| finished_at(pod)).max();
        let recent = failed
            .iter()
            .map(|pod| finished_at(pod))
            .filter(|at| success.is_none_or(|success| *at > success));
        let (count, last) = recent.fold((0, None), |(count, last), at| {
            (count + 1, last.max(Some(at)))
        });
        match success {
            Some(_) => Failures { count, last },
            None => Failures {
                count: self.count.saturating_add(count),
                last: last.or(self.last),
            },
        }
    }

    pub(super) fn wait(&self, now: Timestamp) -> SignedDuration {
        match self.last {
            Some(last) => wait(self.count, last, now),
            None => SignedDuration::ZERO,
        }
    }
}

/// What is left of the wait for the `count`th failure, which was at `last`.
pub(super) fn wait(count: u32, last: Timestamp, now: Timestamp) -> SignedDuration {
    let Some(doublings) = count.checked_sub(1) else {
        return SignedDuration::ZERO;
    };
    let longest = LONGEST.as_secs() / FIRST.as_secs();
    let factor = 1i64
        .checked_shl(doublings.min(32))
        .unwrap_or(longest)
        .min(longest);
    let whole = SignedDuration::from_secs(FIRST.as_secs() * factor);
    (whole - now.duration_since(last)).max(SignedDuration::ZERO)
}

/// When a pod ended: by its containers, else by its Ready condition, else by its deletion, else its creation.
pub(super) fn finished_at(pod: &Pod) -> Timestamp {
    let meta = &pod.metadata;
    let deleted = || {
        let grace = SignedDuration::from_secs(meta.deletion_grace_period_seconds.unwrap_or(0));
        meta.deletion_timestamp
            .as_ref()
            .and_then(|at| at.0.checked_sub(grace).ok())
    };
    let created = || {
        meta.creation_timestamp
            .as_ref()
            .map(|at| at.0)
            .unwrap_or(Timestamp::UNIX_EPOCH)
    };
    containers_ended_at(pod)
        .or_else(|| unready_at(pod))
        .or_else(deleted)
        .unwrap_or_else(created)
}

fn containers_ended_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let restarts = |name: &str| {
        let init = pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten());
        init.into_iter().any(|container| {
            container.name == name && container.restart_policy.as_deref() == Some("Always")
        })
    };
    let ended = |container: &ContainerStatus| {
        container
            .state
            .as_ref()?
            .terminated
            .as_ref()?
            .finished_at
            .as_ref()
            .map(|at| at.0)
    };
    let sidecars = status
        .init_container_statuses
        .iter()
        .flatten()
        .filter(|container| restarts(&container.name));
    let counted = status.container_statuses.iter().flatten().chain(sidecars);
    counted
        .map(ended)
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

fn unready_at(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "False")?;
    ready.last_transition_time.as_ref().map(|at| at.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn pod(metadata: Value, status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn ended(second: i64) -> Pod {
        let ended = json!({"terminated": {"exitCode": 1, "finishedAt": at(second).to_string()}});
        let container = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended});
        pod(json!({}), json!({"containerStatuses": [container]}))
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest() {
        let cases = [
            (0, 0, 0),
            (1, 0, 10),
            (1, 4, 6),
            (2, 0, 20),
            (3, 5, 35),
            (7, 0, 600),
            (80, 0, 600),
            (1, 30, 0),
        ];
        for (count, passed, left) in cases {
            assert_eq!(
                wait(count, at(0), at(passed)).as_secs(),
                left,
                "{count} failures, {passed} s ago"
            );
        }
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let record = Failures {
            count: 3,
            last: Some(at(5)),
        };
        let cases: [(&[i64], &[i64], Failures); 5] = [
            (&[], &[], record.clone()),
            (
                &[],
                &[9, 7],
                Failures {
                    count: 5,
                    last: Some(at(9)),
                },
            ),
            (&[20], &[], Failures::default()),
            (&[20], &[10, 20], Failures::default()),
            (
                &[6, 20],
                &[10, 21, 30],
                Failures {
                    count: 2,
                    last: Some(at(30)),
                },
            ),
        ];
        for (succeeded, failed, expected) in cases {
            let (good, bad): (Vec<Pod>, Vec<Pod>) = (
                succeeded.iter().map(|at| ended(*at)).collect(),
                failed.iter().map(|at| ended(*at)).collect(),
            );
            let after = record.after(
                &good.iter().collect::<Vec<_>>(),
                &bad.iter().collect::<Vec<_>>(),
            );
            assert_eq!(after, expected, "{succeeded:?} {failed:?}");
        }
    }

    #[test]
    fn the_end_of_a_pod_is_read_from_the_best_witness() {
        let created = json!({"creationTimestamp": at(1).to_string()});
        let deleted = json!({
            "creationTimestamp": at(1).to_string(), "deletionTimestamp": at(50).to_string(), "deletionGracePeriodSeconds": 30
        });
        let ready = json!({"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(7).to_string()}]});
        assert_eq!(finished_at(&pod(created, json!({}))), at(1));
        assert_eq!(finished_at(&pod(deleted.clone(), json!({}))), at(20));
        assert_eq!(finished_at(&pod(deleted, ready)), at(7));
        assert_eq!(finished_at(&ended(9)), at(9));
    }

    #[test]
    fn a_container_that_still_runs_says_nothing_of_the_end() {
        let running = json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}});
        let pod = pod(
            json!({"creationTimestamp": at(1).to_string()}),
            json!({"containerStatuses": [running]}),
        );
        assert_eq!(finished_at(&pod), at(1));
    }
}
