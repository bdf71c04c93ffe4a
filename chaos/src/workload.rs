//! What clients do: a trait for workloads of one's own, and the harness's, whose clients draw small steps of several kinds.

mod history;
mod kube;
mod lease;
mod range;
mod register;
mod txn;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use check::history::{Blob, Range, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::actor::Actor;

/// What clients do while a cluster is broken. One value is shared by all clients.
///
/// Everything a client does through its [`Actor`] is recorded and judged; it is no other client's business, and its
/// choices come from `client.random`, so that a seed repeats them.
pub trait Workload: Send + Sync + 'static {
    /// One client's work, until `stop` is reached. It is called once for each client, several of each member.
    ///
    /// # Errors
    /// When the client saw something that must not be: the run is then violated.
    fn run(&self, client: &mut Actor, stop: &Stop) -> impl Future<Output = Result<()>> + Send;

    /// Looks at what has come of it, once all is healed and all clients have ended; `members` are fresh clients, one of
    /// each member.
    ///
    /// # Errors
    /// When something is not as it must be: the run is then violated. After a request without an answer ([`NoAnswer`]) it is
    /// called again, as often as time allows.
    fn check(&self, members: &mut [Actor]) -> impl Future<Output = Result<()>> + Send {
        let _ = members;
        async { Ok(()) }
    }

    /// Beginnings of keys that get watches of their own, beside those on all keys.
    fn prefixes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// When clients have to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn new(flag: watch::Receiver<bool>) -> Stop {
        Stop(flag)
    }

    /// Whether it is time.
    pub fn is_reached(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits, but not beyond the end; whether the end came first.
    pub async fn within(&self, limit: Duration) -> bool {
        let mut flag = self.0.clone();
        tokio::time::timeout(limit, flag.wait_for(|stop| *stop))
            .await
            .is_ok()
    }
}

type Doing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A workload of any type.
trait Erased: Send + Sync {
    fn run<'a>(&'a self, client: &'a mut Actor, stop: &'a Stop) -> Doing<'a>;
    fn check<'a>(&'a self, members: &'a mut [Actor]) -> Doing<'a>;
    fn prefixes(&self) -> Vec<String>;
}

impl<W: Workload> Erased for W {
    fn run<'a>(&'a self, client: &'a mut Actor, stop: &'a Stop) -> Doing<'a> {
        Box::pin(Workload::run(self, client, stop))
    }

    fn check<'a>(&'a self, members: &'a mut [Actor]) -> Doing<'a> {
        Box::pin(Workload::check(self, members))
    }

    fn prefixes(&self) -> Vec<String> {
        Workload::prefixes(self)
    }
}

/// A workload that is shared by the clients of a run.
#[derive(Clone)]
pub struct Shared(Arc<dyn Erased>);

impl Shared {
    /// Of any workload.
    pub fn new(workload: impl Workload) -> Shared {
        Shared(Arc::new(workload))
    }

    pub(crate) async fn run(&self, client: &mut Actor, stop: &Stop) -> Result<()> {
        self.0.run(client, stop).await
    }

    pub(crate) async fn check(&self, members: &mut [Actor]) -> Result<()> {
        self.0.check(members).await
    }

    pub(crate) fn prefixes(&self) -> Vec<String> {
        self.0.prefixes()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

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

/// Steps of some kinds, each as likely as the others. A step is one request, or a few that belong together.
#[derive(Debug, Clone)]
pub struct Mix(pub Vec<Kind>);

impl Workload for Mix {
    async fn run(&self, client: &mut Actor, stop: &Stop) -> Result<()> {
        let mut lease = lease::Held::default();
        while !stop.is_reached() {
            let kind = *client.random.pick(&self.0);
            match kind {
                Kind::Registers => register::step(client).await,
                Kind::Txn => txn::step(client).await,
                Kind::Ranges => range::step(client).await,
                Kind::Lease => lease.step(client).await,
                Kind::Kubernetes => kube::step(client).await,
                Kind::History => history::step(client).await,
            }
        }
        Ok(())
    }

    fn prefixes(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.prefix().to_owned()).collect()
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
