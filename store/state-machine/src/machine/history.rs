//! Past revisions, for watches that catch up.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::StateMachine;
use crate::disk::Row;
use crate::key_value::{Fields, shared_key};
use crate::machine::Fatal;
use crate::outcome::{EncodedKeyValue, Event, EventKind, Rejection, Revision, RevisionEvents};

/// Events of one revision while they are gathered.
#[derive(Default)]
struct Gathered {
    revision: i64,
    events: Vec<Event>,
}

impl StateMachine {
    /// Whole revisions from `from` on, in order, until one of the bounds is reached (one revision
    /// at least). Rejected as compacted when `from` is below the compact revision.
    pub fn history(
        &self,
        from: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection> {
        self.check_history(from)?;
        let newest = self.revision();
        let mut found: Vec<Gathered> = Vec::new();
        let mut bytes = 0;
        let start = Revision { main: from, sub: 0 };
        let scanned = self.disk.scan(start, |row| {
            if row.at.main > newest {
                return Ok(ControlFlow::Break(()));
            }
            let begins = found.last().is_none_or(|last| last.revision != row.at.main);
            if begins {
                if found.len() >= max_revisions.max(1) || (bytes >= max_bytes && !found.is_empty())
                {
                    return Ok(ControlFlow::Break(()));
                }
                found.push(Gathered {
                    revision: row.at.main,
                    events: Vec::new(),
                });
            }
            bytes += row.kv.len();
            let gathered = found.last_mut().expect("pushed above");
            gathered.events.push(event(&row)?);
            Ok(ControlFlow::Continue(()))
        });
        scanned.map_err(|fatal| self.refuse_damaged(&fatal))?;
        if let Some(first) = found
            .first_mut()
            .filter(|first| first.revision == self.compact_revision())
        {
            keep_last_of_each_key(&mut first.events);
        }
        self.find_previous(&mut found);
        // A compaction may have taken rows away while they were read.
        self.check_history(from)?;
        let whole = |gathered: Gathered| RevisionEvents {
            revision: gathered.revision,
            events: gathered.events.into(),
        };
        Ok(found.into_iter().map(whole).collect())
    }

    fn check_history(&self, from: i64) -> Result<(), Rejection> {
        let compact_revision = self.compact_revision();
        if from < compact_revision {
            Err(Rejection::Compacted { compact_revision })
        } else {
            Ok(())
        }
    }

    /// Names the value before each change, if a read one revision earlier is still allowed.
    fn find_previous(&self, found: &mut [Gathered]) {
        let compact_revision = self.compact_revision();
        for gathered in found {
            let earlier = gathered.revision - 1;
            if earlier < compact_revision {
                continue;
            }
            let state = self.shared.state.read();
            for event in gathered.events.iter_mut().filter(|event| !event.created) {
                event.prev = state
                    .index
                    .get(&event.key)
                    .and_then(|meta| meta.visible_at(earlier));
            }
        }
    }
}

/// At the compact revision only the last change of a key is kept, whether or not the row of an
/// earlier one is still there.
fn keep_last_of_each_key(events: &mut Vec<Event>) {
    let mut seen = BTreeSet::new();
    let mut last: Vec<Event> = events
        .drain(..)
        .rev()
        .filter(|event| seen.insert(event.key.clone()))
        .collect();
    last.reverse();
    *events = last;
}

fn event(row: &Row<'_>) -> Result<Event, Fatal> {
    let damaged = |error| Fatal::Damaged(format!("the row at {:?}: {error}", row.at));
    let fields = Fields::decode(row.kv).map_err(damaged)?;
    let kv = if row.tombstone {
        Fields {
            key: fields.key,
            mod_revision: row.at.main,
            ..Fields::default()
        }
        .encode()
    } else {
        Bytes::copy_from_slice(row.kv)
    };
    Ok(Event {
        kind: if row.tombstone {
            EventKind::Delete
        } else {
            EventKind::Put
        },
        key: shared_key(&kv, fields.key),
        kv: EncodedKeyValue(kv),
        created: !row.tombstone && fields.create_revision == row.at.main,
        prev: None,
    })
}
