//! Lease keep-alives: one stream per client, each client with its own lease.

use std::time::Instant;

use crate::load::messages;
use crate::load::workload::{Style, Workload};

/// Renews the leases it is given, one per slot.
pub struct KeepAlive {
    leases: Vec<i64>,
}

impl KeepAlive {
    pub fn new(leases: Vec<i64>) -> KeepAlive {
        KeepAlive { leases }
    }
}

impl Workload for KeepAlive {
    fn path(&self) -> &'static str {
        messages::LEASE_KEEP_ALIVE
    }

    fn style(&self) -> Style {
        Style::Streaming
    }

    fn build(&mut self, slot: usize, _due: Instant, out: &mut Vec<u8>) {
        messages::lease_keep_alive(self.leases[slot], out);
    }

    fn answer(&mut self, slot: usize, message: &[u8]) -> Result<(), String> {
        match messages::lease_id_and_ttl(message) {
            (id, ttl) if id == self.leases[slot] && ttl > 0 => Ok(()),
            other => Err(format!(
                "a keep-alive of {} answered {other:?}",
                self.leases[slot]
            )),
        }
    }
}
