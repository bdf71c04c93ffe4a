//! Users, roles and requests in their names.

use std::fmt::Debug;

use anyhow::{Context, Result};
use proto::authpb;
use proto::etcdserverpb as pb;
use proto::v3lockpb as lockpb;
use tonic::{Request, Response, Status};

use crate::client::Client;

pub type Answer<T> = Result<Response<T>, Status>;

/// A message that carries a token, or none.
pub fn signed<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let token = token.parse().expect("tokens are letters, digits and dots");
        request.metadata_mut().insert("token", token);
    }
    request
}

pub async fn authenticate(client: &mut Client, name: &str, password: &str) -> Answer<String> {
    let request = pb::AuthenticateRequest {
        name: name.into(),
        password: password.into(),
    };
    let answer = client.auth.authenticate(request).await?;
    Ok(answer.map(|answer| answer.token))
}

pub fn user_add(name: &str, password: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest {
        name: name.into(),
        password: password.into(),
        ..Default::default()
    }
}

pub fn grant_role(user: &str, role: &str) -> pb::AuthUserGrantRoleRequest {
    pb::AuthUserGrantRoleRequest {
        user: user.into(),
        role: role.into(),
    }
}

/// `kind` is 0 to read, 1 to write, 2 for both.
pub fn grant(role: &str, kind: i32, keys: (&str, &str)) -> pb::AuthRoleGrantPermissionRequest {
    pb::AuthRoleGrantPermissionRequest {
        name: role.into(),
        perm: Some(authpb::Permission {
            perm_type: kind,
            key: keys.0.to_owned().into(),
            range_end: keys.1.to_owned().into(),
        }),
    }
}

/// Users root, whose password is `rootpw`, and ann with `annpw`, who may read and write `a` to `c`, read `r` and write
/// `w`. Authentication is on afterwards.
pub async fn enable_with_ann(client: &mut Client) -> Result<()> {
    let auth = &mut client.auth;
    auth.user_add(user_add("root", "rootpw")).await?;
    auth.user_grant_role(grant_role("root", "root")).await?;
    auth.user_add(user_add("ann", "annpw")).await?;
    let some = pb::AuthRoleAddRequest {
        name: "some".into(),
    };
    auth.role_add(some).await?;
    for (kind, keys) in [(2, ("a", "c")), (0, ("r", "")), (1, ("w", ""))] {
        auth.role_grant_permission(grant("some", kind, keys))
            .await?;
    }
    auth.user_grant_role(grant_role("ann", "some")).await?;
    auth.auth_enable(pb::AuthEnableRequest {}).await?;
    Ok(())
}

pub fn put(key: &str, lease: i64, prev_kv: bool) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: "v".into(),
        lease,
        prev_kv,
        ..Default::default()
    }
}

pub fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Default::default()
    }
}

pub fn delete(key: &str, range_end: &str, prev_kv: bool) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        prev_kv,
    }
}

pub fn lock(name: &str, lease: i64) -> lockpb::LockRequest {
    lockpb::LockRequest {
        name: name.to_owned().into(),
        lease,
    }
}

/// An operation as part of a transaction.
pub fn op(request: pb::request_op::Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

/// A watch request for a range.
pub fn watch(key: &str, range_end: &str) -> pb::WatchRequest {
    let create = pb::WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Default::default()
    };
    pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    }
}

/// Code and text of a refusal; an error if it was none.
pub fn refusal<T: Debug>(answer: Answer<T>) -> Result<String> {
    match answer {
        Err(status) => Ok(format!("{:?}: {}", status.code(), status.message())),
        Ok(answer) => anyhow::bail!("it was not refused: {answer:?}"),
    }
}

/// An answer as text that two servers can be compared by: ids are each cluster's own.
pub fn told<T: Debug>(answer: &Answer<T>) -> String {
    match answer {
        Ok(answer) => {
            let mut text = format!("{:?}", answer.get_ref());
            for own in ["cluster_id: ", "member_id: ", "raft_term: "] {
                text = without_number(&text, own);
            }
            text
        }
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn without_number(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| {
        done + before + "OWN" + part.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

/// Whether a token is sixteen letters, a dot and a number.
pub fn is_simple_token(token: &str) -> Result<bool> {
    let (letters, index) = token.split_once('.').context("a dot")?;
    let all_letters = letters.bytes().all(|letter| letter.is_ascii_alphabetic());
    Ok(letters.len() == 16 && all_letters && index.parse::<u64>().is_ok())
}
