//! Leases and alarms.

use planted::Bug;

use super::Writer;
use crate::auth::Caller;
use crate::command::{
    AlarmAction, AlarmChange, AlarmKind, LeaseCheckpoint, LeaseGrant, LeaseRevoke,
};
use crate::machine::LeaseInfo;
use crate::outcome::{Body, LeaseChange, Rejection};
use crate::state::{Lease, State};

impl Writer<'_> {
    pub(super) fn lease_grant(&mut self, grant: LeaseGrant) -> Result<Body, Rejection> {
        let LeaseGrant { id, ttl_seconds } = grant;
        if self.state.leases.contains_key(&id) {
            return Err(Rejection::LeaseExists);
        }
        let lease = Lease {
            ttl_seconds,
            ..Lease::default()
        };
        self.run.batch.writer(self.disk).lease(&lease.info(id));
        self.state.leases.insert(id, lease);
        self.run
            .applied
            .leases
            .push(LeaseChange::Granted { id, ttl_seconds });
        Ok(Body::LeaseGrant { id, ttl_seconds })
    }

    pub(super) fn lease_revoke(&mut self, revoke: LeaseRevoke) -> Result<Body, Rejection> {
        let Some(lease) = self.state.leases.get(&revoke.id) else {
            return Err(Rejection::LeaseNotFound);
        };
        let keys: Vec<Box<[u8]>> = lease.keys.iter().cloned().collect();
        for key in &keys {
            self.delete_key(key);
            if planted::is_on(Bug::LeaseKeysOneByOne) {
                self.end_revision();
            }
        }
        self.state.leases.remove(&revoke.id);
        self.run.batch.writer(self.disk).no_lease(revoke.id);
        self.run
            .applied
            .leases
            .push(LeaseChange::Revoked { id: revoke.id });
        Ok(Body::Done)
    }

    pub(super) fn lease_checkpoint(&mut self, checkpoint: LeaseCheckpoint) {
        let LeaseCheckpoint {
            id,
            remaining_seconds,
        } = checkpoint;
        let Some(lease) = self.state.leases.get_mut(&id) else {
            return;
        };
        lease.remaining_seconds = remaining_seconds;
        let info: LeaseInfo = lease.info(id);
        self.run.batch.writer(self.disk).lease(&info);
        if remaining_seconds == 0 {
            self.run.applied.leases.push(LeaseChange::Renewed { id });
        }
    }

    /// Keeps apart what the store raised itself and may lift itself.
    pub(super) fn note_hand(&mut self, change: AlarmChange, caller: Option<&Caller>) {
        let State {
            alarms,
            alarms_by_hand,
            ..
        } = &mut *self.state;
        let is_raised = change.action == AlarmAction::Activate;
        if is_raised && !matches!(caller, Some(Caller::System)) {
            alarms_by_hand.insert((change.member, change.alarm));
        }
        alarms_by_hand.retain(|alarm| alarms.contains(alarm));
    }

    /// The alarms that a change concerned, as etcd answers.
    pub(super) fn alarm(&mut self, change: AlarmChange) -> Vec<(u64, AlarmKind)> {
        let AlarmChange {
            action,
            member,
            alarm,
        } = change;
        let alarms = &mut self.state.alarms;
        let concerned: Vec<(u64, AlarmKind)> = match (action, alarm) {
            (AlarmAction::Activate, AlarmKind::Any) => Vec::new(),
            (AlarmAction::Activate, kind) => {
                alarms.insert((member, kind));
                vec![(member, kind)]
            }
            (AlarmAction::Deactivate, kind) => {
                let matches = |active: &(u64, AlarmKind)| {
                    active.0 == member && (kind == AlarmKind::Any || kind == active.1)
                };
                alarms.extract_if(.., matches).collect()
            }
        };
        for (member, kind) in &concerned {
            let active = action == AlarmAction::Activate;
            self.run
                .batch
                .writer(self.disk)
                .alarm(*member, *kind, active);
        }
        concerned
    }
}
