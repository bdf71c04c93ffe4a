//! What one client or one disk may take, and that the rest goes on: space, memory, lanes, rates, and the log of slow requests.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::target::Target;
use tokio::time::{Instant, sleep};

mod bodies;
mod bulk;
mod rates;
mod slow;
mod space;
mod staleness;
mod traffic;

/// Time for something that the server does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(members: usize, flags: &[&str]) -> Result<Cluster> {
    let options = Options {
        members,
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        in_memory: true,
    };
    Cluster::start(&Target::mainstay()?, &options).await
}

/// Waits until `holds` says so.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            bail!("{what}: not within {PATIENCE:?}");
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// The value of a metric without labels.
fn metric(cluster: &Cluster, name: &str) -> Result<u64> {
    let page = interop::http::get(cluster.members[0].client_port, "/metrics")?.body;
    let line = page.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    let value = line.and_then(|line| line.rsplit(' ').next());
    Ok(value
        .with_context(|| format!("there is no {name}"))?
        .parse()?)
}
