//! role.

use std::ffi::OsStr;

use anyhow::Result;
use bytes::Bytes;
use proto::authpb::Permission;
use proto::authpb::permission::Type;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest,
    ResponseHeader,
};

use super::arguments::{Format, PermittedKeys, Role};
use super::json::Json;
use super::print::{Printer, header_fields, header_json, unsupported};
use super::{Service, Session, kv};

pub(super) async fn run(session: &Session, command: Role) -> Result<()> {
    let mut client = AuthClient::new(session.channel().await?);
    let printer = &session.printer;
    match command {
        Role::Add { name } => {
            let text = format!("Role {name} created");
            let answer = session
                .within(client.role_add(AuthRoleAddRequest { name }))
                .await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
        Role::Delete { name } => {
            let text = format!("Role {name} deleted");
            let request = AuthRoleDeleteRequest { role: name };
            let answer = session.within(client.role_delete(request)).await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
        Role::Get { name } => show(session, &mut client, name).await,
        Role::List => {
            let answer = session
                .within(client.role_list(AuthRoleListRequest {}))
                .await?;
            let names = (&answer.roles[..], "roles");
            print_names(printer, names, answer.header.as_ref(), &answer)
        }
        Role::GrantPermission {
            name,
            permission,
            keys,
        } => {
            let Some(kind) = Type::from_str_name(&permission.to_ascii_uppercase()) else {
                misuse!("invalid permission type: {permission}")
            };
            let (key, range_end) = range(&keys)?;
            let text = format!("Role {name} updated");
            let request = AuthRoleGrantPermissionRequest {
                name,
                perm: Some(Permission {
                    perm_type: kind.into(),
                    key,
                    range_end,
                }),
            };
            let answer = session
                .within(client.role_grant_permission(request))
                .await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
        Role::RevokePermission { name, keys } => {
            let (key, range_end) = range(&keys)?;
            let text = revoked(&name, &key, &range_end);
            let request = AuthRoleRevokePermissionRequest {
                role: name,
                key,
                range_end,
            };
            let answer = session
                .within(client.role_revoke_permission(request))
                .await?;
            printer.done(&answer, answer.header.as_ref(), &text)
        }
    }
}

fn range(keys: &PermittedKeys) -> Result<(Bytes, Bytes)> {
    kv::keys(
        keys.key.as_ref(),
        keys.range_end.as_deref().map(OsStr::new),
        keys.prefix,
        keys.from_key,
    )
}

/// Stands for all keys from one on.
const OPEN: &[u8] = b"\0";

fn revoked(role: &str, key: &[u8], range_end: &[u8]) -> String {
    let (key, end) = (
        String::from_utf8_lossy(key),
        String::from_utf8_lossy(range_end),
    );
    match range_end {
        b"" => format!("Permission of key {key} is revoked from role {role}"),
        OPEN => format!("Permission of range [{key}, <open ended> is revoked from role {role}"),
        _ => format!("Permission of range [{key}, {end}) is revoked from role {role}"),
    }
}

/// Asks for a role and prints it.
pub(super) async fn show(
    session: &Session,
    client: &mut AuthClient<Service>,
    role: String,
) -> Result<()> {
    let request = AuthRoleGetRequest { role: role.clone() };
    let answer = session.within(client.role_get(request)).await?;
    match session.printer.format {
        Format::Simple => {
            outln!("Role {role}\nKV Read:");
            print_permitted(&answer, Type::Write);
            outln!("KV Write:");
            print_permitted(&answer, Type::Read);
        }
        Format::Json => {
            let permissions = Json::list(&answer.perm, |permission| {
                Json::sparse([
                    ("permType", Json::number(permission.perm_type)),
                    ("key", Json::bytes(&permission.key)),
                    ("range_end", Json::bytes(&permission.range_end)),
                ])
            });
            let fields = [header_json(answer.header.as_ref()), ("perm", permissions)];
            outln!("{}", Json::sparse(fields));
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            for permission in &answer.perm {
                outln!("\"PermType\" :  {}", permission.perm_type().as_str_name());
                outln!("\"Key\" : {}", session.printer.quoted(&permission.key));
                outln!(
                    "\"RangeEnd\" : {}",
                    session.printer.quoted(&permission.range_end)
                );
            }
        }
        Format::Protobuf => {
            session.printer.encoded(&answer);
        }
        Format::Table => return unsupported(Format::Table),
    }
    Ok(())
}

/// Every range but those of the `other` kind.
fn print_permitted(answer: &AuthRoleGetResponse, other: Type) {
    for permission in answer
        .perm
        .iter()
        .filter(|permission| permission.perm_type() != other)
    {
        let key = String::from_utf8_lossy(&permission.key);
        let end = String::from_utf8_lossy(&permission.range_end);
        match &permission.range_end[..] {
            b"" => outln!("\t{key}"),
            OPEN => outln!("\t[{key}, <open ended>"),
            range_end if kv::prefix_end(&permission.key).as_deref() == Some(range_end) => {
                outln!("\t[{key}, {end}) (prefix {key})");
            }
            _ => outln!("\t[{key}, {end})"),
        }
    }
}

/// A list of users or roles, with its name in JSON.
pub(super) fn print_names(
    printer: &Printer,
    (names, field): (&[String], &'static str),
    header: Option<&ResponseHeader>,
    answer: &impl prost::Message,
) -> Result<()> {
    match printer.format {
        Format::Simple => names.iter().for_each(|name| outln!("{name}")),
        Format::Json => {
            let names = Json::list(names, |name| Json::Text(name.clone()));
            outln!("{}", Json::sparse([header_json(header), (field, names)]));
        }
        Format::Fields if field == "roles" => {
            header_fields(header);
            let names: String = names.iter().map(|name| format!(" {name:?}")).collect();
            outln!("\"Roles\" :{names}");
        }
        Format::Protobuf => {
            printer.encoded(answer);
        }
        format @ (Format::Fields | Format::Table) => return unsupported(format),
    }
    Ok(())
}
