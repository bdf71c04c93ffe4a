//! What one revision of the source changed, put together from the messages of a watch.

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::WatchResponse;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;
use tokio::sync::OwnedSemaphorePermit;

use super::side::stop;

/// Bytes of one revision. Of its puts a server admits far less; of deletes there is no other bound.
const REVISION_BYTES_MAX: usize = 256 << 20;
/// What a change takes beside its key and value.
const CHANGE_OVERHEAD_BYTES: usize = 96;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put {
        key: Bytes,
        value: Bytes,
        lease: i64,
    },
    Delete {
        key: Bytes,
    },
}

impl Change {
    pub(super) fn key(&self) -> &Bytes {
        match self {
            Change::Put { key, .. } | Change::Delete { key } => key,
        }
    }

    fn bytes(&self) -> usize {
        let value = match self {
            Change::Put { value, .. } => value.len(),
            Change::Delete { .. } => 0,
        };
        self.key().len() + value + CHANGE_OVERHEAD_BYTES
    }
}

/// The changes of one revision, in their order.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) number: i64,
    pub(super) changes: Vec<Change>,
    pub(super) bytes: usize,
    /// Its part of the memory that waiting revisions may take.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Revision {
    /// The leases that its puts name, each once.
    pub(super) fn leases(&self) -> Vec<i64> {
        let named = self.changes.iter().filter_map(|change| match change {
            Change::Put { lease, .. } if *lease != 0 => Some(*lease),
            _ => None,
        });
        let mut leases: Vec<i64> = named.collect();
        leases.sort_unstable();
        leases.dedup();
        leases
    }
}

/// Cuts the messages of a watch over all keys into whole revisions, and notices what is missing.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The newest whole revision.
    last: i64,
    open: Option<Revision>,
}

impl Assembly {
    /// After this revision.
    pub(super) fn after(last: i64) -> Assembly {
        Assembly { last, open: None }
    }

    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// The revisions that a message makes whole. One goes on in the next message when this is a fragment.
    pub(super) fn take(&mut self, answer: WatchResponse) -> Result<Vec<Revision>> {
        let mut whole = Vec::new();
        for event in answer.events {
            self.add(event, &mut whole)?;
        }
        if !answer.fragment {
            self.close(&mut whole);
        }
        Ok(whole)
    }

    fn add(&mut self, event: Event, whole: &mut Vec<Revision>) -> Result<()> {
        let is_put = event.r#type() == EventType::Put;
        let pair = event.kv.context("an event without a key")?;
        let number = pair.mod_revision;
        if self.open.as_ref().is_some_and(|open| open.number != number) {
            self.close(whole);
        }
        let open = match &mut self.open {
            Some(open) => open,
            // A member the watch went on at may send again what it had sent.
            None if number <= self.last => return Ok(()),
            None if number == self.last + 1 => self.open.insert(Revision {
                number,
                changes: Vec::new(),
                bytes: 0,
                room: None,
            }),
            None => {
                let last = self.last;
                return Err(stop(format!(
                    "the source's watch went from revision {last} to {number}: what is between them is lost, so take a new copy"
                )));
            }
        };
        let (key, value, lease) = (pair.key, pair.value, pair.lease);
        let change = if is_put {
            Change::Put { key, value, lease }
        } else {
            Change::Delete { key }
        };
        open.bytes += change.bytes();
        open.changes.push(change);
        if open.bytes > REVISION_BYTES_MAX {
            return Err(stop(format!(
                "revision {number} of the source has more than {REVISION_BYTES_MAX} bytes of changes: \
                 take a new copy, which will have it"
            )));
        }
        Ok(())
    }

    fn close(&mut self, whole: &mut Vec<Revision>) {
        if let Some(revision) = self.open.take() {
            self.last = revision.number;
            whole.push(revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::mvccpb::KeyValue;

    use super::*;

    fn message(revisions: &[i64], fragment: bool) -> WatchResponse {
        let event = |(at, revision): (usize, &i64)| Event {
            kv: Some(KeyValue {
                key: format!("{at}").into(),
                mod_revision: *revision,
                ..KeyValue::default()
            }),
            ..Event::default()
        };
        WatchResponse {
            events: revisions.iter().enumerate().map(event).collect(),
            fragment,
            ..WatchResponse::default()
        }
    }

    fn sizes(revisions: &[Revision]) -> Vec<(i64, usize)> {
        let size = |revision: &Revision| (revision.number, revision.changes.len());
        revisions.iter().map(size).collect()
    }

    #[test]
    fn a_revision_goes_on_over_fragments_and_ends_with_the_message() {
        let mut assembly = Assembly::after(4);
        let whole = assembly.take(message(&[5, 6, 6], true)).unwrap();
        assert_eq!(sizes(&whole), [(5, 1)]);
        assert!(assembly.take(message(&[6], true)).unwrap().is_empty());
        let whole = assembly.take(message(&[6, 7], false)).unwrap();
        assert_eq!(sizes(&whole), [(6, 4), (7, 1)]);
        assert_eq!(assembly.last(), 7);
    }

    #[test]
    fn what_was_there_is_passed_over_and_a_hole_is_an_error() {
        let mut assembly = Assembly::after(4);
        let whole = assembly.take(message(&[3, 4, 5], false)).unwrap();
        assert_eq!(sizes(&whole), [(5, 1)]);
        assert!(assembly.take(message(&[7], false)).is_err());
    }

    #[test]
    fn leases_are_named_once() {
        let put = |lease| Change::Put {
            key: Bytes::new(),
            value: Bytes::new(),
            lease,
        };
        let revision = Revision {
            number: 2,
            changes: vec![put(7), put(0), put(3), put(7)],
            bytes: 0,
            room: None,
        };
        assert_eq!(revision.leases(), [3, 7]);
    }
}
