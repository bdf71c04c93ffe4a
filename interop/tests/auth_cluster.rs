//! Users and tokens on all members: through crashes, snapshots, locks and elections.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};
use interop::auth::{
    Answer, authenticate, enable_with_ann, grant, lock, put, range, refusal, signed,
};
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT, STEADY};
use interop::target::Target;
use proto::etcdserverpb::{
    AuthRoleRevokePermissionRequest, LeaseGrantRequest, LeaseKeepAliveRequest, RangeRequest,
};
use tokio::time::timeout;

/// Waits until a member gives a token: it is up, and has applied what its users are.
async fn login_when_up(
    cluster: &Cluster,
    index: usize,
    name: &str,
    password: &str,
) -> Result<String> {
    let polled = async {
        loop {
            if let Ok(mut client) = cluster.client(index).await
                && let Ok(token) = authenticate(&mut client, name, password).await
            {
                return token.into_inner();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    timeout(READY_TIMEOUT, polled).await.with_context(|| {
        let log = cluster.members[index].log_tail();
        format!("no token in time; the member's log: {log}")
    })
}

/// What ann may do, and others may not, on one member.
async fn ann_is_known(cluster: &Cluster, index: usize) -> Result<()> {
    let token = login_when_up(cluster, index, "ann", "annpw").await?;
    let mut client = cluster.client(index).await?;
    let ann = Some(token.as_str());
    client.kv.put(signed(ann, put("a", 0, false))).await?;
    for serializable in [false, true] {
        let request = |key| RangeRequest {
            serializable,
            ..range(key, "")
        };
        client.kv.range(signed(ann, request("a"))).await?;
        let foreign = client.kv.range(signed(ann, request("x"))).await;
        assert_eq!(
            refusal(foreign)?,
            "PermissionDenied: etcdserver: permission denied"
        );
        let nobody = client.kv.range(request("a")).await;
        assert_eq!(
            refusal(nobody)?,
            "InvalidArgument: etcdserver: user name is empty"
        );
    }
    Ok(())
}

/// All that a test writes stands in the first part of the files, which are made long in advance.
const WRITTEN_BYTES_MAX: u64 = 256 << 10;

/// None for what has gone since it was listed: a running member makes the next file of its log under another name.
fn if_there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Whether some file below a folder holds these bytes.
fn is_on_disk(folder: &Path, wanted: &[u8]) -> Result<bool> {
    let Some(entries) = if_there(std::fs::read_dir(folder))? else {
        return Ok(false);
    };
    for entry in entries {
        let Some(entry) = if_there(entry)? else {
            continue;
        };
        let path = entry.path();
        let found = if path.is_dir() {
            is_on_disk(&path, wanted)?
        } else if let Some(file) = if_there(File::open(&path))? {
            let mut bytes = Vec::new();
            file.take(WRITTEN_BYTES_MAX).read_to_end(&mut bytes)?;
            bytes.windows(wanted.len()).any(|window| window == wanted)
        } else {
            false
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is kept of passwords is their hashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_outlive_a_crash_of_all_members() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    enable_with_ann(&mut cluster.client(0).await?).await?;
    for index in 0..3 {
        ann_is_known(&cluster, index).await?;
    }
    for password in ["rootpw", "annpw"] {
        assert!(!is_on_disk(cluster.dir(), password.as_bytes())?);
    }
    assert!(is_on_disk(cluster.dir(), b"$2a$10$")?);
    cluster.kill_all()?;
    for member in &mut cluster.members {
        member.start()?;
    }
    for index in 0..3 {
        ann_is_known(&cluster, index).await?;
    }
    Ok(())
}

/// Renewals are the replica's own writes, whoever asked for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_while_authentication_is_on() -> Result<()> {
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = Cluster::start(&target, &Options::default()).await?;
        let mut client = cluster.client(0).await?;
        enable_with_ann(&mut client).await?;
        let token = login_when_up(&cluster, 0, "ann", "annpw").await?;
        let ann = Some(token.as_str());
        let request = LeaseGrantRequest { ttl: 600, id: 0 };
        let id = client.lease.lease_grant(signed(ann, request)).await?;
        let id = id.into_inner().id;
        client.kv.put(signed(ann, put("a", id, false))).await?;
        for _ in 0..3 {
            let renewals = tokio_stream::once(LeaseKeepAliveRequest { id });
            let answers = client.lease.lease_keep_alive(signed(ann, renewals)).await?;
            let renewed = answers.into_inner().message().await?;
            let renewed = renewed.context("a renewal is answered")?;
            assert_eq!(renewed.ttl, 600, "{}", target.name);
        }
    }
    Ok(())
}

/// Log entries between snapshots.
const SNAPSHOT_COUNT: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_reach_a_member_that_catches_up_by_snapshot() -> Result<()> {
    let options = Options {
        members: 3,
        flags: vec![
            STEADY.to_owned(),
            format!("--snapshot-count={SNAPSHOT_COUNT}"),
            format!("--snapshot-catchup-entries={SNAPSHOT_COUNT}"),
        ],
        in_memory: true,
    };
    let mut cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let leader = cluster.wait_leader().await?;
    let follower = (leader + 1) % 3;
    cluster.members[follower].kill()?;
    let mut client = cluster.client(leader).await?;
    enable_with_ann(&mut client).await?;
    let root = login_when_up(&cluster, leader, "root", "rootpw").await?;
    // What was saved at the second snapshot lets the log before the first one go.
    let saved = |cluster: &Cluster| {
        cluster.members[leader]
            .log()
            .matches("saved snapshot")
            .count()
    };
    let wanted = saved(&cluster) + 3;
    while saved(&cluster) < wanted {
        for _ in 0..SNAPSHOT_COUNT {
            let request = signed(Some(&root), put("x", 0, false));
            client.kv.put(request).await?;
        }
    }
    cluster.members[follower].start()?;
    ann_is_known(&cluster, follower).await?;
    let log = cluster.members[follower].log();
    assert!(log.contains("applied snapshot"), "{log}");
    Ok(())
}

/// Changes of a permission that are tried.
const CHANGES: usize = 10;

/// What is granted or revoked on one member holds on all from then on, for whatever goes through the log or waits for it.
/// A member that is a change behind says so, and is asked again, as etcd's clients do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_answered_holds_on_every_member() -> Result<()> {
    let options = Options {
        in_memory: true,
        ..Options::steady_three()
    };
    let mut cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    cluster.wait_leader().await?;
    enable_with_ann(&mut cluster.client(0).await?).await?;
    let ann = login_when_up(&cluster, 0, "ann", "annpw").await?;
    let root = login_when_up(&cluster, 1, "root", "rootpw").await?;
    let mut clients = Vec::new();
    for index in 0..3 {
        clients.push(cluster.client(index).await?);
    }
    for number in 0..CHANGES {
        let grants = number % 2 == 0;
        let changer = &mut clients[number % 3].auth;
        if grants {
            let request = grant("some", 2, ("x", ""));
            changer
                .role_grant_permission(signed(Some(&root), request))
                .await?;
        } else {
            let request = AuthRoleRevokePermissionRequest {
                role: "some".into(),
                key: "x".into(),
                range_end: Default::default(),
            };
            changer
                .role_revoke_permission(signed(Some(&root), request))
                .await?;
        }
        for client in &mut clients {
            let read = loop {
                let answer = client.kv.range(signed(Some(&ann), range("x", ""))).await;
                if !is_behind(&answer) {
                    break answer;
                }
            };
            let written = loop {
                let answer = client.kv.put(signed(Some(&ann), put("x", 0, false))).await;
                if !is_behind(&answer) {
                    break answer;
                }
            };
            assert_eq!((read.is_ok(), written.is_ok()), (grants, grants));
        }
    }
    Ok(())
}

fn is_behind<T>(answer: &Answer<T>) -> bool {
    let old = "etcdserver: revision of auth store is old";
    matches!(answer, Err(status) if status.message() == old)
}

/// A token is good on every member at once, and a lock or an election is no way around permissions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_member_is_good_on_the_others_and_for_locks() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    cluster.wait_leader().await?;
    enable_with_ann(&mut cluster.client(0).await?).await?;
    for from in 0..3 {
        let token = login_when_up(&cluster, from, "ann", "annpw").await?;
        for index in 0..3 {
            let mut client = cluster.client(index).await?;
            client
                .kv
                .range(signed(Some(&token), range("a", "")))
                .await?;
        }
        let mut client = cluster.client(from).await?;
        let held = client.lock.lock(signed(Some(&token), lock("a", 0))).await?;
        let unlock = proto::v3lockpb::UnlockRequest {
            key: held.into_inner().key,
        };
        assert!(refusal(client.lock.unlock(unlock.clone()).await)?.contains("user name is empty"));
        client.lock.unlock(signed(Some(&token), unlock)).await?;
        let foreign = client.lock.lock(signed(Some(&token), lock("x", 0))).await;
        assert!(refusal(foreign)?.contains("permission denied"));
        let campaign = proto::v3electionpb::CampaignRequest {
            name: "x".into(),
            lease: 0,
            value: "v".into(),
        };
        let foreign = client.election.campaign(signed(Some(&token), campaign));
        assert!(refusal(foreign.await)?.contains("permission denied"));
    }
    Ok(())
}
