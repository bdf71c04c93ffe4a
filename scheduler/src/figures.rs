//! What the scheduler counts, and its metrics under upstream's names.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use metrics::{Histogram, Kind, Page};
use parking_lot::Mutex;

use crate::{
    engine::{Attempt, Engine, Note, Outcome},
    queue::Arrivals,
};

/// From this many tries on they are counted together.
const ATTEMPTS_APART_MAX: u32 = 15;
/// The places of the queue, in the order of `Queue::lens`.
const PLACES: [&str; 4] = ["active", "backoff", "unschedulable", "gated"];

/// The counts, for the loop that counts and for whoever reads them.
#[derive(Default)]
pub(crate) struct Figures {
    inner: Mutex<Inner>,
}

/// The name of a profile with what is told apart for it.
type Of<T> = (Arc<str>, T);

struct Inner {
    /// Of each outcome: how long tries took.
    tries: BTreeMap<Of<Outcome>, Histogram>,
    /// By numbers of tries: how long it took from the first try until a pod was bound.
    until_bound: BTreeMap<u32, Histogram>,
    attempts: Histogram,
    algorithm: Histogram,
    /// Of each part of a cycle, and of binding, with whether it went well.
    points: BTreeMap<Of<(&'static str, bool)>, Histogram>,
    preemptions: u64,
    victims: Histogram,
    now: Now,
}

/// How it is at the end of a turn.
#[derive(Default)]
struct Now {
    waiting: [usize; 4],
    arrivals: Arrivals,
    nodes: usize,
    pods: usize,
    assumed: usize,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            tries: BTreeMap::new(),
            until_bound: BTreeMap::new(),
            attempts: Histogram::exponential(1.0, 2.0, 5),
            algorithm: millis(),
            points: BTreeMap::new(),
            preemptions: 0,
            victims: Histogram::exponential(1.0, 2.0, 7),
            now: Now::default(),
        }
    }
}

/// Upstream's bounds of what takes milliseconds.
fn millis() -> Histogram {
    Histogram::exponential(0.001, 2.0, 15)
}

impl Figures {
    /// A decision was made, which took so long, and came to this.
    pub(crate) fn decided(&self, took: Duration, notes: Vec<Note>) {
        let mut inner = self.inner.lock();
        inner.algorithm.observe_time(took);
        for note in notes {
            inner.note(note, |_| took);
        }
    }

    /// This has happened meanwhile.
    pub(crate) fn happened(&self, notes: Vec<Note>, now: Timestamp) {
        if notes.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        for note in notes {
            inner.note(note, |tried| since(tried.began, now));
        }
    }

    /// So many pods of each profile were bound together, which took so long.
    pub(crate) fn bound(&self, pods: impl Iterator<Item = (Arc<str>, bool)>, took: Duration) {
        let mut inner = self.inner.lock();
        for (profile, succeeded) in pods {
            inner.point((profile, ("Bind", succeeded)), took);
        }
    }

    /// A turn is over.
    pub(crate) fn look(&self, engine: &Engine) {
        let snapshot = engine.snapshot();
        self.inner.lock().now = Now {
            waiting: engine.queue().lens(),
            arrivals: *engine.queue().counted(),
            nodes: snapshot.nodes().len(),
            pods: snapshot.pod_uids().len(),
            assumed: engine.assumed_len(),
        };
    }

    /// Writes everything.
    pub(crate) fn write(&self, page: &mut Page) {
        let inner = self.inner.lock();
        inner.write_tries(page);
        inner.write_points(page);
        inner.now.write(page);
    }
}

fn since(began: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(began)).unwrap_or_default()
}

impl Inner {
    fn note(&mut self, note: Note, took: impl Fn(&Attempt) -> Duration) {
        match note {
            Note::Attempt(tried) => {
                let took = took(&tried);
                if tried.outcome == Outcome::Scheduled {
                    let end = tried.began.checked_add(took).unwrap_or(tried.began);
                    self.until_bound
                        .entry(tried.attempts.min(ATTEMPTS_APART_MAX))
                        .or_insert_with(|| Histogram::exponential(0.01, 2.0, 20))
                        .observe_time(since(tried.first_began, end));
                    self.attempts.observe(f64::from(tried.attempts));
                }
                self.tries
                    .entry((tried.profile, tried.outcome))
                    .or_insert_with(millis)
                    .observe_time(took);
            }
            Note::Preemption { victims } => {
                self.preemptions += 1;
                if let Some(victims) = victims {
                    self.victims.observe(victims as f64);
                }
            }
            Note::Lap { profile, lap } => {
                self.point((profile, (lap.point.name(), lap.succeeded)), lap.took);
            }
        }
    }

    fn point(&mut self, of: Of<(&'static str, bool)>, took: Duration) {
        let tenths = || Histogram::exponential(0.0001, 2.0, 12);
        self.points
            .entry(of)
            .or_insert_with(tenths)
            .observe_time(took);
    }

    fn write_tries(&self, page: &mut Page) {
        let name = "scheduler_schedule_attempts_total";
        let help = "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.";
        page.head(name, help, Kind::Counter);
        for ((profile, outcome), histogram) in &self.tries {
            let labels = [("profile", &**profile), ("result", outcome.name())];
            page.sample(name, &labels, histogram.count());
        }
        let name = "scheduler_scheduling_attempt_duration_seconds";
        let help = "Scheduling attempt latency in seconds (scheduling algorithm + binding)";
        page.head(name, help, Kind::Histogram);
        for ((profile, outcome), histogram) in &self.tries {
            let labels = [("profile", &**profile), ("result", outcome.name())];
            page.buckets(name, &labels, histogram);
        }
        let name = "scheduler_pod_scheduling_sli_duration_seconds";
        let help = "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.";
        page.head(name, help, Kind::Histogram);
        for (attempts, histogram) in &self.until_bound {
            let label = match *attempts {
                ATTEMPTS_APART_MAX => format!("{ATTEMPTS_APART_MAX}+"),
                fewer => fewer.to_string(),
            };
            page.buckets(name, &[("attempts", &label)], histogram);
        }
    }

    fn write_points(&self, page: &mut Page) {
        let singles = [
            (
                "scheduler_pod_scheduling_attempts",
                "Number of attempts to successfully schedule a pod.",
                &self.attempts,
            ),
            (
                "scheduler_scheduling_algorithm_duration_seconds",
                "Scheduling algorithm latency in seconds",
                &self.algorithm,
            ),
            (
                "scheduler_preemption_victims",
                "Number of selected preemption victims",
                &self.victims,
            ),
        ];
        for (name, help, histogram) in singles {
            page.head(name, help, Kind::Histogram);
            page.buckets(name, &[], histogram);
        }
        let name = "scheduler_preemption_attempts_total";
        let help = "Total preemption attempts in the cluster till now";
        page.single(name, help, Kind::Counter, self.preemptions);
        let name = "scheduler_framework_extension_point_duration_seconds";
        let help = "Latency for running all plugins of a specific extension point.";
        page.head(name, help, Kind::Histogram);
        for ((profile, (point, succeeded)), histogram) in &self.points {
            let status = match (point, succeeded) {
                (_, true) => "Success",
                (&"Bind", false) => "Error",
                (_, false) => "Unschedulable",
            };
            let labels = [
                ("extension_point", *point),
                ("profile", &**profile),
                ("status", status),
            ];
            page.buckets(name, &labels, histogram);
        }
    }
}

impl Now {
    fn write(&self, page: &mut Page) {
        let name = "scheduler_pending_pods";
        let help = "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.";
        page.head(name, help, Kind::Gauge);
        for (place, count) in PLACES.into_iter().zip(self.waiting) {
            page.sample(name, &[("queue", place)], count);
        }
        let name = "scheduler_queue_incoming_pods_total";
        let help = "Number of pods added to scheduling queues by event and queue type.";
        page.head(name, help, Kind::Counter);
        for (place, cause, count) in self.arrivals.iter() {
            page.sample(name, &[("event", cause), ("queue", place)], count);
        }
        let name = "scheduler_cache_size";
        let help = "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.";
        page.head(name, help, Kind::Gauge);
        for (what, count) in [
            ("assumed_pods", self.assumed),
            ("nodes", self.nodes),
            ("pods", self.pods),
        ] {
            page.sample(name, &[("type", what)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cycle::{Lap, Point};

    use super::*;

    #[test]
    fn what_the_engine_notes_is_told_by_upstreams_names() {
        let figures = Figures::default();
        let second = |at: i64| Timestamp::from_second(at).expect("a time");
        let tried = |outcome, attempts| {
            Note::Attempt(Attempt {
                profile: "p".into(),
                outcome,
                attempts,
                began: second(10),
                first_began: second(4),
            })
        };
        let lap = Lap {
            point: Point::Filter,
            succeeded: false,
            took: Duration::from_millis(3),
        };
        let notes = vec![
            tried(Outcome::Unschedulable, 1),
            Note::Preemption { victims: Some(3) },
            Note::Preemption { victims: None },
            Note::Lap {
                profile: "p".into(),
                lap,
            },
        ];
        figures.decided(Duration::from_millis(5), notes);
        figures.happened(vec![tried(Outcome::Scheduled, 20)], second(12));
        figures.bound([("p".into(), true)].into_iter(), Duration::from_millis(1));
        let mut page = Page::default();
        figures.write(&mut page);
        let text = page.into_text();
        for line in [
            "scheduler_schedule_attempts_total{profile=\"p\",result=\"unschedulable\"} 1\n",
            "scheduler_scheduling_attempt_duration_seconds_sum{profile=\"p\",result=\"scheduled\"} 2\n",
            "scheduler_scheduling_attempt_duration_seconds_sum{profile=\"p\",result=\"unschedulable\"} 0.005\n",
            "scheduler_pod_scheduling_sli_duration_seconds_sum{attempts=\"15+\"} 8\n",
            "scheduler_pod_scheduling_attempts_sum 20\n",
            "scheduler_preemption_attempts_total 2\n",
            "scheduler_preemption_victims_sum 3\n",
            "scheduler_framework_extension_point_duration_seconds_count{extension_point=\"Filter\",profile=\"p\",status=\"Unschedulable\"} 1\n",
            "scheduler_framework_extension_point_duration_seconds_count{extension_point=\"Bind\",profile=\"p\",status=\"Success\"} 1\n",
            "scheduler_pending_pods{queue=\"gated\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
