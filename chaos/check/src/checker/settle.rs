//! The cause of each revision: an answered write, one without an answer, or the end of a lease.

use crate::history::{Event, EventKind, Outcome, Request};
use crate::model::Ending;
use crate::verdict::{Check, Violation};

use super::Checker;
use super::ownership::values_written;

impl Checker {
    /// Settles the causes of all revisions that are known to have been there by now.
    pub(super) fn settle(&mut self) {
        loop {
            let revision = self.gathered.settled + 1;
            let Some(entry) = self.model.revision(revision) else {
                // Either it is not there yet, or it was forgotten unsettled.
                if revision < self.model.first() {
                    self.ledger
                        .unjudged("causes of revisions that are no longer kept");
                    self.gathered.settled = self.model.first() - 1;
                    continue;
                }
                return;
            };
            if entry.observed_ns.is_none() && !self.gathered.ended {
                return;
            }
            self.gathered.settled = revision;
            if !entry.events.is_empty() {
                self.settle_one(revision);
            }
        }
    }

    fn settle_one(&mut self, revision: i64) {
        self.ledger.count(Check::Cause);
        self.look_at_attached(revision);
        let Some(entry) = self.model.revision(revision) else {
            return;
        };
        if entry
            .events
            .iter()
            .any(|event| event.kind == EventKind::Put)
        {
            self.ledger.count(Check::AppliedOnce);
        }
        let observed_ns = entry.observed_ns.unwrap_or(u64::MAX);
        let ending = entry.ending;
        if let Some(owner) = entry.owner.clone() {
            if let Request::LeaseRevoke(revoke) = &owner.request {
                self.leases.revoked(revoke.id, revision);
                self.ledger.count(Check::LeaseAtomic);
            }
            return;
        }
        if let Ending::Whole(lease) = ending
            && self.leases.may_end(lease, observed_ns)
        {
            self.ledger.count(Check::LeaseAtomic);
            self.ledger.count(Check::LeaseEarly);
            self.leases.ended(lease, revision, observed_ns);
            return;
        }
        if !self.model.has_state(revision - 1) {
            self.ledger
                .unjudged("causes of revisions that are no longer kept");
            return;
        }
        match self.ownership.claim(&self.model, revision) {
            Some(operation) => {
                if let Request::LeaseRevoke(revoke) = &operation.request {
                    self.leases.revoked(revoke.id, revision);
                }
                if let Outcome::Failed(refusal) = &operation.outcome {
                    let text = format!(
                        "it was refused ({:?} {}) and took effect",
                        refusal.kind, refusal.text
                    );
                    self.ledger.violation(
                        Violation::new(Check::Cause, text)
                            .at(revision)
                            .by(&operation),
                    );
                }
            }
            None => {
                let violation = self.without_cause(revision, ending, observed_ns);
                self.ledger.violation(violation.at(revision));
            }
        }
    }

    fn without_cause(&mut self, revision: i64, ending: Ending, observed_ns: u64) -> Violation {
        match ending {
            Ending::Whole(lease) => {
                self.ledger.count(Check::LeaseEarly);
                self.leases.ended(lease, revision, observed_ns);
                let text = self.leases.early_words(lease, observed_ns);
                return Violation::new(Check::LeaseEarly, text);
            }
            Ending::Part(lease) => {
                let text = format!("some keys of lease {lease} vanished and some did not");
                return Violation::new(Check::LeaseAtomic, text);
            }
            Ending::No => {}
        }
        let Some(entry) = self.model.revision(revision) else {
            return Violation::new(Check::Cause, "forgotten");
        };
        let events = &entry.events;
        for event in events.iter().filter(|event| event.kind == EventKind::Put) {
            if let Some(violation) = self.written_again(event, revision) {
                return violation;
            }
        }
        match self.ownership.suspect(events) {
            Some((operation, taken)) => {
                let why = match taken {
                    Some(taken) => format!("its effect was already at revision {taken}"),
                    None => "it was called later, or would have done something else".to_owned(),
                };
                let text = format!("only this operation has the value of {events:?}, but {why}");
                Violation::new(Check::Cause, text).by(&operation)
            }
            None => Violation::new(Check::Cause, format!("no operation explains {events:?}")),
        }
    }

    /// The write of another revision that `event` repeats. One that only kept the value it found is none.
    fn written_again(&self, event: &Event, revision: i64) -> Option<Violation> {
        let (key, value) = (&event.kv.key, &event.kv.value);
        let others = self.model.revisions_of(key.as_slice(), value);
        others
            .into_iter()
            .filter(|other| *other != revision)
            .find_map(|other| {
                let text =
                    format!("value {value} of key {key} was written at revision {other} and again");
                let violation = Violation::new(Check::AppliedOnce, text);
                let Some(owner) = &self.model.revision(other)?.owner else {
                    return Some(violation);
                };
                let mut values = Vec::new();
                values_written(&owner.request, &mut values);
                values.contains(&(key, value)).then(|| violation.by(owner))
            })
    }

    /// A key can only be attached to a lease that lives.
    fn look_at_attached(&mut self, revision: i64) {
        let Some(entry) = self.model.revision(revision) else {
            return;
        };
        let observed_ns = entry.observed_ns.unwrap_or(u64::MAX);
        for event in &entry.events {
            if event.kind != EventKind::Put || event.kv.lease == 0 {
                continue;
            }
            self.ledger.count(Check::LeaseAnswer);
            if let Some(text) = self
                .leases
                .why_not_attached(event.kv.lease, revision, observed_ns)
            {
                let mut violation = Violation::new(Check::LeaseAnswer, text).at(revision);
                if let Some(owner) = &entry.owner {
                    violation = violation.by(owner);
                }
                self.ledger.violation(violation);
            }
        }
    }
}
