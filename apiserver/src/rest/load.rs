//! How much is asked of the server: limits on requests at a time, and the counts that `/metrics` shows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use objects::status::{Reason, Status};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::attributes::Attributes;
use crate::user::MASTERS;

/// The most combinations of labels that are counted; requests with others are counted as one.
const SERIES_MAX: usize = 10_000;
/// Upper ends of the buckets of durations, in seconds.
const BUCKETS_SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];

/// The requests of one server.
#[derive(Debug)]
pub struct Load {
    reading: Semaphore,
    reading_max: usize,
    writing: Semaphore,
    writing_max: usize,
    refused: AtomicU64,
    counts: Mutex<BTreeMap<Labels, Count>>,
}

/// What tells requests apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

#[derive(Debug, Default)]
struct Count {
    by_code: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS_SECONDS.len()],
    timed: u64,
    seconds: f64,
}

/// Whether a request lasts as long as its client wants, and so has no place among those that are limited.
fn is_long(attributes: &Attributes) -> bool {
    attributes.verb == "watch" || super::connect::is_stream(&attributes.subresource)
}

fn is_reading(attributes: &Attributes) -> bool {
    matches!(
        attributes.verb.as_str(),
        "get" | "list" | "head" | "options"
    )
}

impl Load {
    /// Limits of requests that read and that write; 0 for none.
    #[must_use]
    pub fn new(reading_max: usize, writing_max: usize) -> Load {
        let places = |most: usize| {
            let most = if most == 0 {
                Semaphore::MAX_PERMITS
            } else {
                most
            };
            most.min(Semaphore::MAX_PERMITS)
        };
        let (reading_max, writing_max) = (places(reading_max), places(writing_max));
        Load {
            reading: Semaphore::new(reading_max),
            reading_max,
            writing: Semaphore::new(writing_max),
            writing_max,
            refused: AtomicU64::new(0),
            counts: Mutex::new(BTreeMap::new()),
        }
    }

    /// A place for a request, which it keeps until it is answered. The masters come in when all places are taken too.
    ///
    /// # Errors
    ///
    /// 429 when all places are taken.
    pub(super) fn enter(
        &self,
        attributes: &Attributes,
    ) -> Result<Option<SemaphorePermit<'_>>, Status> {
        if is_long(attributes) {
            return Ok(None);
        }
        let places = if is_reading(attributes) {
            &self.reading
        } else {
            &self.writing
        };
        match places.try_acquire() {
            Ok(place) => Ok(Some(place)),
            Err(_) if attributes.user.is_in(MASTERS) => Ok(None),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                let mut status = Status::new(
                    Reason::TooManyRequests,
                    "Too many requests, please try again later.",
                );
                status.retry_after_seconds = 1;
                Err(status)
            }
        }
    }

    /// Counts an answer.
    pub(super) fn count(&self, attributes: &Attributes, code: u16, took: Duration) {
        let mut counts = self.counts.lock();
        let labels = labels(attributes);
        let known = counts.len() < SERIES_MAX || counts.contains_key(&labels);
        let count = counts
            .entry(if known { labels } else { Labels::default() })
            .or_default();
        *count.by_code.entry(code).or_default() += 1;
        if is_long(attributes) {
            return;
        }
        let seconds = took.as_secs_f64();
        count.timed += 1;
        count.seconds += seconds;
        for (bucket, end) in count.buckets.iter_mut().zip(BUCKETS_SECONDS) {
            *bucket += u64::from(seconds <= end);
        }
    }

    /// The counts in Prometheus' text form.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let in_use = |most: usize, places: &Semaphore| most - places.available_permits().min(most);
        let reading = in_use(self.reading_max, &self.reading);
        let writing = in_use(self.writing_max, &self.writing);
        let refused = self.refused.load(Ordering::Relaxed);
        let counts = self.counts.lock();
        out.push_str("# TYPE apiserver_current_inflight_requests gauge\n");
        let name = "apiserver_current_inflight_requests";
        line(
            &mut out,
            &format!("{name}{{request_kind=\"readOnly\"}} {reading}"),
        );
        line(
            &mut out,
            &format!("{name}{{request_kind=\"mutating\"}} {writing}"),
        );
        out.push_str("# TYPE apiserver_dropped_requests_total counter\n");
        line(
            &mut out,
            &format!("apiserver_dropped_requests_total {refused}"),
        );
        out.push_str("# TYPE apiserver_request_total counter\n");
        for (labels, count) in counts.iter() {
            for (code, number) in &count.by_code {
                let own = shown(labels);
                line(
                    &mut out,
                    &format!("apiserver_request_total{{code=\"{code}\",{own}}} {number}"),
                );
            }
        }
        out.push_str("# TYPE apiserver_request_duration_seconds histogram\n");
        let name = "apiserver_request_duration_seconds";
        for (labels, count) in counts.iter().filter(|(_, count)| count.timed > 0) {
            let (own, timed, seconds) = (shown(labels), count.timed, count.seconds);
            for (end, number) in BUCKETS_SECONDS.iter().zip(count.buckets) {
                line(
                    &mut out,
                    &format!("{name}_bucket{{{own},le=\"{end}\"}} {number}"),
                );
            }
            line(
                &mut out,
                &format!("{name}_bucket{{{own},le=\"+Inf\"}} {timed}"),
            );
            line(&mut out, &format!("{name}_sum{{{own}}} {seconds}"));
            line(&mut out, &format!("{name}_count{{{own}}} {timed}"));
        }
        out
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("memory takes what is written to it");
}

fn labels(attributes: &Attributes) -> Labels {
    let verb = match attributes.verb.as_str() {
        _ if super::connect::is_stream(&attributes.subresource) => "CONNECT",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    };
    let scope = match (attributes.is_resource(), attributes.name.is_empty()) {
        (false, _) => "",
        (true, false) => "resource",
        (true, true) if attributes.namespace.is_empty() => "cluster",
        (true, true) => "namespace",
    };
    Labels {
        verb,
        group: attributes.group.clone(),
        version: attributes.version.clone(),
        resource: attributes.resource.clone(),
        subresource: attributes.subresource.clone(),
        scope,
    }
}

fn shown(labels: &Labels) -> String {
    let quoted = |text: &str| {
        let clean: String = text
            .chars()
            .filter(|letter| !matches!(letter, '"' | '\\') && !letter.is_control())
            .collect();
        clean
    };
    format!(
        "component=\"apiserver\",dry_run=\"\",group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"",
        quoted(&labels.group),
        quoted(&labels.resource),
        labels.scope,
        quoted(&labels.subresource),
        labels.verb,
        quoted(&labels.version)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Load;
    use crate::attributes::Attributes;
    use crate::user::User;

    fn listing() -> Attributes {
        Attributes {
            verb: "list".to_owned(),
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
            ..Attributes::default()
        }
    }

    #[test]
    fn a_full_server_lets_in_watches_and_masters_alone() {
        let load = Load::new(1, 1);
        let place = load.enter(&listing()).unwrap();
        assert_eq!(load.enter(&listing()).unwrap_err().code, 429);
        let mut watch = listing();
        "watch".clone_into(&mut watch.verb);
        assert!(load.enter(&watch).is_ok());
        let mut master = listing();
        master.user = Arc::new(User::apiserver());
        assert!(load.enter(&master).is_ok());
        drop(place);
        assert!(load.enter(&listing()).is_ok());
    }

    #[test]
    fn answers_are_counted_by_code_and_time() {
        let load = Load::new(0, 0);
        load.count(&listing(), 200, Duration::from_millis(30));
        load.count(&listing(), 403, Duration::from_secs(70));
        let text = load.text();
        assert!(text.contains("apiserver_request_total{code=\"403\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1\n"), "{text}");
        assert!(text.contains("le=\"0.025\"} 0\n") && text.contains("le=\"0.05\"} 1\n"));
        assert!(text.contains("le=\"+Inf\"} 2\n"));
    }
}
