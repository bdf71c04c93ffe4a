//! Rates of requests by user and by prefix: token buckets, each one atomic.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::server::etcdserverpb as pb;
use tonic::Status;

use super::status;
use crate::config::{RateLimit, Whose};
use crate::metrics::Counter;

use pb::request_op::Request as Op;

/// A token bucket, kept as the time at which it is full again.
#[derive(Debug)]
struct Bucket {
    /// Nanoseconds that one request takes of it.
    cost: u64,
    /// Nanoseconds that the bucket holds.
    depth: u64,
    full_at: AtomicU64,
}

impl Bucket {
    fn new(rate: u32, burst: u32) -> Bucket {
        let cost = 1_000_000_000 / u64::from(rate);
        Bucket {
            cost,
            depth: cost * u64::from(burst),
            full_at: AtomicU64::new(0),
        }
    }

    /// Whether there is a token at `now`, in nanoseconds from a fixed moment. It is taken then.
    fn take(&self, now: u64) -> bool {
        let taken = self
            .full_at
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let full_at = full_at.max(now) + self.cost;
                (full_at - now <= self.depth).then_some(full_at)
            });
        taken.is_ok()
    }

    /// The request was refused for another reason.
    fn give_back(&self) {
        self.full_at.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Rule {
    whose: Whose,
    bucket: Bucket,
    refused: Counter,
}

/// All rules, each with its bucket.
#[derive(Debug)]
pub(crate) struct Rates {
    began: Instant,
    rules: Vec<Rule>,
    knows_users: bool,
}

/// A request that can tell which keys it touches.
pub(super) trait Touches {
    fn touches(&self, prefix: &[u8]) -> bool;
}

impl Rates {
    pub(crate) fn new(limits: &[RateLimit]) -> Rates {
        let rules = limits.iter().map(|limit| Rule {
            whose: limit.whose.clone(),
            bucket: Bucket::new(limit.rate, limit.burst),
            refused: Counter::default(),
        });
        let rules: Vec<Rule> = rules.collect();
        Rates {
            began: Instant::now(),
            knows_users: rules
                .iter()
                .any(|rule| matches!(rule.whose, Whose::User(_))),
            rules,
        }
    }

    /// Whether who sends a request matters.
    pub(super) fn knows_users(&self) -> bool {
        self.knows_users
    }

    /// Counts a request against every rule that it falls under. Refused, it counts against none.
    pub(super) fn admit(&self, user: Option<&str>, request: &impl Touches) -> Result<(), Status> {
        if self.rules.is_empty() {
            return Ok(());
        }
        self.admit_at(nanoseconds(self.began.elapsed()), user, request)
    }

    /// The same, so many nanoseconds after the start.
    fn admit_at(&self, now: u64, user: Option<&str>, request: &impl Touches) -> Result<(), Status> {
        let concerns = |rule: &&Rule| match &rule.whose {
            Whose::User(name) => user == Some(name),
            Whose::Prefix(prefix) => request.touches(prefix.as_bytes()),
        };
        let concerned = || self.rules.iter().filter(concerns);
        let Some((empty, rule)) = concerned()
            .enumerate()
            .find(|(_, rule)| !rule.bucket.take(now))
        else {
            return Ok(());
        };
        concerned()
            .take(empty)
            .for_each(|rule| rule.bucket.give_back());
        rule.refused.add(1);
        Err(status::too_many_requests())
    }

    /// Requests that each rule has refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&Whose, u64)> {
        self.rules
            .iter()
            .map(|rule| (&rule.whose, rule.refused.get()))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Whether the keys from `key` to `end`, as etcd writes a range, meet those that begin with `prefix`.
fn meets((key, end): (&[u8], &[u8]), prefix: &[u8]) -> bool {
    if end.is_empty() {
        return key.starts_with(prefix);
    }
    let begins_before_the_end_of_the_prefix = key < prefix || key.starts_with(prefix);
    let is_open = end == [0];
    begins_before_the_end_of_the_prefix && (is_open || end > prefix)
}

impl Touches for pb::RangeRequest {
    fn touches(&self, prefix: &[u8]) -> bool {
        meets((&self.key, &self.range_end), prefix)
    }
}

impl Touches for pb::PutRequest {
    fn touches(&self, prefix: &[u8]) -> bool {
        self.key.starts_with(prefix)
    }
}

impl Touches for pb::DeleteRangeRequest {
    fn touches(&self, prefix: &[u8]) -> bool {
        meets((&self.key, &self.range_end), prefix)
    }
}

/// Messages are nested to a depth that their decoder bounds.
impl Touches for pb::TxnRequest {
    fn touches(&self, prefix: &[u8]) -> bool {
        let mut compares = self.compare.iter();
        let mut operations = self.success.iter().chain(&self.failure);
        compares.any(|compare| meets((&compare.key, &compare.range_end), prefix))
            || operations.any(|operation| match &operation.request {
                Some(Op::RequestRange(range)) => range.touches(prefix),
                Some(Op::RequestPut(put)) => put.touches(prefix),
                Some(Op::RequestDeleteRange(delete)) => delete.touches(prefix),
                Some(Op::RequestTxn(txn)) => txn.touches(prefix),
                None => false,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate_exactly() {
        let bucket = Bucket::new(10, 3);
        let start = 5 * SECOND;
        let given = |now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(given(start), 3);
        assert_eq!(given(start + SECOND / 10 - 1), 0);
        assert_eq!(given(start + SECOND / 10), 1);
        assert_eq!(given(start + SECOND / 2), 3);
        assert_eq!(given(start + 100 * SECOND), 3);
    }

    #[test]
    fn ranges_meet_prefixes() {
        let meets = |key: &str, end: &str, prefix: &str| {
            meets((key.as_bytes(), end.as_bytes()), prefix.as_bytes())
        };
        assert!(meets("/a/b", "", "/a/"));
        assert!(!meets("/a", "", "/a/"));
        assert!(meets("/a/", "/a0", "/a/"));
        assert!(meets("/", "0", "/a/"));
        assert!(meets("/a/x", "/b", "/a/"));
        assert!(!meets("/b", "/c", "/a/"));
        assert!(!meets("/", "/a/", "/a/"));
        assert!(meets("\0", "\0", "/a/"));
        assert!(!meets("/b", "\0", "/a/"));
    }

    #[test]
    fn a_request_that_one_rule_refuses_takes_nothing_from_the_others() {
        let limit = |whose, burst| RateLimit {
            whose,
            rate: 1,
            burst,
        };
        let rates = Rates::new(&[
            limit(Whose::User("ann".into()), 3),
            limit(Whose::Prefix("/a/".into()), 1),
        ]);
        let put = |key: &'static str| pb::PutRequest {
            key: key.into(),
            ..Default::default()
        };
        let admitted = |user, key| rates.admit_at(SECOND, user, &put(key)).is_ok();
        assert!(admitted(Some("ann"), "/a/1"));
        assert!((0..10).all(|_| !admitted(Some("ann"), "/a/1")));
        assert!(admitted(Some("ann"), "/b"));
        assert!(admitted(Some("ann"), "/b"));
        assert!(!admitted(Some("ann"), "/b"));
        assert!(admitted(Some("bob"), "/b") && admitted(None, "/b"));
        let refused: Vec<u64> = rates.refused().map(|(_, refused)| refused).collect();
        assert_eq!(refused, [1, 10]);
    }
}
