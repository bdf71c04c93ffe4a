//! Bindings whose answer was lost: whether they were done is read from the pods.
//!
//! Until that is known a pod counts on its node. If it gave the node back while it is bound there, others would be put in its place.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use client::{Error, Failure};
use futures::future;
use k8s_openapi::api::core::v1::Pod;
use tokio::time;

use super::Carrier;
use crate::{inbox::News, pod::PodView, writes};

/// Most bindings of which it is to be read whether they were done; beyond it they count as failed.
pub(super) const LOST_MAX: usize = 65_536;
/// Pods that are read together.
const READS_AT_ONCE: usize = 64;
/// Pause after a read that failed.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// What is known of a binding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// It was not done, and will not be.
    Refused(String),
    /// It may have been done.
    Lost(String),
}

impl Answer {
    /// Answers to so many bindings that were sent together.
    pub(super) fn all(told: Result<Vec<Result<(), Failure>>, Error>, count: usize) -> Vec<Answer> {
        match told {
            Ok(outcomes) => outcomes.into_iter().map(Answer::of).collect(),
            Err(error) => {
                tracing::warn!(%error, pods = count, "pods cannot be bound");
                let message = error.to_string();
                let answer = |_| Answer::failed(error.outcome_unknown(), message.clone());
                (0..count).map(answer).collect()
            }
        }
    }

    fn of(outcome: Result<(), Failure>) -> Answer {
        match outcome {
            Ok(()) => Answer::Done,
            Err(failure) => Answer::failed(failure.outcome_unknown(), failure.to_string()),
        }
    }

    fn failed(outcome_unknown: bool, message: String) -> Answer {
        if outcome_unknown {
            Answer::Lost(message)
        } else {
            Answer::Refused(message)
        }
    }
}

/// A binding that may have been done.
pub(super) struct Lost {
    pub(super) pod: Arc<PodView>,
    pub(super) node: Arc<str>,
    /// Why nobody knows.
    pub(super) message: String,
    /// When it was sent.
    pub(super) began: Instant,
}

impl Lost {
    /// What a read of the pod says of the binding; `None` if it says nothing.
    fn outcome(&self, read: &Result<Pod, Error>) -> Option<Result<(), String>> {
        let found = match read {
            Ok(found) => found,
            Err(error) if error.is_object_not_found() => {
                return Some(Err("the pod is gone".to_owned()));
            }
            Err(_) => return None,
        };
        if found.metadata.uid.as_deref() != Some(&*self.pod.uid) {
            return Some(Err("the pod is gone".to_owned()));
        }
        let node = found
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_deref());
        Some(match node.unwrap_or_default() {
            "" => Err(self.message.clone()),
            node if *node == *self.node => Ok(()),
            other => Err(format!("the pod is on node {other:?}")),
        })
    }
}

impl Carrier {
    /// Has it read later whether a binding was done.
    pub(super) fn lose(&self, lost: Lost) {
        let (uid, message) = (lost.pod.uid.clone(), lost.message.clone());
        if !self.lost.push(lost) {
            let outcome = Err(message);
            self.inbox.tell([News::Bound { uid, outcome }]);
        }
    }

    /// Reads for ever what became of bindings.
    pub(super) async fn find_lost(&self) {
        loop {
            let batch = self.lost.take(READS_AT_ONCE).await;
            let reads = batch.iter().map(|one| {
                let key = writes::key(&one.pod);
                async move { self.client.get::<Pod>(&key).await }
            });
            let reads = future::join_all(reads).await;
            let mut news = Vec::new();
            let mut unknown = Vec::new();
            for (lost, read) in batch.into_iter().zip(reads) {
                let Some(outcome) = lost.outcome(&read) else {
                    unknown.push(lost);
                    continue;
                };
                let point = (lost.pod.scheduler_name.clone(), outcome.is_ok());
                self.figures
                    .bound([point].into_iter(), lost.began.elapsed());
                news.push(self.bound(&lost.pod, &lost.node, outcome));
            }
            self.inbox.tell(news);
            if !unknown.is_empty() {
                tracing::warn!(
                    pods = unknown.len(),
                    "it cannot be read whether pods were bound"
                );
                time::sleep(READ_PAUSE).await;
                unknown.into_iter().for_each(|lost| self.lose(lost));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;
    use crate::resources::ResourceNames;

    #[test]
    fn what_was_certainly_not_sent_is_refused_and_what_may_have_arrived_is_lost() {
        let answer = |error: Error| Answer::all(Err(error), 2);
        let words = || "w".to_owned();
        for error in [
            Error::Lost(words()),
            Error::TimedOut(Duration::ZERO),
            Error::Malformed(words()),
        ] {
            let lost = Answer::Lost(error.to_string());
            let again = Answer::Lost(error.to_string());
            assert_eq!(answer(error), [lost, again]);
        }
        for error in [
            Error::Unreachable(words()),
            Error::Invalid(words()),
            Error::TermOver,
        ] {
            let refused = Answer::Refused(error.to_string());
            let again = Answer::Refused(error.to_string());
            assert_eq!(answer(error), [refused, again]);
        }
        assert_eq!(Answer::all(Ok(vec![Ok(())]), 1), [Answer::Done]);
    }

    #[test]
    fn a_pod_tells_whether_it_was_bound_and_a_read_that_fails_tells_nothing() {
        let pod = |uid: &str, node: Option<&str>| -> Pod {
            let pod = json!({
                "metadata": {"namespace": "default", "name": "p", "uid": uid},
                "spec": {"containers": [], "nodeName": node},
            });
            from_value(pod).expect("the test is written so")
        };
        let lost = Lost {
            pod: Arc::new(PodView::new(&pod("1", None), &ResourceNames::default())),
            node: "n".into(),
            message: "no answer".to_owned(),
            began: Instant::now(),
        };
        let failed = |words: &str| Some(Err(words.to_owned()));
        let cases = [
            (Ok(pod("1", Some("n"))), Some(Ok(()))),
            (Ok(pod("1", None)), failed("no answer")),
            (Ok(pod("1", Some(""))), failed("no answer")),
            (Ok(pod("1", Some("m"))), failed("the pod is on node \"m\"")),
            (Ok(pod("2", Some("n"))), failed("the pod is gone")),
            (Err(Error::Lost(String::new())), None),
            (Err(Error::Unreachable(String::new())), None),
            (Err(Error::TimedOut(Duration::ZERO)), None),
        ];
        for (read, expected) in cases {
            assert_eq!(lost.outcome(&read), expected, "{read:?}");
        }
    }
}
