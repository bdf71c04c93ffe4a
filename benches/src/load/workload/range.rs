//! Reads of one key or of a run of keys that are known to be there.

use std::time::Instant;

use crate::load::messages;
use crate::load::random::Random;
use crate::load::workload::{Keys, Workload};

/// Reads `width` neighbouring keys at a random place.
pub struct Range {
    keys: Keys,
    key_count: u64,
    width: u64,
    serializable: bool,
    random: Random,
    key: Vec<u8>,
    end: Vec<u8>,
}

impl Range {
    /// Keys 0 to `key_count` must exist, and be at least `width`.
    pub fn new(keys: Keys, key_count: u64, width: u64, serializable: bool, seed: u64) -> Range {
        let random = Random::new(seed);
        Range {
            keys,
            key_count,
            width,
            serializable,
            random,
            key: Vec::new(),
            end: Vec::new(),
        }
    }
}

impl Workload for Range {
    fn path(&self) -> &'static str {
        messages::RANGE
    }

    fn build(&mut self, _slot: usize, _due: Instant, out: &mut Vec<u8>) {
        let first = self.random.below(self.key_count - self.width + 1);
        self.keys.name(first, &mut self.key);
        self.end.clear();
        if self.width > 1 {
            self.keys.name(first + self.width, &mut self.end);
        }
        messages::range(&self.key, &self.end, self.serializable, out);
    }

    fn answer(&mut self, _slot: usize, message: &[u8]) -> Result<(), String> {
        let (held, count) = messages::range_counts(message);
        if held as u64 == self.width && count.cast_unsigned() == self.width {
            return Ok(());
        }
        Err(format!(
            "{held} keys held, {count} counted, {} asked for",
            self.width
        ))
    }
}
