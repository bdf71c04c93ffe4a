//! Every flag of etcd that the store knows, and what it does with it.

/// The values a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Unsigned,
    Signed,
    /// As Go writes one: `1h30m`.
    Duration,
    /// URLs with commas between.
    Urls,
    OneOf(&'static [&'static str]),
}

/// What a flag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Used,
    /// Taken and without effect, for the reason given.
    Ignored(&'static str),
    /// Any value but the default is an error, for the reason given.
    Refused(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    pub(super) role: Role,
    /// One line for `--help`; empty for what is only taken for compatibility.
    pub(super) help: &'static str,
}

const fn used(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        kind,
        default,
        role: Role::Used,
        help,
    }
}

const fn ignored(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Flag {
    Flag {
        name,
        kind,
        default,
        role: Role::Ignored(why),
        help: "",
    }
}

const fn refused(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Flag {
    Flag {
        name,
        kind,
        default,
        role: Role::Refused(why),
        help: "",
    }
}

const NO_TLS: &str = "TLS is not available in this build";
const NO_DISCOVERY: &str = "discovery is not available: name the members in --initial-cluster";
const NO_TRACING: &str = "distributed tracing is not available in this build";
const NO_BBOLT: &str = "it tunes bbolt, which this store does not use";
const NO_WARNINGS: &str = "requests are measured, not warned about one by one";
const NO_CHECKER: &str = "replicas are not compared in the background in this build";
const NO_DEFRAGMENTING: &str = "this store is never defragmented";
const OWN_FILES: &str = "the store recycles its own files";
const OWN_PACE: &str = "compaction in the background sets its own pace";
const ALWAYS_ON: &str = "remaining lease times are always replicated";
const ONE_SHAPE: &str = "there is one implementation";

// A table: one line a flag.
#[rustfmt::skip]
pub(super) const FLAGS: &[Flag] = &[
    used("name", Kind::Text, "default", "Name of this member, as --initial-cluster has it."),
    used("data-dir", Kind::Text, "", "Data folder; ${name}.etcd when not given."),
    used("wal-dir", Kind::Text, "", "Folder of the log; inside the data folder when not given."),
    used("listen-client-urls", Kind::Urls, "http://localhost:2379", "Where to take client requests."),
    used("listen-client-http-urls", Kind::Urls, "", "Where to serve HTTP/1 alone; with the client requests when not given."),
    used("listen-peer-urls", Kind::Urls, "http://localhost:2380", "Where to take messages of other members."),
    used("listen-metrics-urls", Kind::Urls, "", "More places for /metrics and the health pages."),
    used("advertise-client-urls", Kind::Urls, "http://localhost:2379", "Client URLs told to others; must be given when --listen-client-urls is."),
    used("initial-advertise-peer-urls", Kind::Urls, "http://localhost:2380", "Peer URLs of this member in --initial-cluster."),
    used("initial-cluster", Kind::Text, "", "Every member as name=peer-url, with commas between."),
    used("initial-cluster-state", Kind::OneOf(&["new", "existing"]),
        "new",
        "Whether the cluster is made now.",
    ),
    used("initial-cluster-token", Kind::Text, "etcd-cluster", "Sets clusters with the same URLs apart."),
    used("heartbeat-interval", Kind::Unsigned, "100", "Milliseconds between the leader's heartbeats."),
    used("election-timeout", Kind::Unsigned, "1000", "Milliseconds without a leader until an election; at least five heartbeats."),
    used("initial-election-tick-advance", Kind::Bool, "true", "Whether a starting member may call the first election early."),
    used("pre-vote", Kind::Bool, "true", "Whether a member asks before it raises the term."),
    used("strict-reconfig-check", Kind::Bool, "true", "Whether member changes that would lose the quorum are refused."),
    used("max-learners", Kind::Unsigned, "1", "Most learners at a time."),
    used("snapshot-count", Kind::Unsigned, "10000", "Log entries between snapshots; 0 is the default."),
    used("snapshot-catchup-entries", Kind::Unsigned, "5000", "Log entries kept behind a snapshot for slow members; 0 is the default."),
    used("quota-backend-bytes", Kind::Signed, "0", "Most live bytes before the space alarm; 0 is 2 GiB, less than 0 no quota."),
    used("auto-compaction-mode", Kind::Text, "periodic", "periodic or revision."),
    used("auto-compaction-retention", Kind::Text, "0", "History to keep: a duration, hours, or a number of revisions; 0 is all."),
    used("max-txn-ops", Kind::Unsigned, "128", "Most operations in a transaction."),
    used("max-request-bytes", Kind::Unsigned, "1572864", "Largest request; at most 25165824 (24 MiB)."),
    used("max-concurrent-streams", Kind::Unsigned, "4294967295", "Most streams on one connection."),
    used("grpc-keepalive-min-time", Kind::Duration, "5s", "Shortest time between a client's pings."),
    used("grpc-keepalive-interval", Kind::Duration, "2h0m0s", "Time between pings to an idle client; 0 for none."),
    used("grpc-keepalive-timeout", Kind::Duration, "20s", "Time a client has for the answer to a ping."),
    used("watch-progress-notify-interval", Kind::Duration, "10m0s", "Time between progress messages of an idle watch, at least 100ms; 0 is the default."),
    used("enable-grpc-gateway", Kind::Bool, "true", "Whether JSON requests under /v3/ are served."),
    used("cors", Kind::Text, "*", "Origins that may ask from a browser, with commas between; * is all."),
    used("host-whitelist", Kind::Text, "*", "Host names of HTTP requests without TLS, with commas between; * is all."),
    used("metrics", Kind::OneOf(&["basic", "extensive"]),
        "basic",
        "basic, or extensive for a histogram of times for every method too.",
    ),
    used("log-level", Kind::Text, "info", "debug, info, warn or error."),
    used("log-format", Kind::OneOf(&["json", "console"]),
        "json",
        "json or console.",
    ),
    used("log-outputs", Kind::Text, "default", "default, stderr, stdout or files, with commas between."),
    used("version", Kind::Bool, "false", "Print the version and exit."),
    // Clustering that is not for a static cluster.
    refused("config-file", Kind::Text, "", "a configuration file is not read: give flags or ETCD_ variables"),
    refused("force-new-cluster", Kind::Bool, "false", "a cluster is not forced in this build"),
    refused("discovery", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-token", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-endpoints", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-srv", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-srv-name", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-proxy", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-fallback", Kind::Text, "exit", NO_DISCOVERY),
    refused("proxy", Kind::OneOf(&["off", "readonly", "on"]),
        "off",
        "the v2 proxy is gone",
    ),
    ignored("enable-v2", Kind::Bool, "false", "etcd's v2 API is gone"),
    // Security.
    refused("cert-file", Kind::Text, "", NO_TLS),
    refused("key-file", Kind::Text, "", NO_TLS),
    refused("client-cert-file", Kind::Text, "", NO_TLS),
    refused("client-key-file", Kind::Text, "", NO_TLS),
    refused("client-cert-auth", Kind::Bool, "false", NO_TLS),
    refused("client-crl-file", Kind::Text, "", NO_TLS),
    refused("client-cert-allowed-hostname", Kind::Text, "", NO_TLS),
    refused("trusted-ca-file", Kind::Text, "", NO_TLS),
    refused("auto-tls", Kind::Bool, "false", NO_TLS),
    refused("peer-cert-file", Kind::Text, "", NO_TLS),
    refused("peer-key-file", Kind::Text, "", NO_TLS),
    refused("peer-client-cert-file", Kind::Text, "", NO_TLS),
    refused("peer-client-key-file", Kind::Text, "", NO_TLS),
    refused("peer-client-cert-auth", Kind::Bool, "false", NO_TLS),
    refused("peer-trusted-ca-file", Kind::Text, "", NO_TLS),
    refused("peer-auto-tls", Kind::Bool, "false", NO_TLS),
    refused("peer-crl-file", Kind::Text, "", NO_TLS),
    refused("peer-cert-allowed-cn", Kind::Text, "", NO_TLS),
    refused("peer-cert-allowed-hostname", Kind::Text, "", NO_TLS),
    refused("peer-skip-client-san-verification", Kind::Bool, "false", NO_TLS),
    refused("cipher-suites", Kind::Text, "", NO_TLS),
    ignored("self-signed-cert-validity", Kind::Unsigned, "1", NO_TLS),
    ignored("tls-min-version", Kind::Text, "TLS1.2", NO_TLS),
    ignored("tls-max-version", Kind::Text, "", NO_TLS),
    refused("auth-token", Kind::Text, "simple", "only simple tokens are known"),
    ignored("auth-token-ttl", Kind::Unsigned, "300", "authentication is not available in this build"),
    ignored("bcrypt-cost", Kind::Unsigned, "10", "authentication is not available in this build"),
    // Logs and monitoring.
    refused("logger", Kind::Text, "zap", "the only logger is zap"),
    ignored("log-package-levels", Kind::Text, "", "there is one level: --log-level"),
    ignored("debug", Kind::Bool, "false", "there is one level: --log-level"),
    refused("enable-log-rotation", Kind::Bool, "false", "log files are not rotated in this build"),
    ignored("log-rotation-config-json", Kind::Text, "", "log files are not rotated in this build"),
    ignored("enable-pprof", Kind::Bool, "false", "pprof profiles Go programs"),
    ignored("warning-apply-duration", Kind::Duration, "100ms", NO_WARNINGS),
    ignored("warning-unary-request-duration", Kind::Duration, "300ms", NO_WARNINGS),
    refused("enable-distributed-tracing", Kind::Bool, "false", NO_TRACING),
    ignored("distributed-tracing-address", Kind::Text, "localhost:4317", NO_TRACING),
    ignored("distributed-tracing-service-name", Kind::Text, "etcd", NO_TRACING),
    ignored("distributed-tracing-instance-id", Kind::Text, "", NO_TRACING),
    ignored("distributed-tracing-sampling-rate", Kind::Unsigned, "0", NO_TRACING),
    // Tuning of parts that are not there.
    ignored("max-wals", Kind::Unsigned, "5", OWN_FILES),
    ignored("max-snapshots", Kind::Unsigned, "5", OWN_FILES),
    ignored("memory-mlock", Kind::Bool, "false", NO_BBOLT),
    ignored("backend-bbolt-freelist-type", Kind::Text, "map", NO_BBOLT),
    ignored("backend-batch-interval", Kind::Text, "100ms", NO_BBOLT),
    ignored("backend-batch-limit", Kind::Signed, "10000", NO_BBOLT),
    ignored("bootstrap-defrag-threshold-megabytes", Kind::Unsigned, "0", NO_DEFRAGMENTING),
    ignored("stop-grpc-service-on-defrag", Kind::Bool, "false", NO_DEFRAGMENTING),
    ignored("compaction-batch-limit", Kind::Signed, "1000", OWN_PACE),
    ignored("compaction-sleep-interval", Kind::Duration, "10ms", OWN_PACE),
    ignored("initial-corrupt-check", Kind::Bool, "false", NO_CHECKER),
    ignored("corrupt-check-time", Kind::Duration, "0s", NO_CHECKER),
    ignored("compact-hash-check-enabled", Kind::Bool, "false", NO_CHECKER),
    ignored("compact-hash-check-time", Kind::Duration, "1m0s", NO_CHECKER),
    ignored("enable-lease-checkpoint", Kind::Bool, "false", ALWAYS_ON),
    ignored("enable-lease-checkpoint-persist", Kind::Bool, "false", ALWAYS_ON),
    ignored("txn-mode-write-with-shared-buffer", Kind::Bool, "true", ONE_SHAPE),
    ignored("set-member-localaddr", Kind::Bool, "false", "the system picks the local address of a connection"),
    ignored("feature-gates", Kind::Text, "", "there are no feature gates"),
    ignored("downgrade-check-time", Kind::Duration, "5s", "there is no downgrade to watch"),
    ignored("socket-reuse-port", Kind::Bool, "false", "the port belongs to one process"),
    ignored("socket-reuse-address", Kind::Bool, "false", "addresses are always reused"),
    ignored("raft-read-timeout", Kind::Duration, "5s", "messages between members have their own limits"),
    ignored("raft-write-timeout", Kind::Duration, "5s", "messages between members have their own limits"),
    refused("unsafe-no-fsync", Kind::Bool, "false", "acknowledged writes are always on disk"),
    ignored("v2-deprecation", Kind::Text, "not-yet", "etcd's v2 API is gone"),
];

/// Flags of etcd 3.6 and older that had this prefix before their name.
pub(super) const EXPERIMENTAL_PREFIX: &str = "experimental-";

const EXPERIMENTAL: &[&str] = &[
    "initial-corrupt-check",
    "corrupt-check-time",
    "compact-hash-check-enabled",
    "compact-hash-check-time",
    "enable-lease-checkpoint",
    "enable-lease-checkpoint-persist",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "peer-skip-client-san-verification",
    "watch-progress-notify-interval",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "txn-mode-write-with-shared-buffer",
    "bootstrap-defrag-threshold-megabytes",
    "downgrade-check-time",
    "memory-mlock",
    "snapshot-catchup-entries",
    "snapshot-catch-up-entries",
    "stop-grpc-service-on-defrag",
    "enable-distributed-tracing",
    "distributed-tracing-address",
    "distributed-tracing-service-name",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "max-learners",
    "set-member-localaddr",
];

/// The flag behind a name as it may stand on a command line.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    let plain = match name.strip_prefix(EXPERIMENTAL_PREFIX) {
        Some("snapshot-catch-up-entries") => "snapshot-catchup-entries",
        Some(old) if EXPERIMENTAL.contains(&old) => old,
        Some(_) => return None,
        None => name,
    };
    FLAGS.iter().find(|flag| flag.name == plain)
}

/// Every name that may stand on a command line, the ones of today first.
pub(super) fn names() -> impl Iterator<Item = String> {
    let old = EXPERIMENTAL
        .iter()
        .map(|name| format!("{EXPERIMENTAL_PREFIX}{name}"));
    FLAGS.iter().map(|flag| flag.name.to_owned()).chain(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_all_lead_to_a_flag() {
        let mut seen = std::collections::BTreeSet::new();
        for name in names() {
            assert!(find(&name).is_some(), "{name}");
            assert!(seen.insert(name.clone()), "{name} twice");
        }
        assert!(find("experimental-name").is_none());
    }

    #[test]
    fn used_flags_have_help() {
        for flag in FLAGS {
            assert_eq!(
                flag.role == Role::Used,
                !flag.help.is_empty(),
                "{}",
                flag.name
            );
        }
    }
}
