//! Prometheus' text format.

mod archive;
mod limits;
mod page;
mod traffic;

use std::sync::atomic::Ordering;

use self::page::Page;
use super::{CODES, Metrics, Peer};
use crate::SERVER_VERSION;
use crate::grpc::METHODS;

/// Names of gRPC's codes as grpc-go prints them.
const CODE_NAMES: [&str; CODES] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// What is looked up at the moment of reading instead of being counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges {
    pub(crate) member_id: u64,
    /// The release of etcd that the cluster passes for.
    pub(crate) cluster_version: String,
    pub(crate) has_leader: bool,
    pub(crate) is_leader: bool,
    pub(crate) is_learner: bool,
    pub(crate) committed_index: u64,
    pub(crate) applied_index: u64,
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    pub(crate) key_count: u64,
    pub(crate) live_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) quota_bytes: u64,
    /// Free on the disk with the least, and kept of it.
    pub(crate) disk_bytes: (u64, u64),
    /// How often quota and disk were looked at.
    pub(crate) space_looks: u64,
    pub(crate) watch_streams: i64,
    pub(crate) watchers: i64,
    pub(crate) slow_watchers: i64,
    /// None where the operating system does not tell.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) open_files_max: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
    /// Since 1970.
    pub(crate) start_seconds: Option<f64>,
    /// Ids of all members.
    pub(crate) members: Vec<u64>,
    /// Rules of `--rate-limit`, and requests that each has refused.
    pub(crate) rate_limited: Vec<(String, u64)>,
    /// Alarms that are raised: whose, and etcd's name of what.
    pub(crate) alarms: Vec<(u64, &'static str)>,
}

/// Everything as one page of text.
pub(crate) fn render(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut page = Page::default();
    raft(&mut page, metrics, gauges);
    server(&mut page, metrics, gauges);
    cluster(&mut page, gauges);
    mvcc(&mut page, metrics, gauges);
    watch_and_lease(&mut page, metrics, gauges);
    disk(&mut page, metrics);
    network(&mut page, metrics);
    limits::limits(&mut page, metrics, gauges);
    traffic::traffic(&mut page, metrics);
    calls(&mut page, metrics);
    peers(&mut page, metrics);
    archive::figures(&mut page, metrics, gauges);
    process(&mut page, gauges);
    page.text
}

/// What the operating system tells about this process.
fn process(page: &mut Page, gauges: &Gauges) {
    let whole = |value: Option<u64>| value.map(|value| value.to_string());
    let broken = |value: Option<f64>| value.map(|value| value.to_string());
    let (files, files_max) = (whole(gauges.open_files), whole(gauges.open_files_max));
    for (name, help, kind, value) in [
        (
            "process_resident_memory_bytes",
            "Memory in RAM.",
            "gauge",
            whole(gauges.resident_bytes),
        ),
        (
            "process_virtual_memory_bytes",
            "Memory in addresses.",
            "gauge",
            whole(gauges.virtual_bytes),
        ),
        (
            "process_cpu_seconds_total",
            "Time on processors.",
            "counter",
            broken(gauges.cpu_seconds),
        ),
        (
            "process_start_time_seconds",
            "Start, since 1970.",
            "gauge",
            broken(gauges.start_seconds),
        ),
        (
            "process_open_fds",
            "Open file descriptors.",
            "gauge",
            files.clone(),
        ),
        (
            "process_max_fds",
            "Most open file descriptors.",
            "gauge",
            files_max.clone(),
        ),
        ("os_fd_used", "Open file descriptors.", "gauge", files),
        (
            "os_fd_limit",
            "Most open file descriptors.",
            "gauge",
            files_max,
        ),
    ] {
        if let Some(value) = value {
            page.head(name, help, kind);
            page.sample(name, "", value);
        }
    }
}

fn raft(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    page.gauge(
        "etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.",
        u8::from(gauges.has_leader),
    );
    page.gauge(
        "etcd_server_is_leader",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.",
        u8::from(gauges.is_leader),
    );
    page.gauge(
        "etcd_server_is_learner",
        "Whether or not this member is a learner. 1 if is, 0 otherwise.",
        u8::from(gauges.is_learner),
    );
    page.counter(
        "etcd_server_leader_changes_seen_total",
        "Leader changes seen.",
        &metrics.leader_changes,
    );
    page.counter(
        "mainstay_early_elections_total",
        "Elections called because the leader's process had ended, before its silence would have told.",
        &metrics.early_elections,
    );
    page.counter(
        "mainstay_consistency_checks_total",
        "Comparisons of the members that this one made as their leader.",
        &metrics.consistency_checks,
    );
    page.counter(
        "mainstay_inconsistencies_total",
        "Members that differed from the majority, and comparisons without a majority.",
        &metrics.inconsistencies,
    );
    page.gauge(
        "etcd_server_proposals_committed_total",
        "Consensus proposals committed.",
        gauges.committed_index,
    );
    page.gauge(
        "etcd_server_proposals_applied_total",
        "Consensus proposals applied.",
        gauges.applied_index,
    );
    page.gauge(
        "etcd_server_proposals_pending",
        "Pending proposals to commit.",
        metrics.proposals_pending.load(Ordering::Relaxed),
    );
    page.counter(
        "etcd_server_proposals_failed_total",
        "Failed proposals seen.",
        &metrics.proposals_failed,
    );
    page.counter(
        "etcd_server_read_indexes_failed_total",
        "Failed read indexes seen.",
        &metrics.read_indexes_failed,
    );
}

fn server(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    page.counter(
        "etcd_network_snapshot_receive_success",
        "Snapshots received from other members and applied.",
        &metrics.snapshots_received,
    );
    page.counter(
        "etcd_server_health_success",
        "Successful health checks.",
        &metrics.health_success,
    );
    page.counter(
        "etcd_server_health_failures",
        "Failed health checks.",
        &metrics.health_failures,
    );
    page.gauge(
        "etcd_server_quota_backend_bytes",
        "Quota of the store in bytes.",
        gauges.quota_bytes,
    );
    page.labelled(
        "etcd_server_version",
        "Which version is running. 1 for 'server_version' label with current version.",
        &format!("server_version=\"{SERVER_VERSION}\""),
    );
    page.labelled(
        "etcd_cluster_version",
        "Which version is running. 1 for 'cluster_version' label with current cluster version.",
        &format!("cluster_version=\"{}\"", gauges.cluster_version),
    );
    page.labelled(
        "etcd_server_id",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        &format!("server_id=\"{:x}\"", gauges.member_id),
    );
}

/// A label's value may hold anything once quotes, backslashes and line ends are escaped.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

/// The members, and the alarms that are raised.
fn cluster(page: &mut Page, gauges: &Gauges) {
    let name = "etcd_network_known_peers";
    page.head(name, "Members that are known, this one too.", "gauge");
    for member in &gauges.members {
        let labels = format!("Local=\"{:x}\",Remote=\"{member:x}\"", gauges.member_id);
        page.sample(name, &labels, 1);
    }
    if gauges.alarms.is_empty() {
        return;
    }
    let name = "etcd_debugging_server_alarms";
    page.head(name, "Alarms that are raised, by whose they are.", "gauge");
    for (member, alarm) in &gauges.alarms {
        let labels = format!("alarm_type=\"{alarm}\",server_id=\"{member:x}\"");
        page.sample(name, &labels, 1);
    }
}

fn mvcc(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    page.counter(
        "etcd_mvcc_range_total",
        "Ranges seen by this member.",
        &metrics.ranges,
    );
    page.counter(
        "etcd_mvcc_put_total",
        "Puts seen by this member.",
        &metrics.puts,
    );
    page.counter(
        "etcd_mvcc_delete_total",
        "Deletes seen by this member.",
        &metrics.deletes,
    );
    page.counter(
        "etcd_mvcc_txn_total",
        "Transactions seen by this member.",
        &metrics.txns,
    );
    page.gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "Bytes of the store's files, or of live data while that is more.",
        gauges.total_bytes,
    );
    page.gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Bytes of live data.",
        gauges.live_bytes,
    );
    page.gauge("etcd_debugging_mvcc_keys_total", "Keys.", gauges.key_count);
    page.gauge(
        "etcd_debugging_mvcc_current_revision",
        "Current revision.",
        gauges.revision,
    );
    page.gauge(
        "etcd_debugging_mvcc_compact_revision",
        "Revision of the last compaction.",
        gauges.compact_revision,
    );
    page.counter(
        "etcd_debugging_mvcc_events_total",
        "Events of this member.",
        &metrics.events,
    );
}

fn watch_and_lease(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    page.gauge(
        "etcd_debugging_mvcc_watch_stream_total",
        "Watch streams.",
        gauges.watch_streams,
    );
    page.gauge(
        "etcd_debugging_mvcc_watcher_total",
        "Watchers.",
        gauges.watchers,
    );
    page.gauge(
        "etcd_debugging_mvcc_slow_watcher_total",
        "Watchers that are behind.",
        gauges.slow_watchers,
    );
    page.counter(
        "etcd_debugging_lease_granted_total",
        "Leases granted.",
        &metrics.leases_granted,
    );
    page.counter(
        "etcd_debugging_lease_revoked_total",
        "Leases revoked.",
        &metrics.leases_revoked,
    );
    page.counter(
        "etcd_debugging_lease_renewed_total",
        "Leases renewed.",
        &metrics.leases_renewed,
    );
}

fn disk(page: &mut Page, metrics: &Metrics) {
    page.histogram(
        "etcd_disk_wal_fsync_duration_seconds",
        "Time of one sync of the raft log.",
        &metrics.wal_fsync,
    );
    page.histogram(
        "etcd_disk_backend_commit_duration_seconds",
        "Time of one write to the state machine's store.",
        &metrics.backend_commit,
    );
}

fn network(page: &mut Page, metrics: &Metrics) {
    page.counter(
        "etcd_network_client_grpc_received_bytes_total",
        "Bytes received from clients.",
        &metrics.bytes_received,
    );
    page.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        "Bytes sent to clients.",
        &metrics.bytes_sent,
    );
    page.gauge(
        "mainstay_client_connections",
        "Open connections of clients.",
        metrics.connections.load(Ordering::Relaxed),
    );
    page.counter(
        "mainstay_client_connections_refused_total",
        "Connections closed at once because there were too many.",
        &metrics.connections_refused,
    );
    page.counter(
        "mainstay_spans_exported_total",
        "Spans of traced requests that the collector took.",
        &metrics.spans_exported,
    );
    page.counter(
        "mainstay_spans_dropped_total",
        "Spans of traced requests that were dropped: too many waited, or the collector did not take them.",
        &metrics.spans_dropped,
    );
}

fn calls(page: &mut Page, metrics: &Metrics) {
    page.head(
        "grpc_server_started_total",
        "RPCs started on the server.",
        "counter",
    );
    for method in METHODS {
        let started = metrics.calls(method).started.get();
        page.sample("grpc_server_started_total", &method.labels(), started);
    }
    page.head(
        "grpc_server_handled_total",
        "RPCs completed on the server, by code.",
        "counter",
    );
    for method in METHODS {
        let labels = method.labels();
        for (code, handled) in metrics.calls(method).handled.iter().enumerate() {
            let handled = handled.get();
            // etcd shows a code once it was seen.
            if handled > 0 {
                let labels = format!("grpc_code=\"{}\",{labels}", CODE_NAMES[code]);
                page.sample("grpc_server_handled_total", &labels, handled);
            }
        }
    }
    let timed = |method| Some((method, metrics.calls(method).handling.as_ref()?));
    let mut timed = METHODS.iter().filter_map(timed).peekable();
    if timed.peek().is_some() {
        let help = "Time from the start of an RPC to its end.";
        page.head("grpc_server_handling_seconds", help, "histogram");
    }
    for (method, handling) in timed {
        page.buckets("grpc_server_handling_seconds", &method.labels(), handling);
    }
}

/// Traffic with the other members, each by its id.
fn peers(page: &mut Page, metrics: &Metrics) {
    type Count = fn(&Peer) -> u64;
    let counters: [(&str, &str, &str, Count); 6] = [
        (
            "etcd_network_peer_sent_bytes_total",
            "To",
            "Bytes sent to other members.",
            |peer| peer.sent_bytes.get(),
        ),
        (
            "etcd_network_peer_received_bytes_total",
            "From",
            "Bytes received from other members.",
            |peer| peer.received_bytes.get(),
        ),
        (
            "etcd_network_peer_sent_failures_total",
            "To",
            "Calls to other members that failed.",
            |peer| peer.sent_failures.get(),
        ),
        (
            "etcd_network_peer_received_failures_total",
            "From",
            "Calls of other members that broke.",
            |peer| peer.received_failures.get(),
        ),
        (
            "etcd_network_snapshot_send_success",
            "To",
            "Snapshots sent to other members.",
            |peer| peer.snapshots_sent.get(),
        ),
        (
            "etcd_network_snapshot_send_failures",
            "To",
            "Snapshots that did not reach other members.",
            |peer| peer.snapshots_failed.get(),
        ),
    ];
    let peers = metrics.peers.all();
    if peers.is_empty() {
        return;
    }
    for (name, side, help, count) in counters {
        page.head(name, help, "counter");
        for (member, peer) in &peers {
            page.sample(name, &format!("{side}=\"{member:x}\""), count(peer));
        }
    }
    let name = "etcd_network_peer_round_trip_time_seconds";
    page.head(
        name,
        "Time from a call of another member to its answer.",
        "histogram",
    );
    for (member, peer) in &peers {
        page.buckets(name, &format!("To=\"{member:x}\""), &peer.round_trip);
    }
}
