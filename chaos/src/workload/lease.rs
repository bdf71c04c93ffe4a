//! Leases: each client holds one at a time, hangs keys on it, renews it for a while, and ends it or lets it end.

use check::history::{
    Answer, LeaseGrant, LeaseKeepAlive, LeaseRevoke, LeaseTimeToLive, Put, Range, Request,
};

use super::{Kind, get, key, prefix_end};
use crate::actor::Actor;

/// So many that most keys still hang on their lease when it ends: the end of one without keys is not seen.
const KEYS: u64 = 100;
/// Shorter ones are raised by the server.
const TTL_SECONDS: i64 = 2;

/// The lease a client holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    id: Option<i64>,
}

impl Held {
    pub(super) async fn step(&mut self, actor: &mut Actor) {
        let Some(id) = self.id else {
            let grant = LeaseGrant {
                id: actor.lease_id(),
                ttl: TTL_SECONDS,
            };
            // One without an answer may be there all the same; it ends by itself.
            let granted = actor.ask(Request::LeaseGrant(grant)).await;
            self.id = granted.map(|_| grant.id);
            return;
        };
        match actor.random.below(100) {
            0..40 => {
                let put = Put {
                    key: key(actor, Kind::Lease, KEYS),
                    value: actor.value(),
                    lease: id,
                    ..Put::default()
                };
                actor.ask(Request::Put(put)).await;
            }
            40..60 => {
                let answer = actor
                    .ask(Request::LeaseKeepAlive(LeaseKeepAlive { id }))
                    .await;
                let time = answer.map(|response| response.answer);
                if matches!(time, Some(Answer::LeaseKeepAlive(time)) if time.ttl <= 0) {
                    self.id = None;
                }
            }
            60..70 => {
                let ask = LeaseTimeToLive { id, keys: true };
                actor.ask(Request::LeaseTimeToLive(ask)).await;
            }
            70..85 => {
                let key = key(actor, Kind::Lease, KEYS);
                actor.ask(get(key)).await;
            }
            85..98 => {
                let prefix = Kind::Lease.prefix();
                let range = Range {
                    key: prefix.into(),
                    range_end: prefix_end(prefix),
                    ..Range::default()
                };
                actor.ask(Request::Range(range)).await;
            }
            // Rare, so that many leases are older than what one renewal gives them.
            98..99 => {
                actor.ask(Request::LeaseRevoke(LeaseRevoke { id })).await;
                self.id = None;
            }
            // Left to itself: it ends when its time is over, with all its keys.
            _ => self.id = None,
        }
    }
}
