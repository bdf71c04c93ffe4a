//! What clients did and saw, judged while it comes in and once more at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use state_machine::{Outcome, StateMachine, decode_key_value};
use store::replica::Unavailable;

/// Revisions read at once when everything is compared.
const REVISIONS_AT_ONCE: usize = 4096;
const BYTES_AT_ONCE: usize = 16 << 20;
/// Violations that are told; more help nobody.
const VIOLATIONS_MAX: usize = 20;

/// Clones are one history.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    next_value: u64,
    writes: BTreeMap<u64, Fate>,
    /// Newest revision that anybody was told of: later operations must see at least this.
    floor: i64,
    counts: Counts,
    violations: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unknown,
    Acknowledged(i64),
    Refused,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) reads: u64,
}

/// What was known when an operation began.
pub(crate) struct Begun {
    pub(crate) value: u64,
    floor: i64,
}

impl History {
    fn with<T>(&self, work: impl FnOnce(&mut Records) -> T) -> T {
        work(&mut self.0.lock().expect("no code under this lock panics"))
    }

    pub(crate) fn violate(&self, what: String) {
        self.with(|records| {
            if records.violations.len() < VIOLATIONS_MAX {
                records.violations.push(what);
            }
        });
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.with(|records| records.violations.clone())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.with(|records| {
            let unknown = records
                .writes
                .values()
                .filter(|fate| **fate == Fate::Unknown);
            Counts {
                unknown: unknown.count() as u64,
                ..records.counts
            }
        })
    }

    /// A write of a value that nobody else writes.
    pub(crate) fn begin_write(&self) -> Begun {
        self.with(|records| {
            records.next_value += 1;
            let value = records.next_value;
            records.writes.insert(value, Fate::Unknown);
            Begun {
                value,
                floor: records.floor,
            }
        })
    }

    pub(crate) fn begin_read(&self) -> Begun {
        self.with(|records| Begun {
            value: 0,
            floor: records.floor,
        })
    }

    pub(crate) fn end_write(&self, begun: &Begun, answer: &Result<Outcome, Unavailable>) {
        let refused = match answer {
            Ok(Ok(response)) => {
                let revision = response.revision;
                self.acknowledged(begun, revision);
                return;
            }
            Ok(Err(_rejection)) => true,
            Err(why) => matches!(
                why,
                Unavailable::NotLeader
                    | Unavailable::NoLeader
                    | Unavailable::TooManyRequests
                    | Unavailable::TooLarge
            ),
        };
        if refused {
            self.with(|records| {
                records.counts.refused += 1;
                records.writes.insert(begun.value, Fate::Refused);
            });
        }
    }

    fn acknowledged(&self, begun: &Begun, revision: i64) {
        let floor = self.with(|records| {
            records.counts.acknowledged += 1;
            records
                .writes
                .insert(begun.value, Fate::Acknowledged(revision));
            records.floor = records.floor.max(revision);
            begun.floor
        });
        if revision <= floor {
            self.violate(format!(
                "write {} got revision {revision}, but {floor} was known before it began",
                begun.value
            ));
        }
    }

    pub(crate) fn end_read(&self, begun: &Begun, member: usize, revision: i64) {
        self.with(|records| {
            records.counts.reads += 1;
            records.floor = records.floor.max(revision);
        });
        if revision < begun.floor {
            self.violate(format!(
                "a linearizable read on m{member} saw revision {revision}, but {} was known before it began",
                begun.floor
            ));
        }
    }

    /// Judges what the members hold in the end.
    pub(crate) fn judge(&self, machines: &[Arc<StateMachine>]) {
        let first = self.values(&machines[0], 0);
        for (member, machine) in machines.iter().enumerate().skip(1) {
            if self.values(machine, member) != first {
                self.violate(format!("m{member} has another history than m0"));
            }
        }
        let mut seen = BTreeMap::new();
        for (&revision, &value) in &first {
            if let Some(before) = seen.insert(value, revision) {
                self.violate(format!(
                    "write {value} was applied twice, as revisions {before} and {revision}"
                ));
            }
        }
        let writes = self.with(|records| records.writes.clone());
        for (value, fate) in writes {
            let found = seen.remove(&value);
            match fate {
                Fate::Acknowledged(revision) if found != Some(revision) => self.violate(format!(
                    "write {value} was acknowledged as revision {revision} and is at {found:?}"
                )),
                Fate::Refused if found.is_some() => self.violate(format!(
                    "write {value} was refused and is at revision {found:?}"
                )),
                _ => {}
            }
        }
        for (value, revision) in seen {
            self.violate(format!(
                "revision {revision} holds {value}, which nobody wrote"
            ));
        }
    }

    /// The value written by each revision.
    fn values(&self, machine: &StateMachine, member: usize) -> BTreeMap<i64, u64> {
        let (mut values, mut from) = (BTreeMap::new(), 2);
        while from <= machine.revision() {
            let read = match machine.history(from, REVISIONS_AT_ONCE, BYTES_AT_ONCE) {
                Ok(read) if !read.is_empty() => read,
                other => {
                    self.violate(format!(
                        "the history of m{member} cannot be read: {other:?}"
                    ));
                    return values;
                }
            };
            for revision in read {
                from = revision.revision + 1;
                for event in revision.events.iter() {
                    values.insert(revision.revision, value_of(&event.kv.0));
                }
            }
        }
        values
    }
}

pub(crate) fn value_of(encoded: &Bytes) -> u64 {
    let decoded = decode_key_value(encoded).ok();
    let digits = decoded.and_then(|kv| std::str::from_utf8(&kv.value).ok()?.parse().ok());
    digits.unwrap_or(0)
}
