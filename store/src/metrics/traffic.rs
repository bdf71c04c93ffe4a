//! Traffic by prefix and by client, in tables with an end: what comes when a table is full is counted as `other`.

use std::sync::OnceLock;

use super::Counter;

/// Names that a table takes.
pub(crate) const NAMES_MAX: usize = 64;
/// Slots that are looked at for a name.
const PROBES_MAX: usize = 16;
/// Segments of a key that make its prefix.
const SEGMENTS: usize = 2;
/// Bytes of a name; a longer one is counted as `other`.
const NAME_BYTES_MAX: usize = 256;

/// What a request of the KV service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Range,
    Put,
    Delete,
    Txn,
}

impl Operation {
    pub(crate) const ALL: [(Operation, &str); 4] = [
        (Operation::Range, "range"),
        (Operation::Put, "put"),
        (Operation::Delete, "delete"),
        (Operation::Txn, "txn"),
    ];
}

/// Counters by name. A name that is there is found without a lock.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: [OnceLock<(Box<[u8]>, T)>; NAMES_MAX],
    other: T,
}

impl<T: Default> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            slots: [const { OnceLock::new() }; NAMES_MAX],
            other: T::default(),
        }
    }
}

impl<T: Default> Table<T> {
    /// Slots in the order in which they are looked at for a name.
    fn slots(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let start = hash(name);
        (0..PROBES_MAX).map(move |step| start.wrapping_add(step) % NAMES_MAX)
    }

    /// Where a name is, or would be put; none for `other`.
    pub(crate) fn place(&self, name: &[u8]) -> Option<usize> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.slots(name).find(|slot| {
            let (taken, _) = self.slots[*slot].get_or_init(|| (Box::from(name), T::default()));
            **taken == *name
        })
    }

    pub(crate) fn at(&self, place: Option<usize>) -> &T {
        let slot = place.and_then(|place| self.slots.get(place));
        slot.and_then(OnceLock::get)
            .map_or(&self.other, |(_, counters)| counters)
    }

    /// All names with their counters, `other` last.
    pub(crate) fn all(&self) -> Vec<(String, &T)> {
        let named = self.slots.iter().filter_map(OnceLock::get);
        let mut all: Vec<(String, &T)> = named
            .map(|(name, counters)| (name.escape_ascii().to_string(), counters))
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.push(("other".to_owned(), &self.other));
        all
    }
}

/// FNV-1a. A table with an end needs no more.
fn hash(name: &[u8]) -> usize {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as usize
}

#[derive(Debug, Default)]
pub(crate) struct PrefixCounters {
    requests: [Counter; Operation::ALL.len()],
    bytes: [Counter; Operation::ALL.len()],
}

impl PrefixCounters {
    pub(crate) fn requests(&self, operation: Operation) -> u64 {
        self.requests[operation as usize].get()
    }

    pub(crate) fn bytes(&self, operation: Operation) -> u64 {
        self.bytes[operation as usize].get()
    }
}

/// Traffic by the beginning of keys.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    /// Those that the operator named; when there are none, a key's first segments are its prefix.
    named: Vec<Vec<u8>>,
    pub(crate) table: Table<PrefixCounters>,
}

impl Prefixes {
    pub(crate) fn new(names: &[String]) -> Prefixes {
        let mut named: Vec<Vec<u8>> = names.iter().map(|name| name.clone().into()).collect();
        // The longest that fits counts.
        named.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Prefixes {
            named,
            table: Table::default(),
        }
    }

    fn counters(&self, key: &[u8]) -> &PrefixCounters {
        let prefix = if self.named.is_empty() {
            first_segments(key)
        } else {
            let fits = self.named.iter().find(|name| key.starts_with(name));
            fits.map_or(&[][..], |name| name)
        };
        self.table.at(self.table.place(prefix))
    }

    pub(crate) fn count_request(&self, operation: Operation, key: &[u8]) {
        self.counters(key).requests[operation as usize].add(1);
    }

    pub(crate) fn count_bytes(&self, operation: Operation, key: &[u8], bytes: usize) {
        self.counters(key).bytes[operation as usize].add(bytes as u64);
    }
}

/// `/registry/pods/default/a` and `app/users/7` begin with `/registry/pods/` and `app/users/`. A key with fewer segments has
/// all but its last, and one without a slash none.
fn first_segments(key: &[u8]) -> &[u8] {
    let leading = usize::from(key.first() == Some(&b'/'));
    let slashes = key.iter().enumerate().skip(leading);
    let slashes = slashes.filter(|(_, byte)| **byte == b'/').take(SEGMENTS);
    slashes.last().map_or(&[], |(at, _)| &key[..=at])
}

#[derive(Debug, Default)]
pub(crate) struct ClientCounters {
    pub(crate) requests: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_first_segments_of_a_key() {
        for (key, prefix) in [
            ("/registry/pods/default/a", "/registry/pods/"),
            ("/registry/pods/", "/registry/pods/"),
            ("/registry/pods", "/registry/"),
            ("app/users/7", "app/users/"),
            ("app/x", "app/"),
            ("plain", ""),
            ("/plain", ""),
            ("", ""),
        ] {
            assert_eq!(first_segments(key.as_bytes()), prefix.as_bytes(), "{key}");
        }
    }

    #[test]
    fn a_table_has_an_end_and_forgets_nobody_who_is_in_it() {
        let table: Table<Counter> = Table::default();
        for number in 0..1000 {
            let name = format!("name{number}");
            table.at(table.place(name.as_bytes())).add(1);
        }
        let all = table.all();
        assert!(all.len() <= NAMES_MAX + 1, "{}", all.len());
        assert_eq!(all.last().unwrap().0, "other");
        let sum: u64 = all.iter().map(|(_, counter)| counter.get()).sum();
        assert_eq!(sum, 1000);
        let first = table.place(b"name0");
        assert!(first.is_some());
        table.at(first).add(1);
        assert_eq!(table.at(first).get(), 2);
    }

    #[test]
    fn named_prefixes_are_the_only_ones_and_the_longest_counts() {
        let names = ["/a/".to_owned(), "/a/b/".to_owned()];
        let prefixes = Prefixes::new(&names);
        for key in ["/a/x", "/a/b/x", "/c/d/e"] {
            prefixes.count_request(Operation::Put, key.as_bytes());
        }
        let all = prefixes.table.all();
        let counts: Vec<(&str, u64)> = all
            .iter()
            .map(|(name, counters)| (name.as_str(), counters.requests(Operation::Put)))
            .collect();
        assert_eq!(counts, [("/a/", 1), ("/a/b/", 1), ("other", 1)]);
    }
}
