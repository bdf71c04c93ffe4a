//! Users and roles, which come with the copy alone: passwords cannot be read from a cluster that runs.

use std::collections::BTreeMap;

use anyhow::Result;
use proto::authpb::Permission;
use proto::etcdserverpb::{
    AuthRoleGetRequest, AuthRoleListRequest, AuthStatusRequest, AuthUserGetRequest,
    AuthUserListRequest,
};
use tonic::{Code, Status};

use super::side::{Connection, stop};

/// Its permissions are not compared: each server says in its own way that it may do everything.
const ROOT: &str = "root";

#[derive(Debug, PartialEq, Eq)]
struct Accounts {
    /// Users with their roles.
    users: BTreeMap<String, Vec<String>>,
    roles: BTreeMap<String, Vec<Granted>>,
}

/// Kind, first key and end of a range that a role may use.
type Granted = (i32, Vec<u8>, Vec<u8>);

/// What is known to be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) users: usize,
    /// None when a side does not tell it: etcd before 3.5.
    pub(super) revision: Option<u64>,
}

/// Fails when users, roles or whether they are asked for changed on either side since the copy.
pub(super) async fn compare(source: &Connection, target: &Connection) -> Result<Agreement> {
    let changed = |what: &str| {
        stop(format!(
            "{what} of source and target differ: they were changed since the copy. Passwords cannot be read from a cluster \
             that runs, so take a new copy, and leave users and roles alone until the cut-over"
        ))
    };
    let revision = match (status(source).await?, status(target).await?) {
        (Some(from), Some(to)) if from == to => Some(from.1),
        (Some(_), Some(_)) => return Err(changed("authentication or the auth revision")),
        _ => None,
    };
    let accounts = accounts(source).await?;
    if accounts != self::accounts(target).await? {
        return Err(changed("users or roles"));
    }
    Ok(Agreement {
        users: accounts.users.len(),
        revision,
    })
}

/// Whether authentication is on, and the auth revision, of a server that tells.
async fn status(side: &Connection) -> Result<Option<(bool, u64)>> {
    let mut client = side.auth();
    match side.within(client.auth_status(AuthStatusRequest {})).await {
        Ok(answer) => Ok(Some((answer.enabled, answer.auth_revision))),
        Err(error) => match error.downcast_ref::<Status>() {
            Some(status) if status.code() == Code::Unimplemented => Ok(None),
            _ => Err(error),
        },
    }
}

async fn accounts(side: &Connection) -> Result<Accounts> {
    let mut client = side.auth();
    let mut users = BTreeMap::new();
    let listed = side
        .within(client.user_list(AuthUserListRequest {}))
        .await?;
    for name in listed.users {
        let request = AuthUserGetRequest { name: name.clone() };
        let mut roles = side.within(client.user_get(request)).await?.roles;
        roles.sort_unstable();
        users.insert(name, roles);
    }
    let mut roles = BTreeMap::new();
    let listed = side
        .within(client.role_list(AuthRoleListRequest {}))
        .await?;
    for role in listed.roles {
        let request = AuthRoleGetRequest { role: role.clone() };
        let granted = side.within(client.role_get(request)).await?.perm;
        let plain = |permission: Permission| {
            let (key, range_end) = (permission.key.to_vec(), permission.range_end.to_vec());
            (permission.perm_type, key, range_end)
        };
        let mut granted: Vec<Granted> = granted.into_iter().map(plain).collect();
        granted.sort_unstable();
        if role == ROOT {
            granted.clear();
        }
        roles.insert(role, granted);
    }
    Ok(Accounts { users, roles })
}
