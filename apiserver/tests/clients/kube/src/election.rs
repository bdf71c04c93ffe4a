//! Two candidates, each a process; the one that leads is killed and the other leads. The crate has no election of its own, so
//! a Lease is taken by hand.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Resource as _};

use crate::Failure;
use crate::faults::{awaited, fault};

const LOCK: &str = "kube-election";
const LEASE_DURATION: Duration = Duration::from_secs(4);
const RETRY_PERIOD: Duration = Duration::from_millis(500);

/// A process that ends with the script.
struct Candidate(Child);

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A candidate for as long as the process is there. Whoever sees a lease unchanged for its whole duration takes it.
pub async fn stand(client: Client, namespace: &str, name: &str) -> Result<(), Failure> {
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let mut seen: (Option<String>, Instant) = (None, Instant::now());
    loop {
        // An error is one attempt that failed; a conflict says that somebody else was first.
        if let Ok(lease) = leases.get_opt(LOCK).await {
            let version = lease
                .as_ref()
                .and_then(|lease| lease.meta().resource_version.clone());
            if version != seen.0 {
                seen = (version, Instant::now());
            }
            let holder = lease
                .as_ref()
                .and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
            let free = lease.is_none() || holder == Some(name) || seen.1.elapsed() > LEASE_DURATION;
            if free {
                let _ = take(&leases, lease, name).await;
            }
        }
        tokio::time::sleep(RETRY_PERIOD).await;
    }
}

async fn take(leases: &Api<Lease>, lease: Option<Lease>, name: &str) -> kube::Result<Lease> {
    let is_new = lease.is_none();
    let mut lease = lease.unwrap_or_default();
    lease.meta_mut().name = Some(LOCK.to_owned());
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(name.to_owned()),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    });
    let post = PostParams::default();
    if is_new {
        leases.create(&post, &lease).await
    } else {
        leases.replace(LOCK, &post, &lease).await
    }
}

pub async fn all_of(client: &Client, namespace: &str) -> Result<(), Failure> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let own = std::env::current_exe()?;
    let start = |name: &str| -> std::io::Result<Candidate> {
        let mut command = Command::new(&own);
        command
            .args(["candidate", namespace, name])
            .stdin(Stdio::null());
        command.spawn().map(Candidate)
    };
    let (one, two) = (start("one")?, start("two")?);
    renewing(&leases, None).await?;
    fault("kill")?;
    let leader = renewing(&leases, None).await?;
    let (killed, other, left) = if leader == "one" {
        (one, "two", two)
    } else {
        (two, "one", one)
    };
    drop(killed);
    renewing(&leases, Some(other)).await?;
    drop(left);
    Ok(())
}

/// Waits until the lease is renewed anew, by the one that is named if one is, and tells by whom.
async fn renewing(leases: &Api<Lease>, by: Option<&str>) -> Result<String, Failure> {
    let version = async || -> kube::Result<Option<String>> {
        Ok(leases
            .get_opt(LOCK)
            .await?
            .and_then(|lease| lease.metadata.resource_version))
    };
    let before = awaited("a lease", version).await?;
    awaited("a leader", async || {
        let lease = leases.get(LOCK).await?;
        let is_newer = lease.metadata.resource_version.as_deref() != Some(before.as_str());
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        Ok(holder.filter(|holder| is_newer && by.is_none_or(|by| by == holder)))
    })
    .await
}
