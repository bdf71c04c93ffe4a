//! What each change to users and roles does, and when it is refused.

use super::{Auth, AuthChange, AuthRejection, Authenticate, Permission, ROOT, TokenChange, User};
use crate::command::KeyRange;

/// What a change touched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Users that are new, different or gone.
    pub(crate) users: Vec<String>,
    /// Roles that are new, different or gone.
    pub(crate) roles: Vec<String>,
    pub(crate) tokens: Option<TokenChange>,
    /// Whether credentials from before it are old. etcd does not count what changes nothing, nor the enabling.
    counts: bool,
}

impl Changed {
    fn user(name: &str) -> Changed {
        Changed {
            users: vec![name.to_owned()],
            counts: true,
            ..Changed::default()
        }
    }

    fn role(name: &str) -> Changed {
        Changed {
            roles: vec![name.to_owned()],
            counts: true,
            ..Changed::default()
        }
    }

    fn and_tokens_of(mut self, user: &str) -> Changed {
        self.tokens = Some(TokenChange::EndOf {
            user: user.to_owned(),
        });
        self
    }
}

type Attempt = Result<Changed, AuthRejection>;

impl Auth {
    /// Makes one change. A change that is refused leaves everything as it was.
    pub(crate) fn change(&mut self, change: &AuthChange) -> Attempt {
        let changed = self.try_change(change)?;
        if changed.counts {
            self.stamp.revision += 1;
            self.merge();
        }
        Ok(changed)
    }

    fn try_change(&mut self, change: &AuthChange) -> Attempt {
        match change {
            AuthChange::Enable => self.enable(),
            AuthChange::Disable => Ok(self.disable()),
            AuthChange::UserAdd {
                name,
                hash,
                no_password,
            } => {
                let hash = if *no_password {
                    Default::default()
                } else {
                    hash.clone()
                };
                let user = User {
                    hash,
                    no_password: *no_password,
                    roles: Vec::new(),
                };
                self.user_add(name, user)
            }
            AuthChange::UserDelete { name } => self.user_delete(name),
            AuthChange::UserChangePassword { name, hash } => {
                let user = self.user(name)?;
                if !user.no_password {
                    user.hash = hash.clone();
                }
                Ok(Changed::user(name).and_tokens_of(name))
            }
            AuthChange::UserGrantRole { user, role } => self.user_grant_role(user, role),
            AuthChange::UserRevokeRole { user, role } => self.user_revoke_role(user, role),
            AuthChange::RoleAdd { name } => self.role_add(name),
            AuthChange::RoleDelete { name } => self.role_delete(name),
            AuthChange::RoleGrantPermission { role, permission } => {
                self.role_grant_permission(role, permission)
            }
            AuthChange::RoleRevokePermission { role, keys } => {
                self.role_revoke_permission(role, keys)
            }
        }
    }

    fn user(&mut self, name: &str) -> Result<&mut User, AuthRejection> {
        self.users.get_mut(name).ok_or(AuthRejection::UserNotFound)
    }

    fn enable(&mut self) -> Attempt {
        if self.stamp.enabled {
            return Ok(Changed::default());
        }
        let root = self.users.get(ROOT);
        if !root.ok_or(AuthRejection::RootUserNotExist)?.has_root_role() {
            return Err(AuthRejection::RootRoleNotExist);
        }
        self.stamp.enabled = true;
        Ok(Changed::default())
    }

    fn disable(&mut self) -> Changed {
        if !self.stamp.enabled {
            return Changed::default();
        }
        self.stamp.enabled = false;
        Changed {
            tokens: Some(TokenChange::End),
            counts: true,
            ..Changed::default()
        }
    }

    fn user_add(&mut self, name: &str, user: User) -> Attempt {
        if name.is_empty() {
            return Err(AuthRejection::UserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(AuthRejection::UserExists);
        }
        self.users.insert(name.to_owned(), user);
        Ok(Changed::user(name))
    }

    fn user_delete(&mut self, name: &str) -> Attempt {
        if self.stamp.enabled && name == ROOT {
            return Err(AuthRejection::InvalidManagement);
        }
        let user = self.users.remove(name);
        user.ok_or(AuthRejection::UserNotFound)?;
        Ok(Changed::user(name).and_tokens_of(name))
    }

    /// The role root may be granted before it is made.
    fn user_grant_role(&mut self, name: &str, role: &str) -> Attempt {
        let role_exists = role == ROOT || self.roles.contains_key(role);
        let user = self.user(name)?;
        if !role_exists {
            return Err(AuthRejection::RoleNotFound);
        }
        match user.roles.binary_search_by(|own| own.as_str().cmp(role)) {
            Ok(_) => Ok(Changed::default()),
            Err(place) => {
                user.roles.insert(place, role.to_owned());
                Ok(Changed::user(name))
            }
        }
    }

    fn user_revoke_role(&mut self, name: &str, role: &str) -> Attempt {
        if self.stamp.enabled && name == ROOT && role == ROOT {
            return Err(AuthRejection::InvalidManagement);
        }
        let user = self.user(name)?;
        let before = user.roles.len();
        user.roles.retain(|own| own != role);
        if user.roles.len() == before {
            return Err(AuthRejection::RoleNotGranted);
        }
        Ok(Changed::user(name))
    }

    fn role_add(&mut self, name: &str) -> Attempt {
        if name.is_empty() {
            return Err(AuthRejection::RoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(AuthRejection::RoleExists);
        }
        self.roles.insert(name.to_owned(), Vec::new());
        Ok(Changed::role(name))
    }

    /// Takes the role from everyone who has it.
    fn role_delete(&mut self, name: &str) -> Attempt {
        if self.stamp.enabled && name == ROOT {
            return Err(AuthRejection::InvalidManagement);
        }
        let role = self.roles.remove(name);
        role.ok_or(AuthRejection::RoleNotFound)?;
        let mut changed = Changed::role(name);
        for (user_name, user) in &mut self.users {
            let before = user.roles.len();
            user.roles.retain(|own| own != name);
            if user.roles.len() != before {
                changed.users.push(user_name.clone());
            }
        }
        Ok(changed)
    }

    /// A permission on the same keys takes the place of the one before.
    fn role_grant_permission(&mut self, name: &str, permission: &Permission) -> Attempt {
        if !is_permission_range(&permission.keys) {
            return Err(AuthRejection::InvalidManagement);
        }
        let role = self.roles.get_mut(name);
        let permissions = role.ok_or(AuthRejection::RoleNotFound)?;
        let same = permissions
            .iter_mut()
            .find(|own| own.keys == permission.keys);
        if let Some(same) = same {
            same.kind = permission.kind;
        } else {
            let place = permissions.partition_point(|own| own.keys.start <= permission.keys.start);
            permissions.insert(place, permission.clone());
        }
        Ok(Changed::role(name))
    }

    fn role_revoke_permission(&mut self, name: &str, keys: &KeyRange) -> Attempt {
        let role = self.roles.get_mut(name);
        let permissions = role.ok_or(AuthRejection::RoleNotFound)?;
        let before = permissions.len();
        permissions.retain(|own| own.keys != *keys);
        if permissions.len() == before {
            return Err(AuthRejection::PermissionNotGranted);
        }
        Ok(Changed::role(name))
    }

    /// Whether a user may have a token now, if the edge found its password right.
    pub(crate) fn authenticate(&self, request: &Authenticate) -> Result<(), AuthRejection> {
        if !self.stamp.enabled {
            return Err(AuthRejection::NotEnabled);
        }
        let user = self.users.get(&request.user).ok_or(AuthRejection::Failed)?;
        if user.no_password {
            return Err(AuthRejection::Failed);
        }
        if request.checked_revision != self.stamp.revision {
            return Err(AuthRejection::OldRevision);
        }
        Ok(())
    }
}

/// Whether a range has keys that a permission can be about.
fn is_permission_range(keys: &KeyRange) -> bool {
    let end = &keys.end[..];
    !keys.start.is_empty() && (end.is_empty() || end == b"\0" || keys.start[..] < *end)
}
