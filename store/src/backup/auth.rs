//! Users and roles as etcd keeps them.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use prost::Message;
use state_machine::{AuthTables, KeyRange, Permission, PermissionKind, User};

use super::buckets::{AUTH, AUTH_ROLES, AUTH_USERS, Pair};
use super::restore::{Source, visit};

/// One byte, 1 when authentication is on.
const ENABLED: &[u8] = b"authEnabled";
/// Eight bytes.
const REVISION: &[u8] = b"authRevision";

/// etcd's `authpb.User`.
#[derive(Clone, PartialEq, Eq, Message)]
struct UserRecord {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "bytes", tag = "2")]
    hash: bytes::Bytes,
    #[prost(string, repeated, tag = "3")]
    roles: Vec<String>,
    /// etcd writes it always.
    #[prost(message, optional, tag = "4")]
    options: Option<OptionsRecord>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct OptionsRecord {
    #[prost(bool, tag = "1")]
    no_password: bool,
}

/// etcd's `authpb.Role`.
#[derive(Clone, PartialEq, Eq, Message)]
struct RoleRecord {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    permissions: Vec<PermissionRecord>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PermissionRecord {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    key: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    range_end: bytes::Bytes,
}

/// The buckets and what stands in them, in the order of their names.
pub(super) fn buckets(auth: &AuthTables) -> [(&'static [u8], Vec<Pair>); 3] {
    let stamp = vec![
        (ENABLED.to_vec(), vec![u8::from(auth.stamp.enabled)]),
        (
            REVISION.to_vec(),
            auth.stamp.revision.to_be_bytes().to_vec(),
        ),
    ];
    let roles = auth.roles.iter().map(|(name, permissions)| {
        let record = RoleRecord {
            name: name.as_bytes().to_vec(),
            permissions: permissions.iter().map(permission_record).collect(),
        };
        (name.as_bytes().to_vec(), record.encode_to_vec())
    });
    let users = auth.users.iter().map(|(name, user)| {
        let record = UserRecord {
            name: name.as_bytes().to_vec(),
            hash: user.hash.clone(),
            roles: user.roles.clone(),
            options: Some(OptionsRecord {
                no_password: user.no_password,
            }),
        };
        (name.as_bytes().to_vec(), record.encode_to_vec())
    });
    [
        (AUTH, stamp),
        (AUTH_ROLES, roles.collect()),
        (AUTH_USERS, users.collect()),
    ]
}

fn permission_record(permission: &Permission) -> PermissionRecord {
    PermissionRecord {
        kind: permission.kind as i32,
        key: permission.keys.start.clone(),
        range_end: permission.keys.end.clone(),
    }
}

/// Reads them out of a file; what is not there is as in a new store.
pub(super) fn read(database: &Source<'_>) -> anyhow::Result<AuthTables> {
    let mut auth = AuthTables::default();
    visit(database, AUTH, |key, value| {
        match key {
            ENABLED => auth.stamp.enabled = value == [1],
            REVISION => {
                let revision = value.try_into().context("authRevision is no number")?;
                auth.stamp.revision = u64::from_be_bytes(revision);
            }
            _ => {}
        }
        Ok(())
    })?;
    ensure!(
        auth.stamp.revision <= u64::MAX >> 1,
        "authRevision is too large"
    );
    auth.roles = named(database, AUTH_ROLES, |value| {
        let record = RoleRecord::decode(value)?;
        let permissions = record.permissions.into_iter().map(permission);
        let mut permissions = permissions.collect::<anyhow::Result<Vec<_>>>()?;
        permissions.sort_by(|a, b| a.keys.start.cmp(&b.keys.start));
        Ok((record.name, permissions))
    })?;
    auth.users = named(database, AUTH_USERS, |value| {
        let mut record = UserRecord::decode(value)?;
        record.roles.sort_unstable();
        let user = User {
            hash: record.hash,
            no_password: record.options.is_some_and(|options| options.no_password),
            roles: record.roles,
        };
        Ok((record.name, user))
    })?;
    Ok(auth)
}

fn permission(record: PermissionRecord) -> anyhow::Result<Permission> {
    let kind = match record.kind {
        0 => PermissionKind::Read,
        1 => PermissionKind::Write,
        2 => PermissionKind::ReadWrite,
        other => anyhow::bail!("a permission of kind {other}"),
    };
    Ok(Permission {
        kind,
        keys: KeyRange {
            start: record.key,
            end: record.range_end,
        },
    })
}

/// The records of a bucket by name; each says its own.
fn named<T>(
    database: &Source<'_>,
    bucket: &[u8],
    read: impl Fn(&[u8]) -> anyhow::Result<(Vec<u8>, T)>,
) -> anyhow::Result<BTreeMap<String, T>> {
    let mut records = BTreeMap::new();
    visit(database, bucket, |key, value| {
        let unreadable = || format!("{} cannot be read", String::from_utf8_lossy(key));
        let (name, record) = read(value).with_context(unreadable)?;
        ensure!(name == key, "{}", unreadable());
        let name = String::from_utf8(name).with_context(unreadable)?;
        records.insert(name, record);
        Ok(())
    })
    .with_context(|| String::from_utf8_lossy(bucket).into_owned())?;
    Ok(records)
}
