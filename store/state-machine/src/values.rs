//! A bounded store of encoded key-values beside the index, so that reads of hot keys need no disk.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::outcome::Revision;

/// Memory a slot takes besides its bytes: the slot, the allocator's share and the shared counter of `Bytes`.
const SLOT_OVERHEAD_BYTES: usize = 128;

/// Where a value lies, plus one; 0 is nowhere. A number may be stale: the slot's revision tells.
pub(crate) type SlotNumber = u32;

struct Slot {
    revision: Revision,
    kv: Bytes,
    /// Read since the clock hand last passed.
    read: AtomicBool,
}

/// Evicts by the clock rule: the hand passes over slots read since it last came by.
pub(crate) struct Values {
    slots: Vec<Slot>,
    free: Vec<SlotNumber>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Values {
    pub(crate) fn new(bytes_max: usize) -> Values {
        Values {
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn get(&self, number: SlotNumber, revision: Revision) -> Option<&Bytes> {
        let slot = self.slots.get((number as usize).checked_sub(1)?)?;
        if slot.revision != revision {
            return None;
        }
        if !slot.read.load(Ordering::Relaxed) {
            slot.read.store(true, Ordering::Relaxed);
        }
        Some(&slot.kv)
    }

    /// Bytes one request may bring in from disk, so that a large read does not push everything out.
    pub(crate) fn fill_bytes_max(&self) -> usize {
        self.bytes_max / 8
    }

    /// Stores a value that takes the place of `replaces`, if that is still there.
    pub(crate) fn insert(
        &mut self,
        revision: Revision,
        kv: Bytes,
        replaces: (SlotNumber, Revision),
    ) -> SlotNumber {
        let size = kv.len() + SLOT_OVERHEAD_BYTES;
        self.remove(replaces.0, replaces.1);
        if size > self.fill_bytes_max() {
            return 0;
        }
        while self.bytes + size > self.bytes_max {
            self.evict_one();
        }
        self.bytes += size;
        let slot = Slot {
            revision,
            kv,
            read: AtomicBool::new(false),
        };
        if let Some(number) = self.free.pop() {
            self.slots[number as usize - 1] = slot;
            return number;
        }
        let number =
            SlotNumber::try_from(self.slots.len() + 1).expect("slots are bounded by bytes_max");
        self.slots.push(slot);
        number
    }

    pub(crate) fn remove(&mut self, number: SlotNumber, revision: Revision) {
        let Some(position) = (number as usize).checked_sub(1) else {
            return;
        };
        if self
            .slots
            .get(position)
            .is_some_and(|slot| slot.revision == revision)
        {
            self.clear(position);
        }
    }

    fn clear(&mut self, position: usize) {
        let slot = &mut self.slots[position];
        self.bytes -= slot.kv.len() + SLOT_OVERHEAD_BYTES;
        *slot = Slot {
            revision: Revision::default(),
            kv: Bytes::new(),
            read: AtomicBool::new(false),
        };
        self.free.push(position as SlotNumber + 1);
    }

    /// Ends because a pass clears every `read` mark, and because some slot is full whenever bytes are over.
    fn evict_one(&mut self) {
        loop {
            let position = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[position];
            // No revision is 0, so this is an empty slot.
            if slot.revision == Revision::default() {
                continue;
            }
            if std::mem::take(slot.read.get_mut()) {
                continue;
            }
            self.clear(position);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(main: i64) -> Revision {
        Revision { main, sub: 0 }
    }

    #[test]
    fn memory_is_bounded_and_read_values_stay() {
        let mut values = Values::new(16 * (SLOT_OVERHEAD_BYTES + 100));
        let first = values.insert(revision(2), Bytes::from(vec![1; 100]), (0, revision(1)));
        for main in 3..100 {
            assert!(values.get(first, revision(2)).is_some(), "lost at {main}");
            values.insert(revision(main), Bytes::from(vec![0; 100]), (0, revision(1)));
            assert!(values.bytes <= values.bytes_max);
            assert!(values.slots.len() <= 16);
        }
    }

    #[test]
    fn a_stale_number_finds_nothing() {
        let mut values = Values::new(1 << 20);
        let number = values.insert(revision(2), Bytes::from_static(b"old"), (0, revision(1)));
        let newer = values.insert(
            revision(3),
            Bytes::from_static(b"new"),
            (number, revision(2)),
        );
        assert_eq!(number, newer);
        assert_eq!(values.get(number, revision(2)), None);
        assert_eq!(
            values.get(number, revision(3)),
            Some(&Bytes::from_static(b"new"))
        );
        assert_eq!(values.get(0, revision(3)), None);
    }

    #[test]
    fn a_value_larger_than_its_share_is_not_kept() {
        let mut values = Values::new(1000);
        assert_eq!(
            values.insert(revision(2), Bytes::from(vec![0; 500]), (0, revision(1))),
            0
        );
    }
}
