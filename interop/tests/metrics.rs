//! The metrics that etcd's dashboards and alerts are made of, on three members under a little load.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use interop::client::ANSWER_TIMEOUT;
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::http;
use interop::target::Target;
use proto::etcdserverpb::PutRequest;
use tokio::time::{Instant, sleep};

/// Where a value is to be found that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nonzero {
    /// On every member.
    Everywhere,
    /// On one member at least.
    Somewhere,
    /// Zero is what a healthy cluster has.
    Not,
}

use Nonzero::{Everywhere, Not, Somewhere};

const CALL: &[&str] = &["grpc_method", "grpc_service", "grpc_type"];

/// Names of etcd's mixin with type and labels. Of a histogram the count is looked at.
const MIXIN: &[(&str, &str, &[&str], Nonzero)] = &[
    ("etcd_server_has_leader", "gauge", &[], Everywhere),
    (
        "etcd_server_leader_changes_seen_total",
        "counter",
        &[],
        Everywhere,
    ),
    ("etcd_server_proposals_failed_total", "counter", &[], Not),
    ("etcd_server_proposals_pending", "gauge", &[], Not),
    (
        "etcd_server_proposals_committed_total",
        "gauge",
        &[],
        Everywhere,
    ),
    (
        "etcd_server_proposals_applied_total",
        "gauge",
        &[],
        Everywhere,
    ),
    (
        "etcd_disk_wal_fsync_duration_seconds",
        "histogram",
        &[],
        Everywhere,
    ),
    (
        "etcd_disk_backend_commit_duration_seconds",
        "histogram",
        &[],
        Everywhere,
    ),
    ("etcd_mvcc_db_total_size_in_bytes", "gauge", &[], Everywhere),
    (
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "gauge",
        &[],
        Everywhere,
    ),
    ("etcd_server_quota_backend_bytes", "gauge", &[], Everywhere),
    (
        "etcd_network_peer_sent_failures_total",
        "counter",
        &["To"],
        Not,
    ),
    (
        "etcd_network_peer_sent_bytes_total",
        "counter",
        &["To"],
        Everywhere,
    ),
    (
        "etcd_network_peer_received_bytes_total",
        "counter",
        &["From"],
        Everywhere,
    ),
    (
        "etcd_network_peer_round_trip_time_seconds",
        "histogram",
        &["To"],
        Everywhere,
    ),
    (
        "etcd_network_client_grpc_sent_bytes_total",
        "counter",
        &[],
        Everywhere,
    ),
    (
        "etcd_network_client_grpc_received_bytes_total",
        "counter",
        &[],
        Everywhere,
    ),
    ("grpc_server_started_total", "counter", CALL, Somewhere),
    (
        "grpc_server_handled_total",
        "counter",
        &["grpc_code", "grpc_method", "grpc_service", "grpc_type"],
        Everywhere,
    ),
    ("grpc_server_handling_seconds", "histogram", CALL, Somewhere),
    ("process_resident_memory_bytes", "gauge", &[], Everywhere),
];

/// One page of metrics.
struct Page {
    kinds: BTreeMap<String, String>,
    /// Names, labels and values.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Page {
    fn read(port: u16) -> Result<Page> {
        let text = http::get(port, "/metrics")?.body;
        let mut page = Page {
            kinds: BTreeMap::new(),
            samples: Vec::new(),
        };
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').context(line.to_owned())?;
                let before = page.kinds.insert(name.to_owned(), kind.to_owned());
                ensure!(before.is_none(), "{name} stands there twice");
            } else if !line.starts_with('#') {
                page.samples.push(sample(line)?);
            }
        }
        Ok(page)
    }

    /// All samples of a name together.
    fn sum(&self, name: &str) -> f64 {
        let samples = self.samples.iter().filter(|sample| sample.0 == name);
        samples.map(|sample| sample.2).sum()
    }

    /// What is wrong with the sample of a name on this page; `is_nonzero` when a value that is not zero is wanted.
    fn fault(&self, entry: &(&str, &str, &[&str], Nonzero), is_nonzero: bool) -> Option<String> {
        let (name, kind, labels, _) = entry;
        if self.kinds.get(*name).map(String::as_str) != Some(kind) {
            return Some(format!("{name} is no {kind}: {:?}", self.kinds.get(*name)));
        }
        let sampled = if *kind == "histogram" {
            format!("{name}_count")
        } else {
            (*name).to_owned()
        };
        let samples: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.0 == sampled)
            .collect();
        let mut wanted: Vec<&str> = labels.to_vec();
        wanted.sort_unstable();
        let with_labels = |sample: &&(String, BTreeMap<String, String>, f64)| {
            sample
                .1
                .keys()
                .map(String::as_str)
                .eq(wanted.iter().copied())
        };
        if samples.is_empty() || !samples.iter().all(with_labels) {
            return Some(format!(
                "{sampled} has other labels than {labels:?}: {samples:?}"
            ));
        }
        let has_value = samples.iter().any(|sample| sample.2 > 0.0);
        (is_nonzero && !has_value).then(|| format!("{sampled} is zero"))
    }
}

fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64)> {
    let (name, value) = line.rsplit_once(' ').context(line.to_owned())?;
    let (name, labels) = match name.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end_matches('}')),
        None => (name, ""),
    };
    let labels = labels.split(',').filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (label, value) = label.split_once('=').context(line.to_owned())?;
        Ok((label.to_owned(), value.trim_matches('"').to_owned()))
    });
    Ok((
        name.to_owned(),
        labels.collect::<Result<_>>()?,
        value.parse()?,
    ))
}

/// Everything that is not yet as it should be.
fn faults(cluster: &Cluster) -> Result<Vec<String>> {
    let pages = cluster
        .members
        .iter()
        .map(|member| Page::read(member.client_port));
    let pages: Vec<Page> = pages.collect::<Result<_>>()?;
    let mut faults = Vec::new();
    for entry in MIXIN {
        let on_pages = pages
            .iter()
            .map(|page| page.fault(entry, entry.3 == Everywhere));
        faults.extend(on_pages.flatten());
        if entry.3 == Somewhere && pages.iter().all(|page| page.fault(entry, true).is_some()) {
            faults.push(format!("{} is zero on all members", entry.0));
        }
    }
    Ok(faults)
}

/// Returns once there is no fault; says which are left when it takes too long.
async fn settled(look: impl Fn() -> Result<Vec<String>>) -> Result<()> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    loop {
        let faults = look()?;
        if faults.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{faults:#?}");
        sleep(10 * POLL_INTERVAL).await;
    }
}

#[tokio::test]
async fn dashboards_find_what_they_are_made_of() -> Result<()> {
    let options = Options {
        members: 3,
        in_memory: true,
        flags: vec!["--metrics=extensive".to_owned()],
    };
    let mut cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    for index in 0..3 {
        let mut client = cluster.client(index).await?;
        for number in 0..20 {
            let put = PutRequest {
                key: format!("key-{number}").into(),
                value: vec![0; 1000].into(),
                ..Default::default()
            };
            client.kv.put(put).await?;
        }
    }
    // Members are asked for their round trips every few seconds.
    settled(|| faults(&cluster)).await?;
    settled(|| sizes(&cluster)).await?;
    cluster.members[2].kill()?;
    let port = cluster.members[0].client_port;
    settled(|| {
        let failures = Page::read(port)?.sum("etcd_network_peer_sent_failures_total");
        Ok(Vec::from_iter(
            (failures == 0.0).then(|| "no failure is counted".to_owned()),
        ))
    })
    .await
}

/// What is not yet of the size of the load: sixty values of a thousand bytes, each for two other members.
fn sizes(cluster: &Cluster) -> Result<Vec<String>> {
    let mut received = 0.0;
    let mut faults = Vec::new();
    for member in &cluster.members {
        let page = Page::read(member.client_port)?;
        received += page.sum("etcd_network_peer_received_bytes_total");
        for (name, least) in [
            ("etcd_network_known_peers", 3.0),
            ("process_start_time_seconds", 1e9),
            ("process_cpu_seconds_total", 0.01),
            ("os_fd_limit", 10.0),
        ] {
            if page.sum(name) < least {
                faults.push(format!("{name} is {}", page.sum(name)));
            }
        }
    }
    if !(120_000.0..2_000_000.0).contains(&received) {
        faults.push(format!("{received} bytes were received"));
    }
    Ok(faults)
}

/// Without the flag no times of methods are kept, as in etcd.
#[tokio::test]
async fn times_of_methods_are_kept_on_demand() -> Result<()> {
    let options = Options {
        in_memory: true,
        ..Options::default()
    };
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = Cluster::start(&target, &options).await?;
        let page = Page::read(cluster.members[0].client_port)?;
        assert!(!page.kinds.contains_key("grpc_server_handling_seconds"));
    }
    Ok(())
}
