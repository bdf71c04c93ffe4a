//! What clients do: small steps of several kinds, drawn by each client from its own seed.

mod history;
mod kube;
mod lease;
mod range;
mod register;
mod txn;

use check::history::{Blob, Range, Request};
use serde::{Deserialize, Serialize};

use crate::actor::Actor;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Puts, reads and deletes of single keys.
    Registers,
    /// Compare-and-put, several keys at once, and txns within txns.
    Txn,
    /// Ranges with every option, and deletes of ranges.
    Ranges,
    /// Leases that are granted, attached, renewed, revoked, and left to expire.
    Lease,
    /// What a kube-apiserver asks: guarded writes, and lists in pages that are pinned to a revision.
    Kubernetes,
    /// Compactions some way behind the newest revision, and reads of older revisions on both sides of them.
    History,
}

impl Kind {
    /// All keys of the kind begin with this.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Registers => "r/",
            Kind::Txn => "t/",
            Kind::Ranges => "g/",
            Kind::Lease => "l/",
            Kind::Kubernetes => "k/",
            Kind::History => "h/",
        }
    }
}

/// Every kind but the one that takes history away from the others.
pub const ALL: &[Kind] = &[
    Kind::Registers,
    Kind::Txn,
    Kind::Ranges,
    Kind::Lease,
    Kind::Kubernetes,
];

/// A client's way through its kinds.
#[derive(Debug)]
pub struct Workload {
    kinds: Vec<Kind>,
    lease: lease::Held,
}

impl Workload {
    /// Steps of these kinds, each as likely as the others.
    pub fn new(kinds: &[Kind]) -> Workload {
        Workload {
            kinds: kinds.to_vec(),
            lease: lease::Held::default(),
        }
    }

    /// One step: one request, or a few that belong together.
    pub async fn step(&mut self, actor: &mut Actor) {
        let kind = *actor.random.pick(&self.kinds);
        match kind {
            Kind::Registers => register::step(actor).await,
            Kind::Txn => txn::step(actor).await,
            Kind::Ranges => range::step(actor).await,
            Kind::Lease => self.lease.step(actor).await,
            Kind::Kubernetes => kube::step(actor).await,
            Kind::History => history::step(actor).await,
        }
    }
}

/// One of the few keys of a kind: few, so that clients meet.
fn key(actor: &mut Actor, kind: Kind, keys: u64) -> Blob {
    Blob::from(format!("{}{:02}", kind.prefix(), actor.random.below(keys)))
}

/// The end of the range of all keys with a prefix whose last byte is not the greatest.
pub(crate) fn prefix_end(prefix: &str) -> Blob {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Blob::from(end)
}

fn get(key: Blob) -> Request {
    Request::Range(Range {
        key,
        ..Range::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_prefix_ends_behind_its_last_key() {
        let end = prefix_end("r/");
        assert!(end > Blob::from("r/\u{7f}"));
        assert!(end <= Blob::from("r0"));
    }
}
