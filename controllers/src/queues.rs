//! The work queues of the process under upstream's names, and what they count as metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Item, QueueFigures, WorkQueue};
use metrics::{Kind, Page};
use parking_lot::Mutex;

type Figures = Box<dyn Fn() -> QueueFigures + Send + Sync>;

/// All queues. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Queues {
    all: Arc<Mutex<Vec<(&'static str, Figures)>>>,
}

/// A number of a queue: the end of its metric's name, what it is, upstream's words for it, and where it is.
type Number = (&'static str, Kind, &'static str, fn(&QueueFigures) -> f64);

const NUMBERS: [Number; 5] = [
    ("depth", Kind::Gauge, "Current depth of workqueue", |one| {
        one.depth as f64
    }),
    (
        "adds_total",
        Kind::Counter,
        "Total number of adds handled by workqueue",
        |one| one.adds as f64,
    ),
    (
        "retries_total",
        Kind::Counter,
        "Total number of retries handled by workqueue",
        |one| one.retries as f64,
    ),
    (
        "unfinished_work_seconds",
        Kind::Gauge,
        "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
        |one| one.unfinished.as_secs_f64(),
    ),
    (
        "longest_running_processor_seconds",
        Kind::Gauge,
        "How many seconds has the longest running processor for workqueue been running.",
        |one| one.longest.as_secs_f64(),
    ),
];

impl Queues {
    /// Counts a queue from now on. Several may share a name: they are counted as one.
    pub(crate) fn add<T: Item + Sync>(
        &self,
        name: &'static str,
        queue: WorkQueue<T>,
    ) -> Arc<WorkQueue<T>> {
        let queue = Arc::new(queue);
        let counted = queue.clone();
        self.all
            .lock()
            .push((name, Box::new(move || counted.figures())));
        queue
    }

    /// Writes the figures of all queues.
    pub(crate) fn write(&self, page: &mut Page) {
        let mut queues: BTreeMap<&str, QueueFigures> = BTreeMap::new();
        for (name, figures) in self.all.lock().iter() {
            let figures = figures();
            queues
                .entry(*name)
                .and_modify(|known| known.merge(&figures))
                .or_insert(figures);
        }
        for (end, kind, help, number) in NUMBERS {
            let metric = format!("workqueue_{end}");
            page.head(&metric, help, kind);
            for (name, figures) in &queues {
                page.sample(&metric, &[("name", name)], number(figures));
            }
        }
        let metric = "workqueue_queue_duration_seconds";
        let help = "How long in seconds an item stays in workqueue before being requested.";
        page.head(metric, help, Kind::Histogram);
        for (name, figures) in &queues {
            page.buckets(metric, &[("name", name)], &figures.waited);
        }
        let metric = "workqueue_work_duration_seconds";
        let help = "How long in seconds processing an item from workqueue takes.";
        page.head(metric, help, Kind::Histogram);
        for (name, figures) in &queues {
            page.buckets(metric, &[("name", name)], &figures.worked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_one_name_are_counted_as_one() {
        let queues = Queues::default();
        let first = queues.add("a", WorkQueue::<u32>::new());
        let second = queues.add("a", WorkQueue::<String>::new());
        let other = queues.add("b", WorkQueue::<u32>::new());
        first.add(1);
        first.add(2);
        second.add("x".to_owned());
        other.add(1);
        let mut page = Page::default();
        queues.write(&mut page);
        let text = page.into_text();
        for line in [
            "workqueue_depth{name=\"a\"} 3\n",
            "workqueue_depth{name=\"b\"} 1\n",
            "workqueue_adds_total{name=\"a\"} 3\n",
            "workqueue_retries_total{name=\"a\"} 0\n",
            "workqueue_queue_duration_seconds_count{name=\"a\"} 0\n",
            "workqueue_work_duration_seconds_bucket{name=\"b\",le=\"+Inf\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
