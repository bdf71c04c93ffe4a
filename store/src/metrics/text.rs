//! Prometheus' text format.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use super::{CODES, Histogram, Metrics};
use crate::SERVER_VERSION;
use crate::grpc::{CLUSTER_VERSION, METHODS};

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
    pub(crate) watch_streams: i64,
    pub(crate) watchers: i64,
    pub(crate) slow_watchers: i64,
    /// None where the operating system does not tell.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_files: Option<u64>,
}

/// Everything as one page of text.
pub(crate) fn render(metrics: &Metrics, gauges: &Gauges) -> String {
    let mut page = Page::default();
    raft(&mut page, metrics, gauges);
    server(&mut page, metrics, gauges);
    mvcc(&mut page, metrics, gauges);
    watch_and_lease(&mut page, metrics, gauges);
    disk(&mut page, metrics);
    network(&mut page, metrics);
    if let Some(bytes) = gauges.resident_bytes {
        page.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            bytes,
        );
    }
    if let Some(files) = gauges.open_files {
        page.gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            files,
        );
    }
    page.text
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
        &format!("cluster_version=\"{}\"", &CLUSTER_VERSION[..3]),
    );
    page.labelled(
        "etcd_server_id",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        &format!("server_id=\"{:x}\"", gauges.member_id),
    );
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
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("text can always be appended");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, counter: &super::Counter) {
        self.head(name, help, "counter");
        self.sample(name, "", counter.get());
    }

    /// A gauge that is 1 and says something in its label.
    fn labelled(&mut self, name: &str, help: &str, labels: &str) {
        self.head(name, help, "gauge");
        self.sample(name, labels, 1);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        let (buckets, total, sum) = histogram.read();
        self.head(name, help, "histogram");
        for (bound, count) in buckets {
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"));
        }
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {total}"));
        self.line(format_args!("{name}_sum {sum}"));
        self.line(format_args!("{name}_count {total}"));
    }
}
