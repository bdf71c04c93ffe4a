//! Puts of fixed-size values on a key space.

use std::time::Instant;

use crate::load::messages;
use crate::load::random::{Random, Values};
use crate::load::workload::{Keys, Order, Workload};

/// Puts; each is a new revision.
pub struct Put {
    keys: Keys,
    key_count: u64,
    order: Order,
    random: Random,
    values: Values,
    issued: u64,
    key: Vec<u8>,
}

impl Put {
    pub fn new(keys: Keys, key_count: u64, order: Order, value_bytes: usize, seed: u64) -> Put {
        Put {
            keys,
            key_count,
            order,
            random: Random::new(seed),
            values: Values::new(value_bytes, seed),
            issued: 0,
            key: Vec::new(),
        }
    }
}

impl Workload for Put {
    fn path(&self) -> &'static str {
        messages::PUT
    }

    fn build(&mut self, _slot: usize, _due: Instant, out: &mut Vec<u8>) {
        let number = match self.order {
            Order::Random => self.random.below(self.key_count),
            Order::Sequential => self.issued % self.key_count,
        };
        self.issued += 1;
        self.keys.name(number, &mut self.key);
        messages::put(&self.key, self.values.pick(&mut self.random), out);
    }

    fn answer(&mut self, _slot: usize, message: &[u8]) -> Result<(), String> {
        match messages::header_revision(message) {
            Some(revision) if revision > 1 => Ok(()),
            other => Err(format!("a put at revision {other:?}")),
        }
    }
}
