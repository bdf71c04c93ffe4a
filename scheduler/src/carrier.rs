//! Carries out effects: bindings, conditions, evictions and events, each kind in batches by tasks of its own.

mod lost;

use std::{sync::Arc, time::Instant};

use client::{Binding, Client, EventType, ITEMS_MAX, Recorder, Write};
use daemon::{OnFailure, Tasks};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{
    cluster::Objects,
    engine::{Effect, Unschedulable},
    figures::Figures,
    inbox::{Inbox, News},
    lane::Lane,
    pod::PodView,
    random::Random,
    run::reporter,
    writes::{self, Told},
};
use lost::{Answer, LOST_MAX, Lost};

/// Most pods that wait to be bound; beyond it no further pods are decided.
pub(crate) const BINDINGS_MAX: usize = 8192;
/// Most conditions and nominations that wait to be written; beyond it they are left out, and told at the next try.
const STATUSES_MAX: usize = 65_536;
/// Most events that wait to be written; beyond it they are left out.
const EVENTS_MAX: usize = 65_536;
/// Most evictions and preparations that wait.
const ERRANDS_MAX: usize = 65_536;
/// Evictions and preparations that are carried out together.
const ERRANDS_AT_ONCE: usize = 256;
/// Requests with bindings at a time.
const BINDERS: usize = 3;

/// Writes that belong together, one after the other, for a pod.
enum Errand {
    Preempt {
        pod: Arc<PodView>,
        node: Arc<str>,
        victims: Vec<Arc<PodView>>,
    },
    Prepare {
        pod: Arc<PodView>,
        writes: Vec<Write>,
    },
}

/// The tasks' queues.
pub(crate) struct Carrier {
    client: Client,
    inbox: Arc<Inbox>,
    recorder: Recorder,
    host: String,
    bindings: Lane<(Arc<PodView>, Arc<str>)>,
    lost: Lane<Lost>,
    statuses: Lane<Write>,
    events: Lane<Told>,
    errands: Lane<Errand>,
    random: Mutex<Random>,
    figures: Arc<Figures>,
}

impl Carrier {
    pub(crate) fn new(
        client: Client,
        inbox: Arc<Inbox>,
        recorder: Recorder,
        (random, figures): (Random, Arc<Figures>),
    ) -> Arc<Carrier> {
        Arc::new(Carrier {
            client,
            inbox,
            recorder,
            host: reporter(),
            bindings: Lane::new(BINDINGS_MAX * 2),
            lost: Lane::new(LOST_MAX),
            statuses: Lane::new(STATUSES_MAX),
            events: Lane::new(EVENTS_MAX),
            errands: Lane::new(ERRANDS_MAX),
            random: Mutex::new(random),
            figures,
        })
    }

    /// Starts the tasks.
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        for at in 0..BINDERS {
            let own = self.clone();
            tasks.spawn_until_stopped(
                format!("scheduler: binder {at}"),
                OnFailure::Stop,
                async move {
                    loop {
                        let batch = own.bindings.take(ITEMS_MAX).await;
                        own.bind(batch).await;
                    }
                },
            );
        }
        let own = self.clone();
        tasks.spawn_until_stopped("scheduler: lost bindings", OnFailure::Stop, async move {
            own.find_lost().await
        });
        let own = self.clone();
        tasks.spawn_until_stopped("scheduler: statuses", OnFailure::Stop, async move {
            loop {
                let batch = own.statuses.take(ITEMS_MAX).await;
                own.write("a pod's status", batch).await;
            }
        });
        let own = self.clone();
        tasks.spawn_until_stopped("scheduler: events", OnFailure::Stop, async move {
            loop {
                let batch = own.events.take(ITEMS_MAX).await;
                let writes = batch.into_iter().map(|told| own.event(told)).collect();
                own.write("an event", writes).await;
            }
        });
        let own = self.clone();
        tasks.spawn_until_stopped("scheduler: errands", OnFailure::Stop, async move {
            loop {
                let batch = own.errands.take(ERRANDS_AT_ONCE).await;
                own.run(batch).await;
            }
        });
    }

    /// Whether pods can be decided without more bindings waiting than there may.
    pub(crate) fn has_room(&self) -> bool {
        self.bindings.len() < BINDINGS_MAX
    }

    /// Takes an effect over.
    pub(crate) fn carry(&self, effect: Effect, objects: &Objects) {
        match effect {
            Effect::Bind { pod, node } => {
                let uid = pod.uid.clone();
                if !self.bindings.push((pod, node)) {
                    let outcome = Err("too many pods wait to be bound".to_owned());
                    self.inbox.tell([News::Bound { uid, outcome }]);
                }
            }
            Effect::Unschedulable(why) => self.unschedulable(why),
            Effect::ClearNomination { pod } => {
                self.push_status(writes::clear_nomination(&pod));
            }
            Effect::Preempt { pod, node, victims } => {
                let uid = pod.uid.clone();
                if !self.errands.push(Errand::Preempt { pod, node, victims }) {
                    self.inbox.tell([News::Preempted {
                        uid,
                        succeeded: false,
                    }]);
                }
            }
            Effect::Prepare { pod, preparations } => {
                let uid = pod.uid.clone();
                let all: Option<Vec<Write>> = preparations
                    .iter()
                    .map(|one| writes::preparation(one, objects))
                    .collect();
                let taken =
                    all.is_some_and(|writes| self.errands.push(Errand::Prepare { pod, writes }));
                if !taken {
                    let message = "binding volumes: a claim or volume is gone".to_owned();
                    self.inbox.tell([News::PreparationFailed { uid, message }]);
                }
            }
        }
    }

    fn unschedulable(&self, why: Unschedulable) {
        if !why.is_known {
            self.push_status(writes::unschedulable(&why, Timestamp::now()));
        }
        let about = writes::reference(&why.namespace, &why.name, &why.uid);
        self.recorder.named(&why.scheduler_name).event(
            &about,
            EventType::Warning,
            "FailedScheduling",
            why.message,
        );
    }

    fn push_status(&self, write: Write) {
        if !self.statuses.push(write) {
            tracing::warn!("too many statuses of pods wait to be written: one is left out");
        }
    }

    fn push_event(&self, told: Told) {
        if !self.events.push(told) {
            tracing::debug!("too many events wait to be written: one is left out");
        }
    }

    fn event(&self, told: Told) -> Write {
        let unique = self.random.lock().below(usize::MAX) as u64;
        told.write(&self.host, unique, Timestamp::now())
    }

    async fn bind(&self, batch: Vec<(Arc<PodView>, Arc<str>)>) {
        let bindings = batch.iter().map(|(pod, node)| Binding {
            pod: writes::key(pod),
            uid: (*pod.uid).to_owned(),
            node: (**node).to_owned(),
            ..Binding::default()
        });
        let began = Instant::now();
        let told = self.client.bind(bindings.collect()).await;
        let answers = Answer::all(told, batch.len());
        let took = began.elapsed();
        let pods = batch.iter().zip(&answers);
        let known = pods.filter(|(_, answer)| !matches!(answer, Answer::Lost(_)));
        let known =
            known.map(|((pod, _), answer)| (pod.scheduler_name.clone(), *answer == Answer::Done));
        self.figures.bound(known, took);
        let mut news = Vec::with_capacity(batch.len());
        for ((pod, node), answer) in batch.into_iter().zip(answers) {
            let outcome = match answer {
                Answer::Done => Ok(()),
                Answer::Refused(message) => Err(message),
                Answer::Lost(message) => {
                    self.lose(Lost {
                        pod,
                        node,
                        message,
                        began,
                    });
                    continue;
                }
            };
            news.push(self.bound(&pod, &node, outcome));
        }
        self.inbox.tell(news);
    }

    /// Tells people of a pod that was bound. What the loop is to know.
    fn bound(&self, pod: &PodView, node: &str, outcome: Result<(), String>) -> News {
        if outcome.is_ok() {
            let (namespace, name) = (&pod.namespace, &pod.name);
            let message = format!("Successfully assigned {namespace}/{name} to {node}");
            self.push_event(Told::of(pod, "Scheduled", "Binding", message));
        }
        News::Bound {
            uid: pod.uid.clone(),
            outcome,
        }
    }

    /// Writes, and says of each whether it was done or has become needless. A failure is told to the log: the next try writes anew.
    async fn write(&self, what: &'static str, mut writes: Vec<Write>) -> Vec<bool> {
        let mut done = Vec::with_capacity(writes.len());
        while !writes.is_empty() {
            let rest = writes.split_off(writes.len().min(ITEMS_MAX));
            let count = writes.len();
            match self
                .client
                .batch(std::mem::replace(&mut writes, rest))
                .await
            {
                Ok(outcomes) => done.extend(outcomes.into_iter().map(|outcome| match outcome {
                    Ok(_) => true,
                    Err(failure) => {
                        tracing::debug!(what, error = %failure, "a write failed");
                        failure.is_not_found()
                    }
                })),
                Err(error) => {
                    tracing::warn!(what, %error, "writes failed");
                    done.extend(vec![false; count]);
                }
            }
        }
        done
    }

    async fn run(&self, errands: Vec<Errand>) {
        let mut preemptions = Vec::new();
        for errand in errands {
            match errand {
                Errand::Preempt { pod, node, victims } => preemptions.push((pod, node, victims)),
                Errand::Prepare { pod, writes } => self.prepare(&pod, writes).await,
            }
        }
        if !preemptions.is_empty() {
            self.preempt(preemptions).await;
        }
    }

    async fn prepare(&self, pod: &PodView, writes: Vec<Write>) {
        if !self
            .write("a pod's claims", writes)
            .await
            .into_iter()
            .all(|done| done)
        {
            let message = "binding volumes: a claim or volume has changed".to_owned();
            self.inbox.tell([News::PreparationFailed {
                uid: pod.uid.clone(),
                message,
            }]);
        }
    }

    /// First all victims are told why they go, then they go.
    async fn preempt(&self, preemptions: Vec<Preempted>) {
        let now = Timestamp::now();
        let pairs = || {
            preemptions
                .iter()
                .flat_map(|(pod, _, all)| all.iter().map(move |one| (pod, one)))
        };
        let marks = pairs()
            .map(|(pod, victim)| writes::disruption(victim, pod, now))
            .collect();
        let marked = self.write("a victim's status", marks).await;
        let deletions = pairs()
            .map(|(_, victim)| writes::deletion(victim))
            .collect();
        let deleted = self.write("a victim's deletion", deletions).await;
        let mut done = marked
            .into_iter()
            .zip(deleted)
            .map(|(marked, deleted)| marked && deleted);
        let mut news = Vec::with_capacity(preemptions.len());
        for (pod, node, victims) in &preemptions {
            let mut succeeded = true;
            for victim in victims {
                succeeded &= done.next().unwrap_or(false);
                let message = format!("Preempted by pod {} on node {node}", pod.uid);
                self.push_event(Told::of(victim, "Preempted", "Preempting", message));
            }
            news.push(News::Preempted {
                uid: pod.uid.clone(),
                succeeded,
            });
        }
        self.inbox.tell(news);
    }
}

/// A pod, its node, and the victims there.
type Preempted = (Arc<PodView>, Arc<str>, Vec<Arc<PodView>>);
