//! The life of each lease.

use std::collections::HashMap;

use crate::history::{Answer, Operation, Outcome, RefusalKind, Request};
use crate::model::Model;
use crate::verdict::{Check, Violation};

use super::judge::renewed;
use super::ledger::Ledger;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// How long after its time a lease without an end is remembered, in nanoseconds.
const FORGET_NS: u64 = 3600 * NS_PER_SECOND;

/// What is known of a lease. Times in nanoseconds.
#[derive(Debug, Default)]
struct Lease {
    /// The earliest call of a grant that may have made it.
    grant_call_ns: Option<u64>,
    /// The return of the grant that made it, and its time in seconds.
    granted: Option<(u64, i64)>,
    /// It was granted twice, so nothing can be said of its times.
    again: bool,
    /// Until when it lives at least: the last call of an answered grant or keep-alive and its time.
    until_ns: u64,
    /// Until when it lives at most but for delays: the same, from the return.
    late_ns: u64,
    /// The last call of an answered keep-alive that found it.
    renewal_call_ns: u64,
    /// The earliest call of a revoke that may have ended it.
    revoke_call_ns: Option<u64>,
    /// The earliest return of a revoke that ended it.
    revoked_ns: Option<u64>,
    /// The revision at which its keys went, and since when that is known.
    ended: Option<(i64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Leases {
    known: HashMap<i64, Lease>,
}

impl Leases {
    /// Notes what an operation says, as soon as it is known.
    pub(super) fn note(&mut self, operation: &Operation, ledger: &mut Ledger) {
        let call_ns = operation.call_ns;
        let refused = matches!(operation.outcome, Outcome::Failed(_));
        match &operation.request {
            Request::LeaseGrant(grant) if !refused => {
                let granted = match &operation.outcome {
                    Outcome::Ok(response) => match &response.answer {
                        Answer::LeaseGrant(lease) => Some((lease.id, lease.ttl)),
                        _ => None,
                    },
                    _ => None,
                };
                self.note_grant(operation, granted.map_or(grant.id, |(id, _)| id), granted);
            }
            Request::LeaseRevoke(revoke) if !refused => {
                let lease = self.known.entry(revoke.id).or_default();
                let first_ns = lease.revoke_call_ns.unwrap_or(call_ns).min(call_ns);
                lease.revoke_call_ns = Some(first_ns);
                if let (Outcome::Ok(_), Some(return_ns)) = (&operation.outcome, operation.return_ns)
                {
                    let revoked_ns = lease.revoked_ns.unwrap_or(return_ns).min(return_ns);
                    lease.revoked_ns = Some(revoked_ns);
                }
            }
            Request::LeaseKeepAlive(_) => self.note_renewal(operation, ledger),
            _ => {}
        }
    }

    fn note_grant(&mut self, operation: &Operation, id: i64, granted: Option<(i64, i64)>) {
        if id == 0 {
            return;
        }
        let call_ns = operation.call_ns;
        let lease = self.known.entry(id).or_default();
        let first_ns = lease.grant_call_ns.unwrap_or(call_ns).min(call_ns);
        lease.grant_call_ns = Some(first_ns);
        if let (Some((_, ttl)), Some(return_ns)) = (granted, operation.return_ns) {
            lease.again |= lease.granted.is_some();
            lease.granted = Some((return_ns, ttl));
            lease.until_ns = lease.until_ns.max(after(call_ns, ttl));
            lease.late_ns = lease.late_ns.max(after(return_ns, ttl));
        }
    }

    fn note_renewal(&mut self, operation: &Operation, ledger: &mut Ledger) {
        let Outcome::Ok(response) = &operation.outcome else {
            return;
        };
        let (Some((id, ttl)), Some(return_ns)) = (renewed(&response.answer), operation.return_ns)
        else {
            return;
        };
        ledger.count(Check::LeaseAnswer);
        let lease = self.known.entry(id).or_default();
        let call_ns = operation.call_ns;
        lease.renewal_call_ns = lease.renewal_call_ns.max(call_ns);
        lease.until_ns = lease.until_ns.max(after(call_ns, ttl));
        lease.late_ns = lease.late_ns.max(after(return_ns, ttl));
        let revoked = lease
            .revoked_ns
            .is_some_and(|revoked_ns| revoked_ns < call_ns);
        let ended = lease.ended.is_some_and(|(_, ended_ns)| ended_ns < call_ns);
        if (revoked || ended) && !lease.again {
            let how = if revoked { "revoked" } else { "over" };
            let text = format!("lease {id} was renewed after it was known to be {how}");
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
        }
    }

    /// Whether the lease may have run out by the time this was seen. One of which no grant is known never ran.
    pub(super) fn may_end(&self, id: i64, observed_ns: u64) -> bool {
        self.known
            .get(&id)
            .is_some_and(|lease| lease.again || observed_ns >= lease.until_ns)
    }

    pub(super) fn early_words(&self, id: i64, observed_ns: u64) -> String {
        let Some(lease) = self.known.get(&id) else {
            return format!("the keys of lease {id} went, and no such lease was granted");
        };
        let until_ns = lease.until_ns;
        if lease.renewal_call_ns > observed_ns {
            return format!(
                "lease {id} was over by {observed_ns} ns and renewed by a call at {} ns",
                lease.renewal_call_ns
            );
        }
        format!("lease {id} was over by {observed_ns} ns, and had until {until_ns} ns at least")
    }

    /// The lease ran out at this revision.
    pub(super) fn ended(&mut self, id: i64, revision: i64, observed_ns: u64) {
        self.known.entry(id).or_default().ended = Some((revision, observed_ns));
    }

    /// A revoke made this revision.
    pub(super) fn revoked(&mut self, id: i64, revision: i64) {
        let lease = self.known.entry(id).or_default();
        let known_ns = lease.revoked_ns.unwrap_or(u64::MAX);
        lease.ended = Some((revision, known_ns));
    }

    /// Why a key cannot have been attached at `revision`, which was there by `observed_ns`.
    pub(super) fn why_not_attached(
        &self,
        id: i64,
        revision: i64,
        observed_ns: u64,
    ) -> Option<String> {
        let Some(lease) = self.known.get(&id) else {
            return Some(format!(
                "a key was attached to lease {id}, which was never granted"
            ));
        };
        if lease.again {
            return None;
        }
        if lease
            .grant_call_ns
            .is_none_or(|call_ns| call_ns > observed_ns)
        {
            return Some(format!(
                "a key was attached to lease {id} before it was granted"
            ));
        }
        let (ended, _) = lease.ended?;
        (ended < revision).then(|| {
            format!("a key was attached to lease {id}, which had ended at revision {ended}")
        })
    }

    /// Judges answers and refusals when everything called before them is known.
    pub(super) fn returned(&mut self, operation: &Operation, time_ns: u64, ledger: &mut Ledger) {
        match &operation.outcome {
            Outcome::Ok(response) => match &response.answer {
                Answer::LeaseKeepAlive(lease) if lease.ttl <= 0 => {
                    self.judge_absent(operation, &[lease.id], time_ns, ledger);
                }
                Answer::LeaseTimeToLive(lease) if lease.ttl < 0 => {
                    self.judge_absent(operation, &[lease.id], time_ns, ledger);
                }
                Answer::LeaseTimeToLive(answer) => {
                    self.judge_time(operation, answer.id, answer.granted_ttl, ledger);
                }
                _ => {}
            },
            Outcome::Failed(refusal) if refusal.kind == RefusalKind::LeaseNotFound => {
                let mut named = Vec::new();
                leases_named(&operation.request, &mut named);
                if !named.is_empty() {
                    self.judge_absent(operation, &named, time_ns, ledger);
                }
            }
            Outcome::Failed(refusal) if refusal.kind == RefusalKind::LeaseExists => {
                self.judge_exists(operation, time_ns, ledger);
            }
            Outcome::Failed(_) | Outcome::Unknown { .. } => {}
        }
    }

    /// Whether the lease lived at every instant from the call to the return.
    fn lives_throughout(&self, id: i64, call_ns: u64, return_ns: u64) -> bool {
        let Some(lease) = self.known.get(&id) else {
            return false;
        };
        let Some((granted_ns, _)) = lease.granted else {
            return false;
        };
        !lease.again
            && granted_ns < call_ns
            && return_ns < lease.until_ns
            && lease
                .revoke_call_ns
                .is_none_or(|revoke_ns| revoke_ns > return_ns)
    }

    fn judge_absent(&self, operation: &Operation, ids: &[i64], time_ns: u64, ledger: &mut Ledger) {
        ledger.count(Check::LeaseAnswer);
        if ids
            .iter()
            .all(|id| self.lives_throughout(*id, operation.call_ns, time_ns))
        {
            let text =
                format!("answered that there is no lease {ids:?}, which lived all the while");
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
        }
    }

    fn judge_time(&self, operation: &Operation, id: i64, granted_ttl: i64, ledger: &mut Ledger) {
        ledger.count(Check::LeaseAnswer);
        let Some(lease) = self.known.get(&id) else {
            let text = format!("answered for lease {id}, which was never granted");
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
            return;
        };
        if lease.again {
            return;
        }
        if let Some((_, ttl)) = lease.granted
            && ttl != granted_ttl
        {
            let text = format!("lease {id} was granted for {ttl} s, answered was {granted_ttl} s");
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
        }
        if lease
            .revoked_ns
            .is_some_and(|revoked_ns| revoked_ns < operation.call_ns)
        {
            let text = format!("lease {id} was answered for after it was revoked");
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
        }
    }

    fn judge_exists(&self, operation: &Operation, time_ns: u64, ledger: &mut Ledger) {
        let Request::LeaseGrant(grant) = &operation.request else {
            return;
        };
        ledger.count(Check::LeaseAnswer);
        let lease = self.known.get(&grant.id);
        let called_ns = lease.and_then(|lease| lease.grant_call_ns);
        if called_ns.is_none_or(|called_ns| called_ns > time_ns) {
            let text = format!(
                "answered that there is a lease {}, which was never granted",
                grant.id
            );
            ledger.violation(Violation::new(Check::LeaseAnswer, text).by(operation));
        }
    }

    /// Forgets leases that ended before revision `first`, or whose time was over long ago; gives their ids.
    pub(super) fn trim(&mut self, first: i64, now_ns: u64) -> Vec<i64> {
        let is_over = |lease: &Lease| match lease.ended {
            Some((revision, _)) => revision < first,
            None => lease.late_ns.max(lease.renewal_call_ns) < now_ns.saturating_sub(FORGET_NS),
        };
        let over: Vec<i64> = self
            .known
            .iter()
            .filter(|(_, lease)| is_over(lease))
            .map(|(id, _)| *id)
            .collect();
        for id in &over {
            self.known.remove(id);
        }
        over
    }

    /// Notes leases whose keys are still there long after their time.
    pub(super) fn finish(
        &self,
        model: &Model,
        (now_ns, slack_ns): (u64, u64),
        ledger: &mut Ledger,
    ) {
        let mut ids: Vec<&i64> = self.known.keys().collect();
        ids.sort_unstable();
        for id in ids {
            let lease = &self.known[id];
            let due_ns = lease.late_ns.saturating_add(slack_ns);
            let (over_ns, how) = match lease.ended {
                Some((_, ended_ns)) if lease.revoke_call_ns.is_none() => (ended_ns, "ended"),
                None if model.has_keys(*id) => (now_ns, "still has keys"),
                _ => continue,
            };
            if lease.granted.is_some() && over_ns > due_ns && over_ns != u64::MAX {
                let late_ms = (over_ns - lease.late_ns) / 1_000_000;
                ledger.note("leases that outlived their time", || {
                    format!("lease {id} {how} {late_ms} ms after its time")
                });
            }
        }
    }
}

fn after(time_ns: u64, seconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    time_ns.saturating_add(seconds.saturating_mul(NS_PER_SECOND))
}

/// The leases a request needs.
fn leases_named(request: &Request, ids: &mut Vec<i64>) {
    match request {
        Request::Put(put) if put.lease != 0 => ids.push(put.lease),
        Request::LeaseRevoke(revoke) => ids.push(revoke.id),
        Request::Txn(txn) => {
            for request in txn.success.iter().chain(&txn.failure) {
                leases_named(request, ids);
            }
        }
        _ => {}
    }
}
