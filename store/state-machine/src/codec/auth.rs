//! Callers and changes to users and roles in the log, and the rows that users and roles are kept in.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{DecodeError, Reader, Writer};
use crate::auth::{
    Auth, AuthChange, AuthStamp, Authenticate, Caller, Permission, PermissionKind, User,
};

/// First byte of every row of the `auth` column family. A changed layout takes the next number.
const ROW_FORMAT: u8 = 1;

mod caller {
    pub(super) const SYSTEM: u8 = 0;
    pub(super) const USER: u8 = 1;
}

mod change {
    pub(super) const ENABLE: u8 = 0;
    pub(super) const DISABLE: u8 = 1;
    pub(super) const USER_ADD: u8 = 2;
    pub(super) const USER_DELETE: u8 = 3;
    pub(super) const USER_CHANGE_PASSWORD: u8 = 4;
    pub(super) const USER_GRANT_ROLE: u8 = 5;
    pub(super) const USER_REVOKE_ROLE: u8 = 6;
    pub(super) const ROLE_ADD: u8 = 7;
    pub(super) const ROLE_DELETE: u8 = 8;
    pub(super) const ROLE_GRANT_PERMISSION: u8 = 9;
    pub(super) const ROLE_REVOKE_PERMISSION: u8 = 10;
}

impl Writer<'_> {
    pub(super) fn caller(&mut self, caller: &Caller) {
        match caller {
            Caller::System => self.byte(caller::SYSTEM),
            Caller::User {
                name,
                auth_revision,
            } => {
                self.byte(caller::USER);
                self.text(name);
                self.unsigned(*auth_revision);
            }
        }
    }

    pub(super) fn authenticate(&mut self, request: &Authenticate) {
        self.text(&request.user);
        self.text(&request.secret);
        self.unsigned(request.checked_revision);
    }

    pub(super) fn auth_change(&mut self, change: &AuthChange) {
        match change {
            AuthChange::Enable => self.byte(change::ENABLE),
            AuthChange::Disable => self.byte(change::DISABLE),
            AuthChange::UserAdd {
                name,
                hash,
                no_password,
            } => {
                self.named(change::USER_ADD, name);
                self.flags([*no_password, false, false]);
                self.bytes(hash);
            }
            AuthChange::UserDelete { name } => self.named(change::USER_DELETE, name),
            AuthChange::UserChangePassword { name, hash } => {
                self.named(change::USER_CHANGE_PASSWORD, name);
                self.bytes(hash);
            }
            AuthChange::UserGrantRole { user, role } => {
                self.named(change::USER_GRANT_ROLE, user);
                self.text(role);
            }
            AuthChange::UserRevokeRole { user, role } => {
                self.named(change::USER_REVOKE_ROLE, user);
                self.text(role);
            }
            AuthChange::RoleAdd { name } => self.named(change::ROLE_ADD, name),
            AuthChange::RoleDelete { name } => self.named(change::ROLE_DELETE, name),
            AuthChange::RoleGrantPermission { role, permission } => {
                self.named(change::ROLE_GRANT_PERMISSION, role);
                self.permission(permission);
            }
            AuthChange::RoleRevokePermission { role, keys } => {
                self.named(change::ROLE_REVOKE_PERMISSION, role);
                self.keys(keys);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn named(&mut self, tag: u8, name: &str) {
        self.byte(tag);
        self.text(name);
    }

    fn permission(&mut self, permission: &Permission) {
        self.byte(permission.kind as u8);
        self.keys(&permission.keys);
    }
}

impl Reader<'_> {
    pub(super) fn caller(&mut self) -> Result<Caller, DecodeError> {
        Ok(match self.byte()? {
            caller::SYSTEM => Caller::System,
            caller::USER => Caller::User {
                name: self.text()?,
                auth_revision: self.unsigned()?,
            },
            other => return Err(DecodeError::Tag(other)),
        })
    }

    pub(super) fn authenticate(&mut self) -> Result<Authenticate, DecodeError> {
        Ok(Authenticate {
            user: self.text()?,
            secret: self.text()?,
            checked_revision: self.unsigned()?,
        })
    }

    pub(super) fn auth_change(&mut self) -> Result<AuthChange, DecodeError> {
        Ok(match self.byte()? {
            change::ENABLE => AuthChange::Enable,
            change::DISABLE => AuthChange::Disable,
            change::USER_ADD => {
                let name = self.text()?;
                let [no_password, ..] = self.flags()?;
                let hash = self.bytes()?;
                AuthChange::UserAdd {
                    name,
                    hash,
                    no_password,
                }
            }
            change::USER_DELETE => AuthChange::UserDelete { name: self.text()? },
            change::USER_CHANGE_PASSWORD => AuthChange::UserChangePassword {
                name: self.text()?,
                hash: self.bytes()?,
            },
            change::USER_GRANT_ROLE => AuthChange::UserGrantRole {
                user: self.text()?,
                role: self.text()?,
            },
            change::USER_REVOKE_ROLE => AuthChange::UserRevokeRole {
                user: self.text()?,
                role: self.text()?,
            },
            change::ROLE_ADD => AuthChange::RoleAdd { name: self.text()? },
            change::ROLE_DELETE => AuthChange::RoleDelete { name: self.text()? },
            change::ROLE_GRANT_PERMISSION => AuthChange::RoleGrantPermission {
                role: self.text()?,
                permission: self.permission()?,
            },
            change::ROLE_REVOKE_PERMISSION => AuthChange::RoleRevokePermission {
                role: self.text()?,
                keys: self.keys()?,
            },
            other => return Err(DecodeError::Tag(other)),
        })
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(&bytes).map_err(|_not_text| DecodeError::Field)?;
        Ok(text.to_owned())
    }

    fn permission(&mut self) -> Result<Permission, DecodeError> {
        use PermissionKind::{Read, ReadWrite, Write};
        Ok(Permission {
            kind: self.choice(&[Read, Write, ReadWrite])?,
            keys: self.keys()?,
        })
    }

    fn row_format(&mut self) -> Result<(), DecodeError> {
        match self.byte()? {
            ROW_FORMAT => Ok(()),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn end<T>(self, value: T) -> Result<T, DecodeError> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(DecodeError::Field)
        }
    }
}

// Keys of the `auth` column family: a letter, then the name.
const STAMP: u8 = b's';
const USER: u8 = b'u';
const ROLE: u8 = b'r';

/// A row of the `auth` column family; no value when it goes.
pub(crate) struct AuthRow {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<BytesMut>,
}

fn row(write: impl FnOnce(&mut Writer<'_>)) -> BytesMut {
    let mut out = BytesMut::new();
    let mut writer = Writer(&mut out);
    writer.byte(ROW_FORMAT);
    write(&mut writer);
    out
}

impl AuthRow {
    pub(crate) fn stamp(stamp: AuthStamp) -> AuthRow {
        let value = row(|writer| {
            writer.flags([stamp.enabled, false, false]);
            writer.unsigned(stamp.revision);
        });
        AuthRow {
            key: vec![STAMP],
            value: Some(value),
        }
    }

    pub(crate) fn user(name: &str, user: Option<&User>) -> AuthRow {
        let value = user.map(|user| {
            row(|writer| {
                writer.flags([user.no_password, false, false]);
                writer.bytes(&user.hash);
                writer.unsigned(user.roles.len() as u64);
                user.roles.iter().for_each(|role| writer.text(role));
            })
        });
        let key = [&[USER], name.as_bytes()].concat();
        AuthRow { key, value }
    }

    pub(crate) fn role(name: &str, permissions: Option<&[Permission]>) -> AuthRow {
        let value = permissions.map(|permissions| {
            row(|writer| {
                writer.unsigned(permissions.len() as u64);
                permissions.iter().for_each(|own| writer.permission(own));
            })
        });
        let key = [&[ROLE], name.as_bytes()].concat();
        AuthRow { key, value }
    }
}

/// Users and roles out of their rows. None at all are those of a store that never had any.
pub(crate) fn read_auth(rows: &[(Bytes, Bytes)]) -> Result<Auth, DecodeError> {
    let Auth { mut stamp, .. } = Auth::default();
    let (mut users, mut roles) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in rows {
        let (&kind, name) = key.split_first().ok_or(DecodeError::Short)?;
        let name = std::str::from_utf8(name).map_err(|_not_text| DecodeError::Field)?;
        let mut value = value.clone();
        let mut reader = Reader(&mut value);
        reader.row_format()?;
        match kind {
            STAMP => {
                let [enabled, ..] = reader.flags()?;
                let revision = reader.unsigned()?;
                stamp = reader.end(AuthStamp { enabled, revision })?;
            }
            USER => {
                let [no_password, ..] = reader.flags()?;
                let user = User {
                    no_password,
                    hash: Bytes::copy_from_slice(&reader.bytes()?),
                    roles: reader.names()?,
                };
                users.insert(name.to_owned(), reader.end(user)?);
            }
            ROLE => {
                let permissions = reader.list(Reader::permission)?;
                roles.insert(name.to_owned(), reader.end(permissions)?);
            }
            other => return Err(DecodeError::Tag(other)),
        }
    }
    Ok(Auth::of(stamp, users, roles))
}

impl Reader<'_> {
    /// Not a list as others are: a name may take one byte.
    fn names(&mut self) -> Result<Vec<String>, DecodeError> {
        let count = self.unsigned()?;
        (0..count).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
mod tests;
