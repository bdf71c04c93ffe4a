//! Zones: how much of one is unhealthy, and how fast its nodes may be tainted.

use std::collections::VecDeque;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

/// How much of a zone is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disruption {
    /// It was not judged yet.
    Unjudged,
    Little,
    Partial,
    Full,
}

/// The region and zone that a node says it is in.
pub(crate) fn key(node: &Node) -> String {
    let labels = node.metadata.labels.as_ref();
    let first = |keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| labels?.get(*key))
            .cloned()
            .unwrap_or_default()
    };
    let zone = first([
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ]);
    let region = first([
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ]);
    if zone.is_empty() && region.is_empty() {
        String::new()
    } else {
        format!("{region}:\0:{zone}")
    }
}

/// Unhealthy nodes that are not enough to call a zone disrupted.
const UNHEALTHY_TOLERATED: u32 = 2;

/// Judges a zone by the readiness of its nodes.
pub(crate) fn judge(ready: &[bool], threshold: f64) -> Disruption {
    let count = |wanted: bool| {
        u32::try_from(ready.iter().filter(|ready| **ready == wanted).count()).unwrap_or(u32::MAX)
    };
    let (healthy, unhealthy) = (count(true), count(false));
    if healthy == 0 && unhealthy > 0 {
        return Disruption::Full;
    }
    let part = f64::from(unhealthy) / f64::from(healthy + unhealthy).max(1.0);
    if unhealthy > UNHEALTHY_TOLERATED && part >= threshold {
        Disruption::Partial
    } else {
        Disruption::Little
    }
}

/// A zone: its state, and the nodes that wait to be tainted.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub state: Disruption,
    waiting: VecDeque<String>,
    per_second: f64,
    /// A part of a turn that was saved up, at most one.
    saved: f64,
    saved_at: Timestamp,
}

impl Zone {
    pub(crate) fn new(per_second: f64, now: Timestamp) -> Zone {
        Zone {
            state: Disruption::Unjudged,
            waiting: VecDeque::new(),
            per_second,
            saved: 1.0,
            saved_at: now,
        }
    }

    pub(crate) fn add(&mut self, node: &str) {
        if !self.waiting.iter().any(|waiting| waiting == node) {
            self.waiting.push_back(node.to_owned());
        }
    }

    pub(crate) fn remove(&mut self, node: &str) {
        self.waiting.retain(|waiting| waiting != node);
    }

    /// Changes how fast nodes are tainted. What is used up stays used up.
    pub(crate) fn limit(&mut self, per_second: f64, now: Timestamp) {
        if (self.per_second - per_second).abs() < f64::EPSILON {
            return;
        }
        self.save(now);
        self.saved = if self.saved >= 1.0 && self.per_second > 0.0 {
            1.0
        } else {
            0.0
        };
        self.per_second = per_second;
    }

    fn save(&mut self, now: Timestamp) {
        let elapsed = now.duration_since(self.saved_at).as_secs_f64().max(0.0);
        self.saved = (self.saved + elapsed * self.per_second).min(1.0);
        self.saved_at = now;
    }

    /// The node whose turn it is now, if there is one.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<String> {
        self.save(now);
        if self.per_second <= 0.0 || self.saved < 1.0 {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.saved -= 1.0;
        Some(next)
    }
}
