//! The one place that says whether a caller may do what it asks for. What is not allowed here is denied.

use std::collections::BTreeMap;

use super::{Auth, AuthRejection, Caller, Merged};
use crate::command::{Command, DeleteRange, KeyRange, Op, Put, Txn};
use crate::state::Lease;

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    Command(&'a Command),
    /// A range, or a watch of it.
    Read(&'a KeyRange),
    /// A transaction that is read here.
    ReadTxn(&'a Txn),
    /// Renewing a lease, or changing what hangs on it.
    RenewLease(i64),
    /// The keys of a lease.
    LeaseKeys(i64),
    /// The ids of all leases.
    Leases,
    /// What every user may do.
    AnyUser,
    /// A look at a user: at oneself, or with the role root.
    User(&'a str),
    /// A look at a role: at one of one's own, or with the role root.
    Role(&'a str),
    /// What the role root alone may do.
    Root,
}

type Permitted = Result<(), AuthRejection>;
const DENIED: Permitted = Err(AuthRejection::PermissionDenied);

impl Auth {
    /// Whether a caller may do something. Nobody is asked for while authentication is off.
    pub(crate) fn authorize(
        &self,
        leases: &BTreeMap<i64, Lease>,
        caller: Option<&Caller>,
        access: Access<'_>,
    ) -> Permitted {
        if !self.stamp.enabled {
            return Ok(());
        }
        let asking = match caller {
            Some(Caller::System) => return Ok(()),
            Some(Caller::User { name, .. }) if name.is_empty() => None,
            Some(Caller::User {
                name,
                auth_revision,
            }) => Some((name.as_str(), *auth_revision)),
            None => None,
        };
        if let Access::Command(Command::Authenticate(_) | Command::Nothing) = access {
            // Neither reads or writes a key. Whether a token is given is decided where it is made.
            return Ok(());
        }
        let (name, auth_revision) = asking.ok_or(AuthRejection::UserEmpty)?;
        Asking {
            auth: self,
            leases,
            name,
            auth_revision,
        }
        .check(access)
    }
}

/// One question of one user.
struct Asking<'a> {
    auth: &'a Auth,
    leases: &'a BTreeMap<i64, Lease>,
    name: &'a str,
    auth_revision: u64,
}

impl Asking<'_> {
    fn check(&self, access: Access<'_>) -> Permitted {
        match access {
            Access::Command(command) => self.command(command),
            Access::Read(keys) => self.keys()?.read(keys),
            Access::ReadTxn(txn) => self.txn(&self.keys()?, txn),
            Access::RenewLease(id) => self.write_lease(&self.keys()?, id),
            Access::LeaseKeys(id) => self.read_lease(&self.keys()?, id),
            Access::Leases => {
                let keys = self.keys()?;
                let mut ids = self.leases.keys();
                ids.try_for_each(|id| self.read_lease(&keys, *id))
            }
            Access::AnyUser => Ok(()),
            Access::User(name) if name == self.name => Ok(()),
            Access::Role(role) if self.has_role(role) => Ok(()),
            Access::User(_) | Access::Role(_) | Access::Root => self.root(),
        }
    }

    fn command(&self, command: &Command) -> Permitted {
        match command {
            Command::Put(put) => self.put(&self.keys()?, put),
            Command::DeleteRange(delete) => delete_range(&self.keys()?, delete),
            Command::Txn(txn) => self.txn(&self.keys()?, txn),
            Command::LeaseGrant(_) => Ok(()),
            Command::LeaseRevoke(revoke) => self.write_lease(&self.keys()?, revoke.id),
            Command::Compact(_) | Command::Alarm(_) | Command::Auth(_) | Command::Downgrade(_) => {
                self.root()
            }
            // Only the store itself makes the first; a caller stands in front of a command once.
            Command::LeaseCheckpoint(_) | Command::By(_) => DENIED,
            Command::Authenticate(_) | Command::Nothing => Ok(()),
        }
    }

    /// etcd looks at the user as it is now, so an older auth revision does no harm.
    fn root(&self) -> Permitted {
        let user = self.auth.users.get(self.name);
        if user.ok_or(AuthRejection::UserNotFound)?.has_root_role() {
            Ok(())
        } else {
            DENIED
        }
    }

    fn has_role(&self, role: &str) -> bool {
        let user = self.auth.users.get(self.name);
        user.is_some_and(|user| user.roles.iter().any(|own| own == role))
    }

    /// What the user may do with keys, unless its credentials are older than the newest change.
    fn keys(&self) -> Result<Keys<'_>, AuthRejection> {
        if self.auth_revision == 0 {
            return Err(AuthRejection::UserEmpty);
        }
        if self.auth_revision < self.auth.stamp.revision {
            return Err(AuthRejection::OldRevision);
        }
        let merged = self.auth.merged.get(self.name);
        merged.map(Keys).ok_or(AuthRejection::PermissionDenied)
    }

    fn put(&self, keys: &Keys<'_>, put: &Put) -> Permitted {
        keys.write_key(&put.key)?;
        // Whoever attaches a key to a lease has a say in when the others of the lease are deleted.
        self.write_lease(keys, put.lease)?;
        if put.prev_kv {
            keys.read_key(&put.key)?;
        }
        Ok(())
    }

    fn txn(&self, keys: &Keys<'_>, txn: &Txn) -> Permitted {
        let mut compared = txn.compares.iter().map(|compare| &compare.keys);
        compared.try_for_each(|compared| keys.read(compared))?;
        for op in txn.success.iter().chain(&txn.failure) {
            match op {
                Op::Range(range) => keys.read(&range.keys)?,
                Op::Put(put) => self.put(keys, put)?,
                Op::DeleteRange(delete) => delete_range(keys, delete)?,
                Op::Txn(nested) => self.txn(keys, nested)?,
            }
        }
        Ok(())
    }

    fn write_lease(&self, keys: &Keys<'_>, id: i64) -> Permitted {
        self.lease_keys(id).try_for_each(|key| keys.write_key(key))
    }

    fn read_lease(&self, keys: &Keys<'_>, id: i64) -> Permitted {
        self.lease_keys(id).try_for_each(|key| keys.read_key(key))
    }

    fn lease_keys(&self, id: i64) -> impl Iterator<Item = &[u8]> {
        let lease = self.leases.get(&id).into_iter();
        lease.flat_map(|lease| lease.keys.iter().map(|key| &key[..]))
    }
}

fn delete_range(keys: &Keys<'_>, delete: &DeleteRange) -> Permitted {
    keys.write(&delete.keys)?;
    if delete.prev_kv {
        keys.read(&delete.keys)?;
    }
    Ok(())
}

/// The keys a user has.
struct Keys<'a>(&'a Merged);

impl Keys<'_> {
    fn read(&self, keys: &KeyRange) -> Permitted {
        permitted(self.0.is_root || self.0.read.cover(keys))
    }

    fn write(&self, keys: &KeyRange) -> Permitted {
        permitted(self.0.is_root || self.0.write.cover(keys))
    }

    fn read_key(&self, key: &[u8]) -> Permitted {
        permitted(self.0.is_root || self.0.read.has(key))
    }

    fn write_key(&self, key: &[u8]) -> Permitted {
        permitted(self.0.is_root || self.0.write.has(key))
    }
}

fn permitted(is_permitted: bool) -> Permitted {
    if is_permitted { Ok(()) } else { DENIED }
}
