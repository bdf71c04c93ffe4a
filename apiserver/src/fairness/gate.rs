//! The gate that every request passes, of REST and of gRPC alike: fair sharing, or two limits where that is switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use objects::Value;
use objects::status::{Reason, Status};

use super::configuration::Configuration;
use super::fair::{Fairness, Seat};
use super::limits::{Limits, Permit};
use super::metrics;
use crate::attributes::{Attributes, is_stream};

/// The most seats that a request takes.
pub(super) const SEATS_MAX: usize = 10;
/// The longest that a request waits for its seats.
const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// What a client is told that asks too much.
const TOO_MANY: &str = "Too many requests, please try again later.";
/// For how long it is to stay away, where nobody counts refusals.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The gate of one server.
#[derive(Debug)]
pub struct Gate {
    way: Way,
    inflight: Arc<Inflight>,
    refused: AtomicU64,
}

#[derive(Debug)]
enum Way {
    Fair(Arc<Fairness>),
    Limits(Arc<Limits>),
}

/// How many requests run.
#[derive(Debug, Default)]
pub(super) struct Inflight {
    pub(super) reading: AtomicUsize,
    pub(super) writing: AtomicUsize,
}

/// Which schema and level a request is of: the UIDs of their objects.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    pub(super) schema: Arc<str>,
    pub(super) level: Arc<str>,
}

impl Marks {
    /// Tells a client of them.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, uid) in [
            ("x-kubernetes-pf-flowschema-uid", &self.schema),
            ("x-kubernetes-pf-prioritylevel-uid", &self.level),
        ] {
            if let Ok(uid) = HeaderValue::from_str(uid) {
                headers.insert(name, uid);
            }
        }
    }
}

/// The place of a request, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) marks: Option<Marks>,
    inflight: Arc<Inflight>,
    reads: bool,
    _seat: Option<Seat>,
    _permit: Option<Permit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inflight.of(self.reads).fetch_sub(1, Ordering::Relaxed);
    }
}

/// There is no place for a request.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) marks: Option<Marks>,
    retry_after_seconds: u32,
}

impl Refused {
    /// What its client is told.
    pub(crate) fn status(&self) -> Status {
        let mut status = Status::new(Reason::TooManyRequests, TOO_MANY);
        status.retry_after_seconds = self.retry_after_seconds;
        status
    }
}

impl Inflight {
    fn of(&self, reads: bool) -> &AtomicUsize {
        if reads { &self.reading } else { &self.writing }
    }
}

/// Whether a request changes nothing.
pub(super) fn is_reading(attributes: &Attributes) -> bool {
    matches!(
        attributes.verb.as_str(),
        "get" | "list" | "watch" | "head" | "options"
    )
}

impl Gate {
    /// Requests share so many seats fairly, and keep theirs no longer than that.
    #[must_use]
    pub fn fair(seats: usize, hold_max: Duration) -> Gate {
        Gate::new(Way::Fair(Fairness::new(seats, hold_max)))
    }

    /// So many requests read at a time, and so many write, and keep their places no longer than that.
    #[must_use]
    pub fn limits(reading_max: usize, writing_max: usize, hold_max: Duration) -> Gate {
        Gate::new(Way::Limits(Limits::new(reading_max, writing_max, hold_max)))
    }

    fn new(way: Way) -> Gate {
        Gate {
            way,
            inflight: Arc::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// A place for a request that has so much time, of which it waits a quarter. None for what takes no place.
    pub(crate) async fn enter(
        &self,
        attributes: &Attributes,
        seats: usize,
        time: Duration,
    ) -> Result<Option<Place>, Refused> {
        if is_stream(&attributes.subresource) {
            return Ok(None);
        }
        let place = |marks, seat, permit| {
            let reads = is_reading(attributes);
            self.inflight.of(reads).fetch_add(1, Ordering::Relaxed);
            Place {
                marks,
                inflight: self.inflight.clone(),
                reads,
                _seat: seat,
                _permit: permit,
            }
        };
        let (marks, retry_after_seconds) = match &self.way {
            Way::Fair(fairness) => {
                let patience = (time / 4).min(PATIENCE_MAX);
                match fairness.enter(attributes, seats, patience).await {
                    (Some(seat), marks) => return Ok(Some(place(marks, Some(seat), None))),
                    (None, Some(marks)) => {
                        let seconds = fairness.push_back(&marks);
                        (Some(marks), seconds)
                    }
                    (None, None) => (None, RETRY_AFTER_SECONDS),
                }
            }
            Way::Limits(limits) => match limits.enter(attributes) {
                Ok(permit) => return Ok(permit.map(|permit| place(None, None, Some(permit)))),
                Err(()) => (None, RETRY_AFTER_SECONDS),
            },
        };
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Refused {
            marks,
            retry_after_seconds,
        })
    }

    /// Takes the levels and schemas that there are now.
    pub(super) fn configure<'a>(
        &self,
        levels: impl Iterator<Item = &'a Value>,
        schemas: impl Iterator<Item = &'a Value>,
    ) {
        if let Way::Fair(fairness) = &self.way {
            fairness.configure(Configuration::read(levels, schemas));
        }
    }

    /// Does what is due from time to time.
    pub(super) fn tick(&self) {
        match &self.way {
            Way::Fair(fairness) => fairness.tick(),
            Way::Limits(limits) => limits.tick(),
        }
    }

    /// What is counted here, in Prometheus' text form.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        metrics::inflight(
            &mut out,
            &self.inflight,
            self.refused.load(Ordering::Relaxed),
        );
        if let Way::Fair(fairness) = &self.way {
            fairness.look(|levels| metrics::levels(&mut out, levels));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Gate;
    use crate::attributes::Attributes;

    const TIME: Duration = Duration::from_secs(60);

    fn asked(verb: &str, subresource: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            subresource: subresource.to_owned(),
            ..Attributes::default()
        }
    }

    #[tokio::test]
    async fn where_fair_sharing_is_switched_off_two_limits_hold_and_nobody_waits() {
        let gate = Gate::limits(1, 1, TIME);
        let place = gate.enter(&asked("list", ""), 1, TIME).await.unwrap();
        assert!(place.as_ref().is_some_and(|place| place.marks.is_none()));
        assert_eq!(
            gate.enter(&asked("get", ""), 1, TIME)
                .await
                .unwrap_err()
                .status()
                .code,
            429
        );
        assert!(
            gate.enter(&asked("watch", ""), 1, TIME)
                .await
                .unwrap()
                .is_none()
        );
        let reading = "apiserver_current_inflight_requests{request_kind=\"readOnly\"}";
        let text = gate.text();
        assert!(text.contains(&format!("{reading} 1\n")), "{text}");
        assert!(
            text.contains("apiserver_dropped_requests_total 1\n"),
            "{text}"
        );
        assert!(!text.contains("flowcontrol"), "{text}");
        drop(place);
        assert!(gate.text().contains(&format!("{reading} 0\n")));
    }

    #[tokio::test]
    async fn streams_to_containers_take_no_place() {
        let gate = Gate::fair(1, TIME);
        assert!(
            gate.enter(&asked("get", "log"), 1, TIME)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            gate.enter(&asked("get", ""), 1, TIME)
                .await
                .unwrap()
                .is_some()
        );
        let text = gate.text();
        let of = "{priority_level=\"exempt\"}";
        assert!(
            text.contains(&format!(
                "apiserver_flowcontrol_nominal_limit_seats{of} 0\n"
            )),
            "{text}"
        );
    }
}
