//! Users, roles and permissions: the same story is told to etcd and to ours, and what they answer is compared.

use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use interop::auth::{
    Answer, authenticate, delete, grant, grant_role, is_simple_token, op, put, range, signed, told,
    user_add, watch,
};
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options};
use interop::target::Target;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::*;
use tokio::time::timeout;
use tokio_stream::StreamExt;

/// What etcd 3.4.23 does not ask for, or says otherwise: the beginning of a step, and of ours and newer etcd's answer.
const AS_NEWER: [(&str, &str); 4] = [
    (
        "time to live of 12",
        "PermissionDenied: etcdserver: permission denied",
    ),
    ("alarm ", "InvalidArgument: etcdserver: user name is empty"),
    ("alarm ", "Unauthenticated: etcdserver: invalid auth token"),
    ("alarm ", "AlarmResponse { header: Some("),
];

/// What a server answered, step by step.
struct Story {
    client: Client,
    lines: Vec<(String, String)>,
}

impl Story {
    fn tell<T: Debug>(&mut self, step: impl Into<String>, answer: &Answer<T>) {
        self.lines.push((step.into(), told(answer)));
    }

    async fn login(&mut self, name: &str, password: &str) -> Result<String> {
        let token = authenticate(&mut self.client, name, password).await;
        let token = token.context("a token")?.into_inner();
        ensure!(is_simple_token(&token)?, "{token}");
        Ok(token)
    }

    async fn failed_login(&mut self, name: &str, password: &str) {
        let answer = authenticate(&mut self.client, name, password).await;
        self.tell(format!("authenticate {name} {password}"), &answer);
    }
}

/// Calls a method of a service and writes down what it answered.
macro_rules! step {
    ($story:expr, $service:ident.$method:ident, $token:expr, $request:expr) => {{
        let request = $request;
        let step = format!("{} {request:?}", stringify!($method));
        let request = signed($token, request);
        let answer = $story.client.$service.$method(request).await;
        $story.tell(step, &answer);
    }};
}

fn role(name: &str) -> AuthRoleAddRequest {
    AuthRoleAddRequest { name: name.into() }
}

fn role_get(role: &str) -> AuthRoleGetRequest {
    AuthRoleGetRequest { role: role.into() }
}

fn user_get(name: &str) -> AuthUserGetRequest {
    AuthUserGetRequest { name: name.into() }
}

fn revoke_role(name: &str, role: &str) -> AuthUserRevokeRoleRequest {
    AuthUserRevokeRoleRequest {
        name: name.into(),
        role: role.into(),
    }
}

fn revoke_permission(role: &str, key: &str, range_end: &str) -> AuthRoleRevokePermissionRequest {
    AuthRoleRevokePermissionRequest {
        role: role.into(),
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
    }
}

fn password(name: &str, password: &str) -> AuthUserChangePasswordRequest {
    AuthUserChangePasswordRequest {
        name: name.into(),
        password: password.into(),
        ..Default::default()
    }
}

/// Everything up to the moment authentication is on.
async fn before(story: &mut Story) {
    let no_password = AuthUserAddRequest {
        options: Some(proto::authpb::UserAddOptions { no_password: true }),
        ..user_add("cert", "")
    };
    story.failed_login("root", "rootpw").await;
    step!(story, auth.auth_enable, None, AuthEnableRequest {});
    step!(story, auth.auth_disable, None, AuthDisableRequest {});
    step!(story, auth.user_add, None, user_add("", "x"));
    step!(story, auth.user_add, None, user_add("root", "rootpw"));
    step!(story, auth.auth_enable, None, AuthEnableRequest {});
    step!(story, auth.user_add, None, user_add("ann", "annpw"));
    step!(story, auth.user_add, None, user_add("ann", "other"));
    step!(story, auth.user_add, None, user_add("empty", ""));
    step!(story, auth.user_add, None, no_password);
    step!(story, auth.role_add, None, role(""));
    step!(story, auth.role_add, None, role("some"));
    step!(story, auth.role_add, None, role("some"));
    step!(story, auth.role_add, None, role("root"));
    for (kind, keys) in [
        (2, ("a", "c")),
        (0, ("r", "")),
        (1, ("w", "")),
        (0, ("o", "\0")),
        (1, ("o", "\0")),
        (0, ("gone", "")),
    ] {
        let request = grant("some", kind, keys);
        step!(story, auth.role_grant_permission, None, request);
    }
    let nowhere = grant("none", 0, ("a", ""));
    step!(story, auth.role_grant_permission, None, nowhere);
    let gone = || revoke_permission("some", "gone", "");
    step!(story, auth.role_revoke_permission, None, gone());
    step!(story, auth.role_revoke_permission, None, gone());
    let nowhere = revoke_permission("none", "a", "");
    step!(story, auth.role_revoke_permission, None, nowhere);
    for (user, role) in [
        ("root", "root"),
        ("ann", "some"),
        ("ann", "some"),
        ("ann", "none"),
        ("bob", "some"),
    ] {
        step!(story, auth.user_grant_role, None, grant_role(user, role));
    }
    step!(
        story,
        auth.user_revoke_role,
        None,
        revoke_role("ann", "root")
    );
    step!(
        story,
        auth.user_revoke_role,
        None,
        revoke_role("bob", "some")
    );
    step!(story, auth.role_get, None, role_get("some"));
    step!(story, auth.role_get, None, role_get("none"));
    step!(story, auth.role_list, None, AuthRoleListRequest {});
    step!(story, auth.user_get, None, user_get("ann"));
    step!(story, auth.user_get, None, user_get("bob"));
    step!(story, auth.user_list, None, AuthUserListRequest {});
    step!(story, kv.put, None, put("x", 0, false));
    step!(story, kv.put, None, put("a", 0, false));
    step!(story, auth.auth_enable, None, AuthEnableRequest {});
}

/// Reads, writes and transactions in somebody's name.
async fn keys(story: &mut Story, token: Option<&str>) {
    for (key, end) in [
        ("a", ""),
        ("a", "c"),
        ("b", "c"),
        ("a", "d"),
        ("c", ""),
        ("r", ""),
        ("o", "\0"),
        ("p", "z"),
        ("n", "\0"),
        ("w", ""),
        ("x", ""),
    ] {
        step!(story, kv.range, token, range(key, end));
        let serializable = RangeRequest {
            serializable: true,
            ..range(key, end)
        };
        step!(story, kv.range, token, serializable);
        step!(story, kv.delete_range, token, delete(key, end, false));
        step!(story, kv.delete_range, token, delete(key, end, true));
    }
    for key in ["a", "b", "c", "r", "w", "x"] {
        step!(story, kv.put, token, put(key, 0, false));
        step!(story, kv.put, token, put(key, 0, true));
        let compare = TxnRequest {
            compare: vec![Compare {
                key: key.to_owned().into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        step!(story, kv.txn, token, compare);
        let write = TxnRequest {
            success: vec![op(Op::RequestPut(put(key, 0, false)))],
            failure: vec![op(Op::RequestRange(range(key, "")))],
            ..Default::default()
        };
        step!(story, kv.txn, token, write);
        let read = TxnRequest {
            failure: vec![op(Op::RequestRange(range(key, "")))],
            ..Default::default()
        };
        step!(story, kv.txn, token, read);
        let erase = TxnRequest {
            success: vec![op(Op::RequestDeleteRange(delete(key, "", true)))],
            ..Default::default()
        };
        step!(story, kv.txn, token, erase);
    }
}

/// The answers of one stream to watches of some ranges.
async fn watches(story: &mut Story, token: Option<&str>) -> Result<()> {
    let ranges = [("a", ""), ("a", "c"), ("a", "d"), ("x", ""), ("", "\0")];
    let requests = tokio_stream::iter(ranges.map(|(key, end)| watch(key, end)));
    // The requests end, and the stream does not.
    let requests = requests.chain(tokio_stream::pending());
    let answers = story.client.watch.watch(signed(token, requests)).await?;
    let mut answers = answers.into_inner();
    for (key, end) in ranges {
        let answer = timeout(ANSWER_TIMEOUT, answers.message()).await??;
        let answer = answer.context("the stream goes on")?;
        let answer = Ok(tonic::Response::new(answer));
        story.tell(format!("watch {key} {end:?}"), &answer);
    }
    Ok(())
}

async fn leases(story: &mut Story, ann: &str, root: &str) {
    let (ann, root) = (Some(ann), Some(root));
    for id in [11, 12] {
        let grant = LeaseGrantRequest { ttl: 600, id };
        step!(story, lease.lease_grant, ann, grant);
    }
    step!(story, kv.put, ann, put("a", 11, false));
    step!(story, kv.put, ann, put("b", 12, false));
    step!(story, kv.put, root, put("x", 12, false));
    step!(story, kv.put, ann, put("a", 12, false));
    for id in [11, 12] {
        let keys = LeaseTimeToLiveRequest { id, keys: true };
        let answer = story
            .client
            .lease
            .lease_time_to_live(signed(ann, keys))
            .await;
        let answer = answer.map(|answer| answer.map(|answer| (answer.granted_ttl, answer.keys)));
        story.tell(format!("time to live of {id}"), &answer);
        let revoke = LeaseRevokeRequest { id };
        step!(story, lease.lease_revoke, ann, revoke);
    }
    step!(
        story,
        lease.lease_revoke,
        root,
        LeaseRevokeRequest { id: 12 }
    );
}

fn delete_user(name: &str) -> AuthUserDeleteRequest {
    AuthUserDeleteRequest { name: name.into() }
}

fn delete_role(role: &str) -> AuthRoleDeleteRequest {
    AuthRoleDeleteRequest { role: role.into() }
}

/// All that only root may do, or not everyone.
async fn manage(story: &mut Story, token: Option<&str>) {
    step!(story, auth.user_add, token, user_add("new", "x"));
    step!(story, auth.user_get, token, user_get("ann"));
    step!(story, auth.user_get, token, user_get("root"));
    step!(story, auth.user_list, token, AuthUserListRequest {});
    step!(story, auth.user_delete, token, delete_user("cert"));
    step!(
        story,
        auth.user_change_password,
        token,
        password("ann", "mine")
    );
    step!(
        story,
        auth.user_grant_role,
        token,
        grant_role("ann", "root")
    );
    step!(
        story,
        auth.user_revoke_role,
        token,
        revoke_role("ann", "some")
    );
    step!(story, auth.role_add, token, role("new"));
    step!(story, auth.role_get, token, role_get("some"));
    step!(story, auth.role_get, token, role_get("root"));
    step!(story, auth.role_list, token, AuthRoleListRequest {});
    let request = grant("some", 2, ("x", ""));
    step!(story, auth.role_grant_permission, token, request);
    let request = revoke_permission("some", "a", "c");
    step!(story, auth.role_revoke_permission, token, request);
    step!(story, auth.role_delete, token, delete_role("some"));
    step!(story, auth.auth_enable, token, AuthEnableRequest {});
    step!(story, auth.auth_disable, token, AuthDisableRequest {});
    step!(story, maintenance.alarm, token, AlarmRequest::default());
}

/// Who manages users and roles, and what nobody may do while authentication is on.
async fn management(story: &mut Story, ann: &str, root: &str) -> Result<()> {
    let (ann, root) = (Some(ann), Some(root));
    for token in [None, Some("nonsense"), Some("abcdefghijklmnop.1"), ann] {
        manage(story, token).await;
    }
    step!(story, auth.user_delete, root, delete_user("root"));
    step!(story, auth.role_delete, root, delete_role("root"));
    step!(
        story,
        auth.user_revoke_role,
        root,
        revoke_role("root", "root")
    );
    step!(story, auth.auth_enable, root, AuthEnableRequest {});
    // A simple token is as good as its user is now.
    step!(
        story,
        auth.user_revoke_role,
        root,
        revoke_role("ann", "some")
    );
    step!(story, kv.range, ann, range("a", ""));
    step!(story, auth.user_grant_role, root, grant_role("ann", "some"));
    step!(story, kv.range, ann, range("a", ""));
    step!(
        story,
        auth.user_change_password,
        root,
        password("ann", "second")
    );
    step!(
        story,
        auth.user_change_password,
        root,
        password("bob", "second")
    );
    step!(story, kv.range, ann, range("a", ""));
    story.failed_login("ann", "annpw").await;
    let again = story.login("ann", "second").await?;
    step!(story, kv.range, Some(&again), range("a", ""));
    step!(story, auth.role_delete, root, delete_role("some"));
    step!(story, auth.role_delete, root, delete_role("some"));
    step!(story, kv.range, Some(&again), range("a", ""));
    step!(story, auth.user_get, root, user_get("ann"));
    step!(story, auth.user_delete, root, delete_user("ann"));
    step!(story, auth.user_delete, root, delete_user("ann"));
    step!(story, kv.range, Some(&again), range("a", ""));
    step!(story, auth.auth_disable, root, AuthDisableRequest {});
    step!(story, auth.auth_disable, None, AuthDisableRequest {});
    step!(story, kv.range, None, range("x", ""));
    story.failed_login("root", "rootpw").await;
    Ok(())
}

async fn whole_story(target: &Target) -> Result<Vec<(String, String)>> {
    let options = Options {
        flags: vec!["--bcrypt-cost=4".into()],
        ..Options::default()
    };
    let cluster = Cluster::start(target, &options).await?;
    let mut story = Story {
        client: cluster.client(0).await?,
        lines: Vec::new(),
    };
    before(&mut story).await;
    for (name, password) in [
        ("root", "wrong"),
        ("nobody", "x"),
        ("cert", "x"),
        ("cert", ""),
        ("", ""),
    ] {
        story.failed_login(name, password).await;
    }
    let root = story.login("root", "rootpw").await?;
    let ann = story.login("ann", "annpw").await?;
    for token in [None, Some("nonsense"), Some(ann.as_str()), Some(&root)] {
        keys(&mut story, token).await;
        watches(&mut story, token).await?;
    }
    leases(&mut story, &ann, &root).await;
    management(&mut story, &ann, &root).await?;
    Ok(story.lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_and_ours_tell_the_same_story() -> Result<()> {
    let wanted = whole_story(&Target::etcd()?).await?;
    let found = whole_story(&Target::mainstay()?).await?;
    let mut differences = Vec::new();
    for ((step, wanted), (same, found)) in wanted.iter().zip(&found) {
        assert_eq!(step, same);
        let as_newer = AS_NEWER
            .iter()
            .any(|(begin, answer)| step.starts_with(begin) && found.starts_with(answer));
        if wanted != found && !as_newer {
            differences.push(format!("{step}\n  etcd: {wanted}\n  ours: {found}"));
        }
    }
    ensure!(wanted.len() == found.len(), "one told more");
    ensure!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        wanted.len(),
        differences.join("\n")
    );
    Ok(())
}
