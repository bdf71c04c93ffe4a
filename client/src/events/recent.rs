//! A map that forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Entries of one map.
const ENTRIES_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// Keys by their last use.
    uses: BTreeMap<u64, K>,
    next_use: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent {
            entries: HashMap::new(),
            uses: BTreeMap::new(),
            next_use: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// The entry of a key, which is made if there is none.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.next_use += 1;
        let now = self.next_use;
        if !self.entries.contains_key(&key)
            && self.entries.len() == ENTRIES_MAX
            && let Some((_, oldest)) = self.uses.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let (used, value) = self
            .entries
            .entry(key.clone())
            .or_insert_with(|| (now, make()));
        self.uses.remove(used);
        *used = now;
        self.uses.insert(now, key);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_kept() {
        let mut recent = Recent::default();
        for key in 0..ENTRIES_MAX {
            recent.entry(key, || key);
        }
        recent.entry(0, || 7);
        recent.entry(ENTRIES_MAX, || 1);
        assert_eq!(*recent.entry(0, || 7), 0, "it was used again");
        assert_eq!(*recent.entry(1, || 7), 7, "it was the oldest");
        assert_eq!(
            (recent.entries.len(), recent.uses.len()),
            (ENTRIES_MAX, ENTRIES_MAX)
        );
    }
}
