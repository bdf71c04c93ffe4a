//! Pods made and deleted for a workload: in batches, told to its users, and awaited by its next turn.

use client::{Client, DeleteOptions, Error, Failure, Key, Kind, Patch, Write, Written};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::events::Event;
use crate::expectations::Expectations;
use crate::telling::Teller;

/// Pods that are written to by one request.
const BATCH_MAX: usize = 100;

/// A pod that is to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodId {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl PodId {
    pub(crate) fn of(pod: &Pod) -> PodId {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        PodId {
            name: text(&pod.metadata.name),
            uid: text(&pod.metadata.uid),
        }
    }
}

/// What a write to the pod with this uid that failed comes to: nothing, if that pod is gone. A conflict alone does not tell whether another
/// pod has its name or it only changed meanwhile, and so the server is asked.
pub(crate) async fn unless_gone(
    client: &Client,
    key: &Key,
    uid: &str,
    error: Error,
) -> Result<(), Error> {
    if error.is_not_found() {
        return Ok(());
    }
    if !error.is_conflict() {
        return Err(error);
    }
    match client.get::<Pod>(key).await {
        Ok(pod) if pod.metadata.uid.as_deref() == Some(uid) => Err(error),
        Ok(_) => Ok(()),
        Err(gone) if gone.is_not_found() => Ok(()),
        Err(unknown) => Err(unknown),
    }
}

/// Writes pods for one owner in one turn. What it writes must have been awaited before.
pub(crate) struct PodWrites<'a, K> {
    pub(crate) client: &'a Client,
    pub(crate) teller: &'a Teller,
    pub(crate) expectations: &'a Expectations<Key>,
    pub(crate) owner: &'a K,
}

/// How many pods were not made, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) count: usize,
    pub(crate) error: Error,
}

impl<K: Kind> PodWrites<'_, K> {
    /// Makes pods in batches that double, so that a refusal that concerns all of them is met a few times only.
    pub(crate) async fn create(&self, pods: &[Pod]) -> Result<(), Refused> {
        let mut left = pods;
        let mut size = 1;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(size.min(left.len()));
            left = rest;
            size = (size * 2).min(BATCH_MAX);
            let outcomes = self.batch(batch.iter().map(Write::create).collect()).await;
            let refused: Vec<Error> = outcomes
                .into_iter()
                .filter_map(|outcome| self.created(outcome))
                .collect();
            let count = refused.len() + rest.len();
            if let Some(error) = refused.into_iter().next() {
                rest.iter()
                    .for_each(|_| self.expectations.created(&self.key()));
                return Err(Refused { count, error });
            }
        }
        Ok(())
    }

    fn created(&self, outcome: Result<Written, Error>) -> Option<Error> {
        match outcome {
            Ok(written) => {
                let message = format!("Created pod: {}", written.name);
                self.tell(&Event::normal("SuccessfulCreate", message));
                None
            }
            Err(error) => {
                note_failure(self.expectations, &self.key(), &error, Timestamp::now());
                if !error.is_namespace_terminating() {
                    let message = format!("Error creating: {error}");
                    self.tell(&Event::warning("FailedCreate", message));
                }
                Some(error)
            }
        }
    }

    /// Deletes pods. One that is gone already, or whose name another pod has by now, counts as deleted.
    pub(crate) async fn delete(&self, pods: &[PodId]) -> Result<(), Error> {
        let mut failed = None;
        for batch in pods.chunks(BATCH_MAX) {
            let write = |pod: &PodId| {
                Write::delete::<Pod>(&self.pod_key(pod), DeleteOptions::of_uid(pod.uid.clone()))
            };
            let outcomes = self.batch(batch.iter().map(write).collect()).await;
            for (pod, outcome) in batch.iter().zip(outcomes) {
                let Err(error) = outcome else {
                    let message = format!("Deleted pod: {}", pod.name);
                    self.tell(&Event::normal("SuccessfulDelete", message));
                    continue;
                };
                self.expectations.deleted(&self.key(), &pod.uid);
                if !error.is_not_found() && !error.is_conflict() {
                    let message = format!("Error deleting: {error}");
                    self.tell(&Event::warning("FailedDelete", message));
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Takes a finalizer off pods, and returns those that could not be written to. One that is gone has none.
    pub(crate) async fn release<'p>(
        &self,
        pods: &'p [PodId],
        finalizer: &str,
    ) -> Vec<(&'p PodId, Error)> {
        let mut failed = Vec::new();
        for batch in pods.chunks(BATCH_MAX) {
            let write = |pod: &PodId| {
                Write::patch::<Pod>(&self.pod_key(pod), without_finalizer(&pod.uid, finalizer))
            };
            let outcomes = self.batch(batch.iter().map(write).collect()).await;
            let outcomes = batch.iter().zip(outcomes);
            failed.extend(outcomes.filter_map(|(pod, outcome)| {
                let error = outcome.err()?;
                let is_gone = error.is_not_found() || error.is_conflict() || error.is_invalid();
                (!is_gone).then_some((pod, error))
            }));
        }
        failed
    }

    /// The outcomes of writes, which all failed when the request did.
    async fn batch(&self, writes: Vec<Write>) -> Vec<Result<Written, Error>> {
        let count = writes.len();
        match self.client.batch(writes).await {
            Ok(outcomes) => {
                let failed = |failure: Failure| Error::from(failure);
                outcomes
                    .into_iter()
                    .map(|outcome| outcome.map_err(failed))
                    .collect()
            }
            Err(error) => vec![Err(error); count],
        }
    }

    fn key(&self) -> Key {
        Key::of(self.owner)
    }

    fn pod_key(&self, pod: &PodId) -> Key {
        Key::new(self.key().namespace, pod.name.clone())
    }

    fn tell(&self, event: &Event) {
        self.teller.tell(self.owner, event);
    }
}

/// Takes a create that failed out of what is awaited, unless the pod may show all the same. Made again before that, it would be there
/// twice, for its name is the server's choice.
fn note_failure(expectations: &Expectations<Key>, key: &Key, error: &Error, now: Timestamp) {
    if error.outcome_unknown() {
        expectations.doubt(key, now);
    } else {
        expectations.created(key);
    }
}

/// A patch that takes a finalizer off the pod with this uid, and no other.
pub(crate) fn without_finalizer(uid: &str, finalizer: &str) -> Patch {
    Patch::Strategic(json!({"metadata": {
        "uid": uid, "$deleteFromPrimitiveList/finalizers": [finalizer],
    }}))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_create_whose_outcome_is_unknown_is_still_awaited() {
        let soon = Some(Duration::from_secs(30));
        for (error, left) in [
            (Error::Lost("reset".to_owned()), soon),
            (Error::TimedOut(Duration::from_secs(5)), soon),
            (Error::Unreachable("refused".to_owned()), None),
            (Error::Invalid("too large".to_owned()), None),
            (Error::TermOver, None),
        ] {
            let (expectations, key) = (Expectations::default(), Key::new("ns", "set"));
            let now = Timestamp::UNIX_EPOCH;
            expectations.await_creates(&key, 1, now);
            note_failure(&expectations, &key, &error, now);
            assert_eq!(expectations.left(&key, now), left, "{error}");
        }
    }
}
