//! Hashes of members: equal where revision and compaction are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::{Answer, Operation, Outcome, Request};
use crate::verdict::{Check, Violation};

use super::ledger::Ledger;

#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// By revision and compacted revision, the hash and who answered it.
    known: BTreeMap<(i64, i64), (u32, Arc<Operation>)>,
}

impl Hashes {
    pub(super) fn note(&mut self, operation: &Arc<Operation>, ledger: &mut Ledger) {
        let (Request::HashKv(request), Outcome::Ok(response)) =
            (&operation.request, &operation.outcome)
        else {
            return;
        };
        let Answer::HashKv(hashed) = &response.answer else {
            return;
        };
        let revision = [hashed.hash_revision, request.revision, response.revision]
            .into_iter()
            .find(|revision| *revision > 0)
            .unwrap_or(0);
        let place = (revision, hashed.compact_revision);
        let Some((hash, other)) = self.known.get(&place) else {
            self.known
                .insert(place, (hashed.hash, Arc::clone(operation)));
            return;
        };
        ledger.count(Check::Hash);
        if *hash != hashed.hash {
            let text = format!(
                "at revision {revision}, compacted at {}, member {} has {:08x} and member {} has {hash:08x}",
                hashed.compact_revision, operation.member, hashed.hash, other.member
            );
            ledger.violation(
                Violation::new(Check::Hash, text)
                    .at(revision)
                    .by(operation)
                    .by(other),
            );
        }
    }

    pub(super) fn trim(&mut self, first: i64) {
        self.known.retain(|(revision, _), _| *revision >= first);
    }
}
