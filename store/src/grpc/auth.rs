//! etcd's Auth service.

use std::sync::Arc;

use prost::Message;
use proto::authpb;
use proto::server::etcdserverpb as pb;
use state_machine::{
    Access, AuthChange, AuthRejection, AuthStamp, Authenticate, Command, KeyRange, Permission,
    PermissionKind, ROOT, User,
};
use tonic::{Request, Response, Status};

use super::Edge;
use super::authn::Credentials;
use super::status::{self, BadRequest, rejected};
use crate::authn::new_secret;

/// Tries to give a token while users and roles change between the look at the password and the log.
const AUTHENTICATE_TRIES_MAX: usize = 8;

/// Longest name of a user or a role: what a key of etcd's database, and so of a snapshot, can hold.
const NAME_BYTES_MAX: usize = 32_768;

fn check_name(name: &str) -> Result<(), BadRequest> {
    match name.len() <= NAME_BYTES_MAX {
        true => Ok(()),
        false => Err(BadRequest::TooLarge),
    }
}

pub(super) struct Auth(pub(super) Arc<Edge>);

impl Auth {
    /// What a request for a change shows of its sender, and its message, unless it is larger than the log should take.
    fn open<T: Message>(&self, request: Request<T>) -> Result<(Credentials, T), Status> {
        let credentials = Credentials::of(&request);
        let message = request.into_inner();
        self.0.check_size(message.encoded_len())?;
        Ok((credentials, message))
    }

    /// Makes a change in the name of a request's sender.
    async fn change(
        &self,
        credentials: &Credentials,
        change: AuthChange,
    ) -> Result<Option<pb::ResponseHeader>, Status> {
        let command = Command::Auth(change);
        let answer = self.0.propose_for(credentials, command).await?;
        Ok(Some(self.0.header(answer.revision)))
    }

    /// Hashes take long, so they are computed for who may need one alone.
    async fn hash(
        &self,
        credentials: &Credentials,
        password: String,
    ) -> Result<bytes::Bytes, Status> {
        self.0.admit_now(credentials, Access::Root).await?;
        let passwords = &self.0.replica.authenticator().passwords;
        passwords.hash(password).await.map_err(status::password)
    }

    /// The user of a name whose password is right, and when that was seen.
    async fn check_password(&self, name: &str, password: &str) -> Result<u64, Status> {
        let machine = self.0.replica.machine();
        if !machine.auth_stamp().enabled {
            return Err(rejected(AuthRejection::NotEnabled));
        }
        let passwords = &self.0.replica.authenticator().passwords;
        let Some((revision, user)) = machine.user(name) else {
            let checked = passwords.check_of_nobody(password.to_owned()).await;
            checked.map_err(status::password)?;
            return Err(rejected(AuthRejection::Failed));
        };
        let User {
            hash, no_password, ..
        } = user;
        if no_password {
            return Err(status::no_password_user());
        }
        let is_right = passwords.check(password.to_owned(), hash).await;
        if is_right.map_err(status::password)? {
            Ok(revision)
        } else {
            tracing::info!(user = name, "a password was wrong");
            Err(rejected(AuthRejection::Failed))
        }
    }

    /// A token that every member knows.
    async fn simple_token(&self, user: &str, checked_revision: u64) -> Result<String, Status> {
        let secret = new_secret().map_err(|error| status::internal(&error.to_string()))?;
        let request = Authenticate {
            user: user.to_owned(),
            secret: secret.clone(),
            checked_revision,
        };
        self.0.propose(Command::Authenticate(request)).await?;
        // A change right behind it may have ended it again.
        let token = self.0.replica.authenticator().tokens.with_secret(&secret);
        token.ok_or_else(|| rejected(AuthRejection::OldRevision))
    }

    async fn token(&self, user: &str, password: &str) -> Result<String, Status> {
        let old = rejected(AuthRejection::OldRevision);
        for _ in 0..AUTHENTICATE_TRIES_MAX {
            let checked_revision = self.check_password(user, password).await?;
            let token = match &self.0.replica.authenticator().jwt {
                Some(jwt) => jwt.sign(user, checked_revision).map_err(status::jwt),
                None => self.simple_token(user, checked_revision).await,
            };
            match token {
                Err(status) if status.message() == old.message() => {}
                token => return token,
            }
        }
        Err(old)
    }
}

fn permission(permission: authpb::Permission) -> Result<Permission, Status> {
    let kind = match authpb::permission::Type::try_from(permission.perm_type) {
        Ok(authpb::permission::Type::Read) => PermissionKind::Read,
        Ok(authpb::permission::Type::Write) => PermissionKind::Write,
        Ok(authpb::permission::Type::Readwrite) => PermissionKind::ReadWrite,
        Err(_) => return Err(rejected(AuthRejection::InvalidManagement)),
    };
    let keys = KeyRange {
        start: permission.key,
        end: permission.range_end,
    };
    Ok(Permission { kind, keys })
}

fn wire_permission(permission: Permission) -> authpb::Permission {
    authpb::Permission {
        perm_type: permission.kind as i32,
        key: permission.keys.start,
        range_end: permission.keys.end,
    }
}

/// What etcd says of the role root, which has no permissions of its own.
fn all_keys() -> Permission {
    Permission {
        kind: PermissionKind::ReadWrite,
        keys: KeyRange {
            start: bytes::Bytes::new(),
            end: bytes::Bytes::from_static(b"\0"),
        },
    }
}

#[tonic::async_trait]
impl pb::auth_server::Auth for Auth {
    async fn auth_enable(
        &self,
        request: Request<pb::AuthEnableRequest>,
    ) -> Result<Response<pb::AuthEnableResponse>, Status> {
        let credentials = Credentials::of(&request);
        let header = self.change(&credentials, AuthChange::Enable).await?;
        Ok(Response::new(pb::AuthEnableResponse { header }))
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        let credentials = Credentials::of(&request);
        let header = self.change(&credentials, AuthChange::Disable).await?;
        Ok(Response::new(pb::AuthDisableResponse { header }))
    }

    async fn auth_status(
        &self,
        _request: Request<pb::AuthStatusRequest>,
    ) -> Result<Response<pb::AuthStatusResponse>, Status> {
        self.0.read_barrier().await?;
        let AuthStamp { enabled, revision } = self.0.replica.machine().auth_stamp();
        Ok(Response::new(pb::AuthStatusResponse {
            header: Some(self.0.header_now()),
            enabled,
            auth_revision: revision,
        }))
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        let request = request.into_inner();
        self.0.read_barrier().await?;
        let token = self.token(&request.name, &request.password).await?;
        Ok(Response::new(pb::AuthenticateResponse {
            header: Some(self.0.header_now()),
            token,
        }))
    }

    async fn user_add(
        &self,
        request: Request<pb::AuthUserAddRequest>,
    ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        check_name(&request.name)?;
        let no_password = request.options.is_some_and(|options| options.no_password);
        let hash = if no_password {
            bytes::Bytes::new()
        } else {
            self.hash(&credentials, request.password).await?
        };
        let change = AuthChange::UserAdd {
            name: request.name,
            hash,
            no_password,
        };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthUserAddResponse { header }))
    }

    async fn user_get(
        &self,
        request: Request<pb::AuthUserGetRequest>,
    ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
        let credentials = Credentials::of(&request);
        let name = request.into_inner().name;
        self.0.read_barrier().await?;
        let admitted = self.0.admit(&credentials, Access::User(&name)).await?;
        let user = admitted.machine.user(&name);
        let (_, user) = user.ok_or_else(|| rejected(AuthRejection::UserNotFound))?;
        Ok(Response::new(pb::AuthUserGetResponse {
            header: Some(self.0.header_now()),
            roles: user.roles,
        }))
    }

    async fn user_list(
        &self,
        request: Request<pb::AuthUserListRequest>,
    ) -> Result<Response<pb::AuthUserListResponse>, Status> {
        let credentials = Credentials::of(&request);
        self.0.read_barrier().await?;
        let admitted = self.0.admit(&credentials, Access::Root).await?;
        Ok(Response::new(pb::AuthUserListResponse {
            header: Some(self.0.header_now()),
            users: admitted.machine.users(),
        }))
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Result<Response<pb::AuthUserDeleteResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let name = request.name;
        let change = AuthChange::UserDelete { name };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthUserDeleteResponse { header }))
    }

    async fn user_change_password(
        &self,
        request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let change = AuthChange::UserChangePassword {
            name: request.name,
            hash: self.hash(&credentials, request.password).await?,
        };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Result<Response<pb::AuthUserGrantRoleResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let pb::AuthUserGrantRoleRequest { user, role } = request;
        let change = AuthChange::UserGrantRole { user, role };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Result<Response<pb::AuthUserRevokeRoleResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let pb::AuthUserRevokeRoleRequest { name, role } = request;
        let change = AuthChange::UserRevokeRole { user: name, role };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthUserRevokeRoleResponse { header }))
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Result<Response<pb::AuthRoleAddResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let name = request.name;
        check_name(&name)?;
        let change = AuthChange::RoleAdd { name };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthRoleAddResponse { header }))
    }

    async fn role_get(
        &self,
        request: Request<pb::AuthRoleGetRequest>,
    ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
        let credentials = Credentials::of(&request);
        let name = request.into_inner().role;
        self.0.read_barrier().await?;
        let admitted = self.0.admit(&credentials, Access::Role(&name)).await?;
        let role = admitted.machine.role(&name);
        let mut permissions = role.ok_or_else(|| rejected(AuthRejection::RoleNotFound))?;
        if name == ROOT {
            permissions = vec![all_keys()];
        }
        Ok(Response::new(pb::AuthRoleGetResponse {
            header: Some(self.0.header_now()),
            perm: permissions.into_iter().map(wire_permission).collect(),
        }))
    }

    async fn role_list(
        &self,
        request: Request<pb::AuthRoleListRequest>,
    ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
        let credentials = Credentials::of(&request);
        self.0.read_barrier().await?;
        let admitted = self.0.admit(&credentials, Access::Root).await?;
        Ok(Response::new(pb::AuthRoleListResponse {
            header: Some(self.0.header_now()),
            roles: admitted.machine.roles(),
        }))
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Result<Response<pb::AuthRoleDeleteResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let name = request.role;
        let change = AuthChange::RoleDelete { name };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<pb::AuthRoleGrantPermissionResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let given = request.perm.ok_or(BadRequest::PermissionNotGiven)?;
        let change = AuthChange::RoleGrantPermission {
            role: request.name,
            permission: permission(given)?,
        };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthRoleGrantPermissionResponse {
            header,
        }))
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<pb::AuthRoleRevokePermissionResponse>, Status> {
        let (credentials, request) = self.open(request)?;
        let change = AuthChange::RoleRevokePermission {
            role: request.role,
            keys: KeyRange {
                start: request.key,
                end: request.range_end,
            },
        };
        let header = self.change(&credentials, change).await?;
        Ok(Response::new(pb::AuthRoleRevokePermissionResponse {
            header,
        }))
    }
}
