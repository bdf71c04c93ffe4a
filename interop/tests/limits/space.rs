//! The quota and a full disk: what is refused, what still works, and that writes come back by themselves.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use interop::archive::Small;
use interop::client::Client;
use interop::cluster::{Cluster, Options};
use interop::etcdctl::Session;
use interop::snapshots::text;
use interop::target::Target;
use proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest,
    StatusRequest, alarm_request::AlarmAction,
};
use tonic::{Code, Status};

use super::{metric, start, until};

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";
const QUOTA: &str = "--quota-backend-bytes=1048576";
/// The last one that the quota takes leaves less than a twentieth of it.
const VALUE_BYTES: usize = 32 << 10;

fn is_no_space(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message() == NO_SPACE
}

/// Puts until the quota refuses one. Every key begins with `fill/`.
async fn fill(client: &mut Client) -> Result<()> {
    let value = "v".repeat(VALUE_BYTES);
    for number in 0..100 {
        match client.put(&format!("fill/{number:02}"), &value).await {
            Ok(_) => {}
            Err(status) if is_no_space(&status) => return Ok(()),
            Err(status) => return Err(status.into()),
        }
    }
    anyhow::bail!("the quota refuses nothing")
}

async fn alarms(client: &mut Client) -> Result<usize> {
    let ask = AlarmRequest::default();
    Ok(client
        .maintenance
        .alarm(ask)
        .await?
        .into_inner()
        .alarms
        .len())
}

async fn raise(client: &mut Client, member_id: u64) -> Result<()> {
    let raise = AlarmRequest {
        action: AlarmAction::Activate.into(),
        member_id,
        alarm: AlarmType::Nospace.into(),
    };
    client.maintenance.alarm(raise).await?;
    Ok(())
}

/// Once the quota is used up, what gives space back is served, also through a member that does not lead.
async fn free(client: &mut Client, lease: i64) -> Result<()> {
    let refused = client.put("other", "x").await;
    ensure!(refused.is_err_and(|status| is_no_space(&status)));
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    let refused = client.lease.lease_grant(grant).await;
    ensure!(refused.is_err_and(|status| is_no_space(&status)));
    client
        .lease
        .lease_revoke(LeaseRevokeRequest { id: lease })
        .await?;
    client.delete_prefix("fill/").await?;
    let status = client.maintenance.status(StatusRequest {}).await?;
    let revision = status.into_inner().header.context("a header")?.revision;
    let compact = CompactionRequest {
        revision,
        physical: false,
    };
    client.kv.compact(compact).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_was_reached_lets_writes_in_again_when_keys_are_deleted() -> Result<()> {
    let mut options = Options::steady_three();
    options.in_memory = true;
    options.flags.push(QUOTA.to_owned());
    let mut cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let leader = cluster.wait_leader().await?;
    let mut client = cluster.client((leader + 1) % 3).await?;
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };
    let lease = client.lease.lease_grant(grant).await?.into_inner().id;
    // A value that is below the mark and has to stay.
    client.put("kept", "1").await?;
    fill(&mut client).await?;
    ensure!(alarms(&mut client).await? == 1, "the alarm is raised");
    free(&mut client, lease).await?;
    until("a put is taken again", async || {
        match client.put("kept", "2").await {
            Ok(_) => Ok(true),
            Err(status) if is_no_space(&status) => Ok(false),
            Err(status) => Err(status.into()),
        }
    })
    .await?;
    ensure!(alarms(&mut client).await? == 0, "the alarm is lifted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_stays_while_the_quota_is_used_up() -> Result<()> {
    let cluster = start(1, &[QUOTA]).await?;
    let mut client = cluster.client(0).await?;
    fill(&mut client).await?;
    stays_raised(&cluster, &mut client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_of_the_quota_waits_for_the_operator_when_it_is_told_to() -> Result<()> {
    let cluster = start(1, &[QUOTA, "--alarm-self-clearing=false"]).await?;
    let mut client = cluster.client(0).await?;
    fill(&mut client).await?;
    client.delete_prefix("fill/").await?;
    stays_raised(&cluster, &mut client).await?;
    let mut etcdctl = Session::new(cluster.members[0].client_url());
    ensure!(etcdctl.run("alarm list")?.contains("NOSPACE"));
    etcdctl.run("alarm disarm")?;
    client.put("kept", "1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_somebody_raised_waits_for_somebody() -> Result<()> {
    let cluster = start(1, &[QUOTA]).await?;
    let mut client = cluster.client(0).await?;
    let (member, _) = client.member_and_leader().await?;
    raise(&mut client, member).await?;
    stays_raised(&cluster, &mut client).await
}

/// Waits until the store has looked at its space again, and sees that it lifted nothing.
async fn stays_raised(cluster: &Cluster, client: &mut Client) -> Result<()> {
    let looks = || metric(cluster, "mainstay_space_looks_total");
    let before = looks()?;
    until("the store looks", async || Ok(looks()? > before + 2)).await?;
    ensure!(alarms(client).await? == 1, "the alarm stands");
    let refused = client.put("kept", "1").await;
    ensure!(refused.is_err_and(|status| is_no_space(&status)));
    Ok(())
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// Whether a put is refused for want of space.
async fn is_full(client: &mut Client) -> Result<bool> {
    match client.put("k", "v").await {
        Ok(_) => Ok(false),
        Err(status) if is_no_space(&status) => Ok(true),
        Err(status) => Err(status.into()),
    }
}

/// The disk is the member's own. Where nothing may be mounted others use it too, so the ballast is large and the room
/// beside it too.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_no_puts_until_there_is_room() -> Result<()> {
    /// Free above the reserve; several times what a member takes at once.
    const SPARE_BYTES: u64 = 512 << 20;
    /// Reserve and spare are one half each.
    const DISK_SIZE: &str = "1g";
    // Made before the cluster, so that the disk is there until no member runs any more.
    let place = tempfile::tempdir_in("/dev/shm")?;
    let disk = place.path().join("disk");
    let _mounted = Small::mount(disk.clone(), DISK_SIZE)?;
    let reserve = free_bytes(&disk)?.saturating_sub(SPARE_BYTES);
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let member = &mut cluster.members[0];
    member.set_flag("--data-dir", text(&disk.join("data")));
    member.flags.push(format!("--disk-reserve-bytes={reserve}"));
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    client.put("k", "before").await?;
    let ballast_path = disk.join("ballast");
    let ballast = File::create(&ballast_path)?;
    let bytes = free_bytes(&disk)?.saturating_sub(reserve) + SPARE_BYTES / 4;
    rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    until("a put is refused", async || is_full(&mut client).await).await?;
    ensure!(
        alarms(&mut client).await? == 0,
        "it is no affair of the cluster"
    );
    let status = client.maintenance.status(StatusRequest {}).await?;
    let errors = status.into_inner().errors.join(" ");
    ensure!(errors.contains("the disk is nearly full"), "{errors}");
    // What gives space back goes on.
    client.delete_prefix("k").await?;
    drop(ballast);
    std::fs::remove_file(&ballast_path)?;
    until("a put is taken again", async || {
        Ok(!is_full(&mut client).await?)
    })
    .await
}
