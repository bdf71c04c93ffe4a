//! Choices that a seed repeats exactly, so that a schedule and a workload can be run again.

use serde::{Deserialize, Serialize};

/// A splittable generator (SplitMix64).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// A generator of its own for one purpose: what one part draws does not move the others.
    pub fn for_purpose(seed: u64, purpose: &str, number: u64) -> Random {
        // FNV-1a over the purpose: the standard hasher may change between releases.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in purpose.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut random = Random::new(seed ^ hash);
        random.state ^= random
            .draw()
            .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.draw();
        random
    }

    /// A seed nobody chose, short enough to be typed again.
    pub fn fresh_seed() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0) % 1_000_000
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; `bound` is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is nothing to choose from");
        self.draw() % bound
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, each as likely as the others.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64);
        &choices[usize::try_from(index).expect("an index fits")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_draw_different_numbers_and_the_same_ones_again() {
        let draw = |purpose, number| Random::for_purpose(7, purpose, number).draw();
        assert_eq!(draw("load", 1), draw("load", 1));
        assert_ne!(draw("load", 1), draw("load", 2));
        assert_ne!(draw("load", 1), draw("schedule", 1));
    }

    #[test]
    fn a_number_between_bounds_reaches_both() {
        let mut random = Random::new(1);
        let seen: std::collections::BTreeSet<u64> =
            (0..200).map(|_| random.between(3, 5)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<u64>>(), [3, 4, 5]);
    }
}
