//! The space quota: counted on live bytes, so that compaction and deletes give space back at once.

use std::sync::Arc;

use state_machine::{AlarmAction, AlarmChange, AlarmKind, Command, StateMachine};

use crate::raft::StateFolder;
use crate::replica::Proposals;

/// Decides whether a request that needs space may pass.
#[derive(Clone)]
pub struct Quota {
    limit_bytes: Option<u64>,
    member_id: u64,
    folder: Arc<StateFolder>,
    proposals: Proposals,
}

impl Quota {
    pub(crate) fn new(
        limit_bytes: Option<u64>,
        member_id: u64,
        folder: Arc<StateFolder>,
        proposals: Proposals,
    ) -> Self {
        Quota { limit_bytes, member_id, folder, proposals }
    }

    /// The quota in bytes; 0 when there is none.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes.unwrap_or(0)
    }

    /// Whether a request of this cost in bytes fits.
    pub fn allows(&self, machine: &StateMachine, cost_bytes: u64) -> bool {
        self.limit_bytes.is_none_or(|limit| machine.live_bytes() + cost_bytes <= limit)
    }

    /// Raises the space alarm for this member; returns when every replica will see it.
    pub async fn raise_alarm(&self) {
        if self.folder.machine().alarms().contains(&(self.member_id, AlarmKind::NoSpace)) {
            return;
        }
        tracing::warn!(limit_bytes = self.limit_bytes, "space quota exceeded; raising the NOSPACE alarm");
        let alarm = AlarmChange {
            action: AlarmAction::Activate,
            member: self.member_id,
            alarm: AlarmKind::NoSpace,
        };
        if let Err(error) = self.proposals.propose(&Command::Alarm(alarm)).await {
            tracing::warn!(%error, "the NOSPACE alarm is not replicated");
        }
    }
}
