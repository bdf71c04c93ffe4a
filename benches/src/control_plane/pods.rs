//! What a watch of all pods tells: which came, got their nodes and ran, and when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use proto::api;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::apiserver::grpc::Answers;
use crate::control_plane::api::{Api, core};
use crate::control_plane::plane::Plane;

/// Without anything new for so long nothing will come any more.
const STALL_MAX: Duration = Duration::from_secs(60);
const PROGRESS_EACH: Duration = Duration::from_secs(5);
/// How often it is looked whether a process has ended.
const LOOK_EACH: Duration = Duration::from_millis(200);

/// A pod's times, as the watch told them.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub added: Instant,
    pub bound: Option<Instant>,
    /// Running, or over already.
    pub ran: Option<Instant>,
    pub succeeded: Option<Instant>,
}

/// How far a pod must have come.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    Added,
    Bound,
    Ran,
    Succeeded,
}

impl Times {
    pub fn of(&self, stage: Stage) -> Option<Instant> {
        match stage {
            Stage::Added => Some(self.added),
            Stage::Bound => self.bound,
            Stage::Ran => self.ran,
            Stage::Succeeded => self.succeeded,
        }
    }
}

/// Pods of one namespace, also those that are gone again.
#[derive(Debug, Default)]
struct Group {
    pods: HashMap<String, Times>,
    /// By `Stage`.
    counts: [usize; 4],
}

#[derive(Debug, Default)]
struct Seen {
    groups: HashMap<String, Group>,
    has_all: bool,
    failure: Option<String>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(rename = "nodeName", default)]
    node: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    phase: Option<&'a str>,
}

/// A running watch of all pods.
pub struct Pods {
    shared: Arc<(Mutex<Seen>, Notify)>,
    /// The task that reads the watch; it ends with this.
    _task: JoinSet<()>,
}

impl Pods {
    /// Opens the watch and waits until it tells of changes.
    pub async fn watch(api: &Api, plane: &mut Plane) -> Result<Pods> {
        let message = api::WatchRequest {
            target: Some(core("pods", "", "")),
            initial_events: Some(true),
            bookmarks: true,
            ..Default::default()
        };
        let mut answers = Answers::open(api.client(), "Watch", &message).await?;
        let shared = Arc::new((Mutex::new(Seen::default()), Notify::new()));
        let (told, mut task) = (shared.clone(), JoinSet::new());
        task.spawn(async move {
            let failure = loop {
                match answers.next::<api::WatchResponse>().await {
                    Ok(Some(response)) => {
                        let changed = lock(&told.0).tell(&response.events, Instant::now());
                        told.1.notify_waiters();
                        if let Err(error) = changed {
                            break format!("{error:#}");
                        }
                    }
                    Ok(None) => break "it ended".to_owned(),
                    Err(error) => break format!("{error:#}"),
                }
            };
            lock(&told.0).failure = Some(failure);
            told.1.notify_waiters();
        });
        let pods = Pods {
            shared,
            _task: task,
        };
        pods.until("the watch", 1, plane, |seen| usize::from(seen.has_all))
            .await?;
        Ok(pods)
    }

    /// Waits until so many pods of a namespace have come to a stage.
    pub async fn wait(
        &self,
        namespace: &str,
        (count, stage): (usize, Stage),
        plane: &mut Plane,
    ) -> Result<()> {
        let what = format!("{namespace}: pods {stage:?}");
        self.until(&what, count, plane, |seen| {
            let group = seen.groups.get(namespace);
            group.map_or(0, |group| group.counts[stage as usize])
        })
        .await
    }

    async fn until(
        &self,
        what: &str,
        enough: usize,
        plane: &mut Plane,
        count: impl Fn(&Seen) -> usize,
    ) -> Result<()> {
        let (mut most, mut grown, mut told) = (0, Instant::now(), Instant::now());
        loop {
            let changed = self.shared.1.notified();
            let now = {
                let seen = lock(&self.shared.0);
                if let Some(failure) = &seen.failure {
                    bail!("the watch of pods failed: {failure}");
                }
                count(&seen)
            };
            if now >= enough {
                return Ok(());
            }
            if now > most {
                (most, grown) = (now, Instant::now());
            }
            if grown.elapsed() > STALL_MAX {
                let words = plane.last_words();
                bail!("{what}: {now} of {enough}, and no more for {STALL_MAX:?}\n{words}");
            }
            if told.elapsed() > PROGRESS_EACH {
                eprintln!("  {what}: {now} of {enough}");
                told = Instant::now();
            }
            if tokio::time::timeout(LOOK_EACH, changed).await.is_err() {
                plane.check()?;
            }
        }
    }

    /// The times of the pods of a namespace, by name.
    pub fn times(&self, namespace: &str) -> HashMap<String, Times> {
        let seen = lock(&self.shared.0);
        let group = seen.groups.get(namespace);
        group.map_or_else(HashMap::new, |group| group.pods.clone())
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().expect("nobody panics while holding it")
}

impl Seen {
    fn tell(&mut self, events: &[api::Event], now: Instant) -> Result<()> {
        for event in events {
            match event.r#type() {
                api::EventType::Added | api::EventType::Modified => {
                    self.pod(&serde_json::from_slice(&event.object)?, now);
                }
                api::EventType::Bookmark => self.has_all |= event.initial_events_end,
                api::EventType::Deleted | api::EventType::Unspecified => {}
                api::EventType::Error => {
                    let failure = event.failure.clone().unwrap_or_default();
                    bail!("{}", failure.message);
                }
            }
        }
        Ok(())
    }

    fn pod(&mut self, pod: &Pod<'_>, now: Instant) {
        if !self.groups.contains_key(pod.metadata.namespace) {
            let name = pod.metadata.namespace.to_owned();
            self.groups.insert(name, Group::default());
        }
        let Some(group) = self.groups.get_mut(pod.metadata.namespace) else {
            return;
        };
        if !group.pods.contains_key(pod.metadata.name) {
            let times = Times {
                added: now,
                bound: None,
                ran: None,
                succeeded: None,
            };
            group.pods.insert(pod.metadata.name.to_owned(), times);
            group.counts[Stage::Added as usize] += 1;
        }
        let Some(times) = group.pods.get_mut(pod.metadata.name) else {
            return;
        };
        let phase = pod.status.phase.unwrap_or_default();
        let succeeded = phase == "Succeeded";
        let stages = [
            (Stage::Bound, &mut times.bound, pod.spec.node.is_some()),
            (Stage::Ran, &mut times.ran, succeeded || phase == "Running"),
            (Stage::Succeeded, &mut times.succeeded, succeeded),
        ];
        for (stage, at, reached) in stages {
            if reached && at.is_none() {
                *at = Some(now);
                group.counts[stage as usize] += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(object: &str) -> api::Event {
        api::Event {
            r#type: api::EventType::Modified.into(),
            object: object.to_owned().into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_stage_of_a_pod_counts_once() {
        let mut seen = Seen::default();
        let pod = |spec: &str, phase: &str| {
            told(&format!(
                r#"{{"kind": "Pod", "metadata": {{"name": "a", "namespace": "n"}}, "spec": {spec}, "status": {{"phase": "{phase}"}}}}"#
            ))
        };
        let now = Instant::now();
        let bound = r#"{"nodeName": "x"}"#;
        let events = [
            pod("{}", "Pending"),
            pod(bound, "Pending"),
            pod(bound, "Pending"),
            pod(bound, "Succeeded"),
        ];
        seen.tell(&events, now).unwrap();
        assert_eq!(seen.groups["n"].counts, [1, 1, 1, 1]);
        assert!(seen.tell(&[told("{")], now).is_err());
    }
}
