//! Snapshot files, both ways: what one store saved, the other restores and serves, with the same history and hash.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result};
use interop::auth::{authenticate, grant, grant_role, signed, user_add};
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::snapshots::{
    COMPACTED, all, arguments, events, fill, mainstay, put_of, restore, restored, run, save, see,
    status, succeed, text,
};
use interop::target::{Target, etcdctl};
use proto::authpb::UserAddOptions;
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGetRequest, AuthUserAddRequest,
    MemberAddRequest, RangeRequest, SnapshotRequest,
};
use tokio::time::timeout;
use tonic::Code;

/// Saves a filled store, restores it elsewhere and compares all that can be seen.
async fn tell(from: Target, to: Target, members: usize) -> Result<()> {
    let source = Cluster::start(&from, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    let expected = see(&mut client).await?;
    assert_eq!(expected.compact_revision, COMPACTED);
    assert_eq!(expected.lease_keys.len(), 11);
    let file = save(&source)?;
    let copy = restored(to, members, &file).await?;
    for index in 0..members {
        let mut client = copy.client(index).await?;
        assert_eq!(see(&mut client).await?, expected, "member {index}");
    }
    // It goes on from there, on every member.
    let mut client = copy.client(0).await?;
    assert_eq!(client.put("after", "").await?, expected.revision + 1);
    for index in 0..members {
        let mut client = copy.client(index).await?;
        assert_eq!(client.get("after").await?.as_deref(), Some(""));
    }
    Ok(())
}

#[tokio::test]
async fn what_etcd_saved_one_mainstay_serves() -> Result<()> {
    tell(Target::etcd()?, Target::mainstay()?, 1).await
}

#[tokio::test]
async fn what_etcd_saved_three_mainstays_serve() -> Result<()> {
    tell(Target::etcd()?, Target::mainstay()?, 3).await
}

#[tokio::test]
async fn what_mainstay_saved_etcd_serves() -> Result<()> {
    tell(Target::mainstay()?, Target::etcd()?, 1).await
}

#[tokio::test]
async fn what_mainstay_saved_three_mainstays_serve() -> Result<()> {
    tell(Target::mainstay()?, Target::mainstay()?, 3).await
}

#[tokio::test]
async fn a_member_that_joins_a_restored_cluster_gets_the_state() -> Result<()> {
    let source = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    let expected = see(&mut client).await?;
    let mut copy = restored(Target::mainstay()?, 1, &save(&source)?).await?;
    let joining = copy.prepare_joining("late")?;
    let request = MemberAddRequest {
        peer_ur_ls: vec![copy.members[joining].peer_url()],
        is_learner: false,
    };
    copy.client(0).await?.cluster.member_add(request).await?;
    copy.members[joining].start()?;
    copy.members[joining].wait_ready().await?;
    let mut client = copy.client(joining).await?;
    assert_eq!(see(&mut client).await?, expected);
    // It was restored from nothing and can be restored from.
    assert_eq!(status(&save(&copy)?)?.1, expected.revision.unsigned_abs());
    Ok(())
}

/// Turns authentication on, with a user that may only read, and one that is known by certificates alone.
async fn fill_auth(client: &mut Client) -> Result<()> {
    let auth = &mut client.auth.clone();
    auth.user_add(user_add("root", "secret")).await?;
    let role = |name: &str| AuthRoleAddRequest { name: name.into() };
    auth.role_add(role("root")).await?;
    auth.user_grant_role(grant_role("root", "root")).await?;
    auth.role_add(role("reader")).await?;
    auth.role_grant_permission(grant("reader", 0, ("key/", "key0")))
        .await?;
    auth.role_grant_permission(grant("reader", 2, ("own", "")))
        .await?;
    auth.user_add(user_add("ann", "word")).await?;
    auth.user_grant_role(grant_role("ann", "reader")).await?;
    let nobody = AuthUserAddRequest {
        name: "nobody".into(),
        options: Some(UserAddOptions { no_password: true }),
        ..Default::default()
    };
    auth.user_add(nobody).await?;
    auth.auth_enable(AuthEnableRequest {}).await?;
    Ok(())
}

/// What its users may do, in words.
async fn see_auth(client: &mut Client) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    let root = authenticate(client, "root", "secret").await?.into_inner();
    let ann = authenticate(client, "ann", "word").await?.into_inner();
    for (name, password) in [("root", "word"), ("nobody", ""), ("stranger", "")] {
        let refused = authenticate(client, name, password).await.err();
        let refused = refused.with_context(|| format!("{name} was let in"))?;
        seen.push(format!("{name}: {}", refused.message()));
    }
    for (token, key) in [
        (&ann, "key/1"),
        (&ann, "txn/a"),
        (&ann, "own"),
        (&root, "txn/a"),
    ] {
        for request in [true, false] {
            let said = if request {
                let put = put_of(key.into(), "by somebody".into(), 0);
                client.kv.put(signed(Some(token), put)).await.map(drop)
            } else {
                let range = RangeRequest {
                    key: key.to_owned().into(),
                    ..Default::default()
                };
                client.kv.range(signed(Some(token), range)).await.map(drop)
            };
            seen.push(format!(
                "{key} {request}: {:?}",
                said.map_err(|refusal| refusal.code())
            ));
        }
    }
    for token in [None, Some(ann.as_str())] {
        let asked = client
            .maintenance
            .snapshot(signed(token, SnapshotRequest {}))
            .await;
        let refusal = match asked {
            Err(refusal) => refusal,
            Ok(stream) => {
                let refused = stream.into_inner().message().await.err();
                refused.context("a snapshot for somebody")?
            }
        };
        // etcd 3.4.23 does not put its name before these.
        let (_, why) = refusal.message().split_once(": ").context("a name")?;
        seen.push(format!("snapshot: {why}"));
    }
    let roles = signed(
        Some(&root),
        AuthRoleGetRequest {
            role: "reader".into(),
        },
    );
    seen.push(format!(
        "{:?}",
        client.auth.role_get(roles).await?.into_inner().perm
    ));
    Ok(seen)
}

async fn users_come_along(from: Target, to: Target) -> Result<()> {
    let source = Cluster::start(&from, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    fill_auth(&mut client).await?;
    let file = source.dir().join("with-users.db");
    let endpoint = source.members[0].client_url();
    let user = ["--user", "root:secret", "--endpoints", &endpoint];
    let arguments = [&user[..], &["snapshot", "save", text(&file)]].concat();
    succeed(&etcdctl()?, &arguments)?;
    let expected = see_auth(&mut client).await?;
    let mut copy = Cluster::prepare(&to, &Options::default())?;
    restore(&copy, &file)?;
    copy.members[0].start()?;
    let mut client = Client::lazy(&copy.members[0].client_url())?;
    let polled = async {
        while authenticate(&mut client, "root", "secret").await.is_err() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    timeout(ANSWER_TIMEOUT, polled).await?;
    assert_eq!(see_auth(&mut client).await?, expected);
    Ok(())
}

#[tokio::test]
async fn users_of_etcd_come_along_to_mainstay() -> Result<()> {
    users_come_along(Target::etcd()?, Target::mainstay()?).await
}

#[tokio::test]
async fn users_of_mainstay_come_along_to_etcd() -> Result<()> {
    users_come_along(Target::mainstay()?, Target::etcd()?).await
}

#[tokio::test]
async fn a_copy_of_etcds_own_database_is_restored_without_a_checksum() -> Result<()> {
    let mut source = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    let expected = see(&mut client).await?;
    source.members[0].terminate().await?;
    let database = source.members[0].data_dir.join("member/snap/db");
    let target = Target::mainstay()?;
    let mut cluster = Cluster::prepare(&target, &Options::default())?;
    assert!(restore(&cluster, &database).is_err());
    let member = &cluster.members[0];
    let mut arguments = arguments(&["ctl"], &database, member);
    arguments.push("--skip-hash-check=true");
    succeed(&mainstay()?, &arguments)?;
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    assert_eq!(see(&mut client).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_bumped_revision_ends_watches_from_before() -> Result<()> {
    let source = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    let before = see(&mut client).await?;
    let file = save(&source)?;
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let member = &cluster.members[0];
    let mut arguments = arguments(&["ctl"], &file, member);
    arguments.extend(["--bump-revision", "1000000"]);
    let refused = run(&mainstay()?, &arguments)?;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("--mark-compacted required"), "{why}");
    arguments.push("--mark-compacted");
    succeed(&mainstay()?, &arguments)?;
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    assert_eq!(all(&mut client, 0).await?, before.keys);
    let error = events(&mut client, before.revision, before.revision).await;
    assert!(format!("{:#}", error.unwrap_err()).contains("canceled"));
    let revision = client.put("after", "").await?;
    assert_eq!(revision, before.revision + 1_000_001);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_and_leaves_nothing() -> Result<()> {
    let source = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    fill(&mut client).await?;
    let file = save(&source)?;
    let whole = fs::read(&file)?;
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let garbage: Vec<u8> = (0..100_032_u32).map(|number| number as u8).collect();
    let prepared = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    for (bytes, why) in [
        (damaged, "expected sha256 ["),
        (whole[..whole.len() - 4096].to_vec(), "expected sha256 ["),
        (
            whole[..whole.len() - 32].to_vec(),
            "snapshot missing hash but --skip-hash-check=false",
        ),
        (garbage, "snapshot missing hash"),
        (Vec::new(), "snapshot missing hash"),
    ] {
        fs::write(&file, bytes)?;
        let error = restore(&prepared, &file).unwrap_err();
        assert!(format!("{error:#}").contains(why), "{error:#}");
        assert!(!prepared.members[0].data_dir.exists());
    }
    let status = run(&mainstay()?, &["ctl", "snapshot", "status", text(&file)])?;
    let why = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(
        !status.status.success() && why.contains("it is no bbolt file"),
        "{why}"
    );
    Ok(())
}

#[tokio::test]
async fn nothing_starts_on_a_restore_that_was_cut_off() -> Result<()> {
    let source = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    fill(&mut source.client(0).await?).await?;
    let file = save(&source)?;
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    restore(&cluster, &file)?;
    // As it is before its last step.
    let member = &mut cluster.members[0];
    fs::write(member.data_dir.join("member/restoring"), "")?;
    member.start()?;
    let ended = member.wait_exit().await?;
    assert_eq!(ended.code(), Some(1));
    assert!(member.log().contains("is not finished"), "{}", member.log());
    Ok(())
}

#[tokio::test]
async fn snapshots_beyond_the_places_for_them_are_refused() -> Result<()> {
    let source = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    for number in 0..40 {
        client
            .put(&number.to_string(), &"x".repeat(1_000_000))
            .await?;
    }
    // Whoever reads nothing more keeps its place; connections of their own, so that each has its window.
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = source.client(0).await?;
        let mut messages = client
            .maintenance
            .snapshot(SnapshotRequest {})
            .await?
            .into_inner();
        messages.message().await?.context("a first message")?;
        open.push((client, messages));
    }
    let refused = client
        .maintenance
        .snapshot(SnapshotRequest {})
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused.message().contains("too many snapshots"),
        "{refused}"
    );
    // Their places come back when they leave.
    drop(open);
    let polled = async {
        while client
            .maintenance
            .snapshot(SnapshotRequest {})
            .await
            .is_err()
        {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    timeout(ANSWER_TIMEOUT, polled).await?;
    // No file of theirs is left, once the last one's has lost its name.
    let state = source.members[0].data_dir.join("member/state");
    let names = || -> Result<BTreeSet<OsString>> {
        let entries = fs::read_dir(&state)?;
        Ok(entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<std::io::Result<_>>()?)
    };
    let polled = async {
        while names()? != ["0", "CURRENT"].map(OsString::from).into() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    timeout(ANSWER_TIMEOUT, polled).await??;
    Ok(())
}
