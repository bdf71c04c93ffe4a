//! Kubernetes' update: put when the key's mod_revision is the one last seen, else read the key.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::load::messages::{self, GuardedPut};
use crate::load::random::{Random, Values};
use crate::load::workload::{Keys, Workload};

/// Guarded puts. Each client has its own keys, so that a conflict can only come from another process.
pub struct Txn {
    keys: Keys,
    keys_per_slot: u64,
    random: Random,
    values: Values,
    /// For each slot the place, among its keys, of its running request.
    current: Vec<u64>,
    /// The mod_revision last seen of every key; 0 for one that is absent.
    mod_revisions: Vec<i64>,
    conflicts: u64,
    key: Vec<u8>,
}

impl Txn {
    pub fn new(keys: Keys, key_count: u64, slots: usize, value_bytes: usize, seed: u64) -> Txn {
        let keys_per_slot = (key_count / slots as u64).max(1);
        Txn {
            keys,
            keys_per_slot,
            random: Random::new(seed),
            values: Values::new(value_bytes, seed),
            current: vec![0; slots],
            mod_revisions: vec![0; slots * keys_per_slot as usize],
            conflicts: 0,
            key: Vec::new(),
        }
    }

    /// Appends the request that reads all keys, so that `learn` can take their revisions.
    pub fn read_all(&mut self, out: &mut Vec<u8>) {
        let mut end = Vec::new();
        self.keys.name(0, &mut self.key);
        self.keys.name(self.mod_revisions.len() as u64, &mut end);
        messages::keys_only(&self.key, &end, out);
    }

    /// Takes the revisions of the keys that are there.
    pub fn learn(&mut self, answer: &[u8]) -> Result<()> {
        for (key, mod_revision) in messages::key_revisions(answer) {
            let number = self
                .keys
                .number(key)
                .context("a key that was not asked for")?;
            let place = usize::try_from(number)
                .ok()
                .and_then(|at| self.mod_revisions.get_mut(at));
            *place.context("a key past the end")? = mod_revision;
        }
        Ok(())
    }

    fn number(&self, slot: usize) -> u64 {
        slot as u64 * self.keys_per_slot + self.current[slot]
    }
}

impl Workload for Txn {
    fn path(&self) -> &'static str {
        messages::TXN
    }

    fn build(&mut self, slot: usize, _due: Instant, out: &mut Vec<u8>) {
        self.current[slot] = self.random.below(self.keys_per_slot);
        let number = self.number(slot);
        self.keys.name(number, &mut self.key);
        let expected = self.mod_revisions[number as usize];
        messages::guarded_put(&self.key, expected, self.values.pick(&mut self.random), out);
    }

    fn answer(&mut self, slot: usize, message: &[u8]) -> Result<(), String> {
        let number = self.number(slot) as usize;
        match messages::guarded_put_answer(message) {
            Some(GuardedPut::Done(revision)) => self.mod_revisions[number] = revision,
            Some(GuardedPut::Conflict(revision)) if revision != self.mod_revisions[number] => {
                self.mod_revisions[number] = revision;
                self.conflicts += 1;
            }
            other => return Err(format!("a transaction answered {other:?}")),
        }
        Ok(())
    }

    fn conflicts(&self) -> u64 {
        self.conflicts
    }
}
