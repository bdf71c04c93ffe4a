//! auth and user.

use anyhow::Result;
use proto::authpb::UserAddOptions;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGetResponse, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

use super::arguments::{Auth, Format, NewPassword, User};
use super::json::Json;
use super::print::{header_fields, header_json, unsupported};
use super::{Service, Session, message, password, role};

/// etcd's answer to who has made the user root and not given it the role root, which etcdctl then does.
const NO_ROOT_ROLE: &str = "etcdserver: root user does not have root role";

pub(super) async fn auth(session: &Session, command: Auth) -> Result<()> {
    let mut client = AuthClient::new(session.channel().await?);
    match command {
        Auth::Enable => {
            let enabled = session
                .within(client.auth_enable(AuthEnableRequest {}))
                .await;
            match enabled {
                Err(error) if message(&error) == NO_ROOT_ROLE => {
                    give_root_its_role(session, &mut client).await?;
                    session
                        .within(client.auth_enable(AuthEnableRequest {}))
                        .await?;
                }
                enabled => drop(enabled?),
            }
            outln!("Authentication Enabled");
        }
        Auth::Disable => {
            session
                .within(client.auth_disable(AuthDisableRequest {}))
                .await?;
            outln!("Authentication Disabled");
        }
        Auth::Status => {
            let answer = session
                .within(client.auth_status(AuthStatusRequest {}))
                .await?;
            let (enabled, revision) = (answer.enabled, answer.auth_revision);
            match session.printer.format {
                Format::Simple => {
                    outln!("Authentication Status: {enabled}\nAuthRevision: {revision}");
                }
                Format::Json => outln!(
                    "{}",
                    Json::sparse([
                        header_json(answer.header.as_ref()),
                        ("enabled", Json::Bool(enabled)),
                        ("authRevision", Json::number(revision)),
                    ])
                ),
                Format::Fields => {
                    header_fields(answer.header.as_ref());
                    outln!("\"Enabled\" : {enabled}\n\"AuthRevision\" : {revision}");
                }
                Format::Protobuf => {
                    session.printer.encoded(&answer);
                }
                Format::Table => return unsupported(Format::Table),
            }
        }
    }
    Ok(())
}

async fn give_root_its_role(session: &Session, client: &mut AuthClient<Service>) -> Result<()> {
    let add = AuthRoleAddRequest {
        name: "root".to_owned(),
    };
    let added = session.within(client.role_add(add)).await;
    if let Err(error) = added
        && message(&error) != "etcdserver: role name already exists"
    {
        return Err(error);
    }
    let grant = AuthUserGrantRoleRequest {
        user: "root".to_owned(),
        role: "root".to_owned(),
    };
    session.within(client.user_grant_role(grant)).await?;
    Ok(())
}

pub(super) async fn user(session: &Session, command: User) -> Result<()> {
    let mut client = AuthClient::new(session.channel().await?);
    let printer = &session.printer;
    match command {
        User::Add {
            name,
            password,
            no_password,
        } => {
            let request = new_user(name, &password, no_password)?;
            let name = request.name.clone();
            let answer = session.within(client.user_add(request)).await?;
            printer.done(
                &answer,
                answer.header.as_ref(),
                &format!("User {name} created"),
            )
        }
        User::Delete { name } => {
            let text = format!("User {name} deleted");
            let request = AuthUserDeleteRequest { name };
            let answer = session.within(client.user_delete(request)).await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
        User::Get { name, detail } => {
            let request = AuthUserGetRequest { name: name.clone() };
            let answer = session.within(client.user_get(request)).await?;
            print_user(session, &mut client, (&name, detail), &answer).await
        }
        User::List => {
            let answer = session
                .within(client.user_list(AuthUserListRequest {}))
                .await?;
            let names = (&answer.users[..], "users");
            role::print_names(printer, names, answer.header.as_ref(), &answer)
        }
        User::Passwd { name, password } => {
            let password = password::new(&name, &password)?;
            let request = AuthUserChangePasswordRequest {
                name,
                password,
                hashed_password: String::new(),
            };
            let answer = session.within(client.user_change_password(request)).await?;
            printer.done(&answer, answer.header.as_ref(), "Password updated")
        }
        User::GrantRole { name, role } => {
            let text = format!("Role {role} is granted to user {name}");
            let request = AuthUserGrantRoleRequest { user: name, role };
            let answer = session.within(client.user_grant_role(request)).await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
        User::RevokeRole { name, role } => {
            let text = format!("Role {role} is revoked from user {name}");
            let request = AuthUserRevokeRoleRequest { name, role };
            let answer = session.within(client.user_revoke_role(request)).await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
    }
}

fn new_user(name: String, given: &NewPassword, no_password: bool) -> Result<AuthUserAddRequest> {
    let mut request = AuthUserAddRequest {
        options: Some(UserAddOptions { no_password }),
        ..AuthUserAddRequest::default()
    };
    match name.split_once(':') {
        _ if no_password => request.name = name,
        Some(("", _)) => misuse!("empty user name is not allowed"),
        Some((name, password)) if given.new_user_password.is_none() => {
            (request.name, request.password) = (name.to_owned(), password.to_owned());
        }
        _ => {
            request.password = password::new(&name, given)?;
            request.name = name;
        }
    }
    Ok(request)
}

async fn print_user(
    session: &Session,
    client: &mut AuthClient<Service>,
    (name, detail): (&str, bool),
    answer: &AuthUserGetResponse,
) -> Result<()> {
    match session.printer.format {
        Format::Simple => {
            outln!("User: {name}");
            if !detail {
                let roles = answer.roles.iter().map(|role| format!(" {role}"));
                outln!("Roles:{}", roles.collect::<String>());
                return Ok(());
            }
            for role in &answer.roles {
                outln!();
                role::show(session, client, role.clone()).await?;
            }
        }
        Format::Json => {
            let roles = Json::list(&answer.roles, |role| Json::Text(role.clone()));
            let fields = [header_json(answer.header.as_ref()), ("roles", roles)];
            outln!("{}", Json::sparse(fields));
        }
        Format::Protobuf => {
            session.printer.encoded(answer);
        }
        format @ (Format::Fields | Format::Table) => return unsupported(format),
    }
    Ok(())
}
