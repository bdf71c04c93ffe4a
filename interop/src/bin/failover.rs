//! Kills the leader under load again and again, and measures the time without acknowledged writes.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use interop::cluster::{Cluster, Options};
use interop::load::{Load, check_nothing_missing, longest_gap};
use interop::target::Target;
use tokio::time::Instant;

/// Acknowledged writes before and after each kill.
const WRITES_AROUND_A_KILL: usize = 300;
const WRITERS: usize = 8;
const VALUE_BYTES: usize = 256;

/// Time without acknowledged writes when the leader is killed.
#[derive(Parser)]
struct Arguments {
    /// Server to measure: mainstay or etcd.
    #[arg(long, default_value = "mainstay")]
    target: String,
    #[arg(long, default_value_t = 20)]
    trials: usize,
    /// Flags for every member, for example --flag=--election-timeout=500.
    #[arg(long = "flag", allow_hyphen_values = true)]
    flags: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let target = Target::named(&arguments.target)?;
    let options = Options {
        members: 3,
        flags: arguments.flags,
        in_memory: false,
    };
    let mut cluster = Cluster::start(&target, &options).await?;
    let mut gaps = Vec::new();
    let mut load = Load::start_impatient(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    for trial in 1..=arguments.trials {
        load.wait_for_more(WRITES_AROUND_A_KILL).await?;
        let leader = cluster.wait_leader().await?;
        let killed = Instant::now();
        cluster.members[leader].kill()?;
        load.wait_for_more(WRITES_AROUND_A_KILL).await?;
        let gap = longest_gap(&load.times(), killed);
        println!(
            "trial {trial}: {} killed, {} ms without a write",
            cluster.members[leader].name,
            gap.as_millis()
        );
        gaps.push(gap);
        cluster.start_all().await?;
    }
    let writes = load.stop().await;
    for index in 0..cluster.members.len() {
        check_nothing_missing(&mut cluster.client(index).await?, &writes).await?;
    }
    report(&target, gaps, writes.len());
    Ok(())
}

fn report(target: &Target, mut gaps: Vec<Duration>, writes: usize) {
    gaps.sort();
    let at = |percent: usize| gaps[(gaps.len() * percent).div_ceil(100).max(1) - 1].as_millis();
    println!(
        "{}: {} kills, p50 {} ms, p99 {} ms, max {} ms; none of {writes} acknowledged writes is missing",
        target.name,
        gaps.len(),
        at(50),
        at(99),
        at(100)
    );
}
