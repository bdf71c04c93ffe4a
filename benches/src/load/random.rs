//! A small seeded generator (SplitMix64), so that a run can be repeated.

/// The generator's state.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(limit)) >> 64) as u64
    }
}

const POOL_BYTES: usize = 1 << 16;

/// Values that neither compress nor repeat in a row: slices of one random pool.
#[derive(Clone, Debug)]
pub struct Values {
    pool: Vec<u8>,
    length: usize,
}

impl Values {
    /// Values of `length` bytes.
    pub fn new(length: usize, seed: u64) -> Values {
        let mut random = Random::new(seed);
        let words = (POOL_BYTES + length).div_ceil(8);
        let pool = (0..words)
            .flat_map(|_| random.draw().to_le_bytes())
            .collect();
        Values { pool, length }
    }

    pub fn pick(&self, random: &mut Random) -> &[u8] {
        let at = random.below(POOL_BYTES as u64) as usize;
        &self.pool[at..at + self.length]
    }
}
