//! Ways around etcd's permissions that were found and closed, each tried against ours. Older etcds let some of them
//! through, so they are not asked.

use anyhow::{Context, Result};
use interop::auth::{
    authenticate, delete, enable_with_ann, op, put, range, refusal, signed, watch,
};
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options};
use interop::target::Target;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::*;
use tokio::time::timeout;
use tokio_stream::StreamExt;

const EMPTY: &str = "InvalidArgument: etcdserver: user name is empty";
const DENIED: &str = "PermissionDenied: etcdserver: permission denied";

/// A member whose users are root and ann, and their tokens.
struct Guarded {
    client: Client,
    ann: String,
    root: String,
    _cluster: Cluster,
}

impl Guarded {
    async fn start() -> Result<Guarded> {
        let options = Options {
            flags: vec!["--bcrypt-cost=4".into()],
            ..Options::default()
        };
        let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
        let mut client = cluster.client(0).await?;
        enable_with_ann(&mut client).await?;
        let ann = authenticate(&mut client, "ann", "annpw").await?;
        let root = authenticate(&mut client, "root", "rootpw").await?;
        Ok(Guarded {
            ann: ann.into_inner(),
            root: root.into_inner(),
            client,
            _cluster: cluster,
        })
    }

    async fn as_root(&mut self, request: PutRequest) -> Result<()> {
        let request = signed(Some(&self.root), request);
        self.client.kv.put(request).await?;
        Ok(())
    }
}

/// Asks without credentials, and as ann.
macro_rules! refused {
    ($guarded:expr, $service:ident.$method:ident, $request:expr, $for_ann:expr) => {{
        let answer = $guarded.client.$service.$method($request).await;
        assert_eq!(refusal(answer)?, EMPTY, stringify!($method));
        let request = signed(Some(&$guarded.ann), $request);
        let answer = $guarded.client.$service.$method(request).await;
        let wanted: Option<&str> = $for_ann;
        match wanted {
            Some(wanted) => assert_eq!(refusal(answer)?, wanted, stringify!($method)),
            None => drop(answer?),
        }
    }};
}

/// CVE-2026-33413: calls that asked for no credentials at all, or for no permission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_served_without_credentials() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    let compaction = CompactionRequest {
        revision: 1,
        physical: false,
    };
    let grant = LeaseGrantRequest { ttl: 60, id: 5 };
    refused!(guarded, kv.compact, compaction, Some(DENIED));
    refused!(guarded, lease.lease_grant, grant, None);
    refused!(guarded, lease.lease_leases, LeaseLeasesRequest {}, None);
    refused!(
        guarded,
        lease.lease_time_to_live,
        LeaseTimeToLiveRequest { id: 5, keys: false },
        None
    );
    refused!(
        guarded,
        lease.lease_time_to_live,
        LeaseTimeToLiveRequest { id: 5, keys: true },
        None
    );
    refused!(
        guarded,
        lease.lease_revoke,
        LeaseRevokeRequest { id: 5 },
        None
    );
    let keep_alive = || tokio_stream::iter([LeaseKeepAliveRequest { id: 5 }]);
    let mut renewed = guarded.client.lease.lease_keep_alive(keep_alive()).await?;
    let renewed = renewed.get_mut().message().await.map(tonic::Response::new);
    assert_eq!(refusal(renewed)?, EMPTY);
    for (token, wanted) in [(None, EMPTY), (Some(guarded.ann.as_str()), DENIED)] {
        let request = signed(token, range("x", ""));
        let mut chunks = guarded.client.kv.range_stream(request).await?;
        let first = chunks.get_mut().message().await;
        assert_eq!(refusal(first.map(tonic::Response::new))?, wanted);
    }
    Ok(())
}

/// The same, of calls about the cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_about_the_cluster_is_served_without_credentials() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    refused!(
        guarded,
        cluster.member_list,
        MemberListRequest::default(),
        None
    );
    refused!(
        guarded,
        cluster.member_add,
        MemberAddRequest::default(),
        Some(DENIED)
    );
    refused!(
        guarded,
        cluster.member_remove,
        MemberRemoveRequest::default(),
        Some(DENIED)
    );
    refused!(
        guarded,
        cluster.member_update,
        MemberUpdateRequest::default(),
        Some(DENIED)
    );
    refused!(
        guarded,
        cluster.member_promote,
        MemberPromoteRequest::default(),
        Some(DENIED)
    );
    Ok(())
}

/// The same, of calls about a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_about_a_member_is_served_without_credentials() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    let alarm = |action| AlarmRequest {
        action,
        alarm: 1,
        ..Default::default()
    };
    refused!(guarded, maintenance.status, StatusRequest {}, None);
    refused!(guarded, maintenance.alarm, alarm(0), None);
    refused!(guarded, maintenance.alarm, alarm(1), Some(DENIED));
    refused!(guarded, maintenance.alarm, alarm(2), Some(DENIED));
    let any_kind = AlarmRequest {
        alarm: 0,
        ..alarm(2)
    };
    refused!(guarded, maintenance.alarm, any_kind, Some(DENIED));
    refused!(
        guarded,
        maintenance.defragment,
        DefragmentRequest {},
        Some(DENIED)
    );
    refused!(guarded, maintenance.hash, HashRequest {}, Some(DENIED));
    refused!(
        guarded,
        maintenance.hash_kv,
        HashKvRequest { revision: 0 },
        Some(DENIED)
    );
    refused!(
        guarded,
        maintenance.snapshot,
        SnapshotRequest {},
        Some(DENIED)
    );
    refused!(
        guarded,
        maintenance.move_leader,
        MoveLeaderRequest { target_id: 1 },
        Some(DENIED)
    );
    refused!(
        guarded,
        maintenance.downgrade,
        DowngradeRequest::default(),
        Some(DENIED)
    );
    let status = guarded
        .client
        .auth
        .auth_status(AuthStatusRequest {})
        .await?;
    assert!(status.into_inner().enabled);
    Ok(())
}

fn nested(request: Op) -> TxnRequest {
    let inner = TxnRequest {
        failure: vec![op(request.clone())],
        success: vec![op(request)],
        ..Default::default()
    };
    TxnRequest {
        success: vec![op(Op::RequestTxn(inner))],
        ..Default::default()
    }
}

/// CVE-2026-33343: what is denied is denied inside a nested transaction too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nested_transaction_is_no_way_around() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    guarded.as_root(put("x", 0, false)).await?;
    let ann = guarded.ann.clone();
    for request in [
        Op::RequestRange(range("x", "")),
        Op::RequestPut(put("x", 0, false)),
        Op::RequestDeleteRange(delete("x", "", false)),
        Op::RequestDeleteRange(delete("", "\0", true)),
    ] {
        let request = signed(Some(&ann), nested(request));
        let answer = guarded.client.kv.txn(request).await;
        // A range that begins with no key is refused before anybody is asked for.
        let refused = refusal(answer)?;
        assert!(
            refused == DENIED || refused.ends_with("key is not provided"),
            "{refused}"
        );
    }
    let compare = TxnRequest {
        success: vec![op(Op::RequestTxn(TxnRequest {
            compare: vec![Compare {
                key: "x".into(),
                ..Default::default()
            }],
            ..Default::default()
        }))],
        ..Default::default()
    };
    let answer = guarded.client.kv.txn(signed(Some(&ann), compare)).await;
    assert_eq!(refusal(answer)?, DENIED);
    let allowed = nested(Op::RequestPut(put("a", 0, true)));
    guarded.client.kv.txn(signed(Some(&ann), allowed)).await?;
    Ok(())
}

/// etcd's issues 21681 and 21685: the previous value of a key that may only be written, and a lease that holds keys of
/// others, in puts inside a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_of_a_transaction_show_no_old_value_and_take_no_foreign_lease() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    let ann = guarded.ann.clone();
    let lease = LeaseGrantRequest { ttl: 600, id: 7 };
    let lease = signed(Some(&ann), lease);
    guarded.client.lease.lease_grant(lease).await?;
    guarded.as_root(put("w", 0, false)).await?;
    guarded.as_root(put("x", 7, false)).await?;
    for request in [put("w", 0, true), put("a", 7, false)] {
        let plain = guarded.client.kv.put(signed(Some(&ann), request.clone()));
        assert_eq!(refusal(plain.await)?, DENIED);
        let txn = TxnRequest {
            success: vec![op(Op::RequestPut(request.clone()))],
            ..Default::default()
        };
        for txn in [txn, nested(Op::RequestPut(request))] {
            let answer = guarded.client.kv.txn(signed(Some(&ann), txn)).await;
            assert_eq!(refusal(answer)?, DENIED);
        }
    }
    let revoke = signed(Some(&ann), LeaseRevokeRequest { id: 7 });
    assert_eq!(
        refusal(guarded.client.lease.lease_revoke(revoke).await)?,
        DENIED
    );
    let renew = tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }]);
    let renew = guarded
        .client
        .lease
        .lease_keep_alive(signed(Some(&ann), renew));
    let renewed = renew.await?.get_mut().message().await;
    assert_eq!(refusal(renewed.map(tonic::Response::new))?, DENIED);
    let keys = LeaseTimeToLiveRequest { id: 7, keys: true };
    let keys = signed(Some(&ann), keys);
    assert_eq!(
        refusal(guarded.client.lease.lease_time_to_live(keys).await)?,
        DENIED
    );
    Ok(())
}

/// GHSA-xg4h-6gfc-h4m8: a watch of one key delivered every key behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_one_key_delivers_that_key_alone() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    let ann = guarded.ann.clone();
    let requests = [
        watch("a", ""),
        watch("r", ""),
        watch("a", "\0"),
        watch("a", "x"),
    ];
    let requests = tokio_stream::iter(requests).chain(tokio_stream::pending());
    let answers = guarded
        .client
        .watch
        .watch(signed(Some(&ann), requests))
        .await?;
    let mut answers = answers.into_inner();
    let mut next = async || {
        let answer = timeout(ANSWER_TIMEOUT, answers.message()).await??;
        answer.context("the stream goes on")
    };
    for allowed in [true, true, false, false] {
        let answer = next().await?;
        assert!(answer.created);
        assert_eq!(answer.canceled, !allowed, "{answer:?}");
        if !allowed {
            assert_eq!(
                answer.cancel_reason,
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
            );
        }
    }
    for key in ["b", "a\0", "x", "r0", "z", "r", "a"] {
        guarded.as_root(put(key, 0, false)).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let events = next().await?.events.into_iter();
        seen.extend(events.filter_map(|event| event.kv).map(|kv| kv.key));
    }
    assert_eq!(seen, ["r", "a"]);
    Ok(())
}

/// An answer that etcd 3.4 gave with a panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_of_nothing_is_refused() -> Result<()> {
    let mut guarded = Guarded::start().await?;
    let nothing = AuthRoleGrantPermissionRequest {
        name: "some".into(),
        perm: None,
    };
    let nothing = signed(Some(&guarded.root), nothing);
    let answer = guarded.client.auth.role_grant_permission(nothing).await;
    assert_eq!(
        refusal(answer)?,
        "InvalidArgument: etcdserver: permission not given"
    );
    Ok(())
}
