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
    /// Feature gates as `Name=true`, with commas between.
    Gates,
    /// URLs with commas between.
    Urls,
    /// Rules with semicolons between; given again, they add up.
    RateLimits,
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

const NO_V2: &str = "etcd's v2 API is gone";
const NO_DISCOVERY: &str = "discovery is not available: name the members in --initial-cluster";
const NO_BBOLT: &str = "it tunes bbolt, which this store does not use";
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
    used("alarm-self-clearing", Kind::Bool, "true", "Whether the space alarm is lifted once live bytes are below 95 % of the quota; false waits for alarm disarm."),
    used("disk-reserve-bytes", Kind::Signed, "0", "Free bytes of the disk below which this member takes no puts; 0 is 256 MiB or a twentieth of the disk, less than 0 none."),
    used("bulk-ranges-max", Kind::Unsigned, "0", "Large ranges that run at a time; 0 is twice the processors, and four at least."),
    used("range-answers-bytes-max", Kind::Unsigned, "0", "Memory for the answers of large ranges, at least 16 MiB; 0 is 512 MiB."),
    used("rate-limit", Kind::RateLimits, "", "user=NAME or prefix=KEY with rate=PER-SECOND and burst=REQUESTS, commas between; may be given again."),
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
    used("metric-prefixes", Kind::Text, "", "Prefixes whose traffic is counted, commas between; the first two segments of keys when not given."),
    used("log-level", Kind::Text, "info", "debug, info, warn or error."),
    used("log-format", Kind::OneOf(&["json", "console"]),
        "json",
        "json or console.",
    ),
    used("log-outputs", Kind::Text, "default", "default, stderr, stdout or files, with commas between."),
    used("version", Kind::Bool, "false", "Print the version and exit."),
    used("config-file", Kind::Text, "", "YAML or JSON file to read instead of all flags and variables."),
    used("initial-corrupt-check", Kind::Bool, "false", "Whether this member compares what it has stored with the others before it serves."),
    used("corrupt-check-time", Kind::Duration, "0s", "Time between comparisons of what the members have stored; 0 for none."),
    used("compact-hash-check-enabled", Kind::Bool, "false", "Whether the leader compares what the members have stored after compactions."),
    used("compact-hash-check-time", Kind::Duration, "1m0s", "Time between looks for a compaction to compare after."),
    used("feature-gates", Kind::Gates, "", "InitialCorruptCheck=true, CompactHashCheck=true; other gates of etcd are known and switch nothing."),
    used("socket-reuse-port", Kind::Bool, "false", "Whether other processes may listen on the same ports."),
    // Not etcd's.
    used("archive-dir", Kind::Text, "", "Folder for what is needed to restore any revision; nothing is archived when not given."),
    used("archive-base-interval", Kind::Duration, "1h0m0s", "Time between full snapshots in the archive, at least 1s."),
    used("archive-retention", Kind::Duration, "0s", "How far back a restore from the archive has to reach; 0 keeps everything."),
    // Clustering that is not for a static cluster.
    refused("force-new-cluster", Kind::Bool, "false", "a cluster is not forced in this build"),
    refused("discovery", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-token", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-endpoints", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-srv", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-srv-name", Kind::Text, "", NO_DISCOVERY),
    refused("discovery-proxy", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-dial-timeout", Kind::Duration, "2s", NO_DISCOVERY),
    ignored("discovery-request-timeout", Kind::Duration, "5s", NO_DISCOVERY),
    ignored("discovery-keepalive-time", Kind::Duration, "2s", NO_DISCOVERY),
    ignored("discovery-keepalive-timeout", Kind::Duration, "6s", NO_DISCOVERY),
    ignored("discovery-insecure-transport", Kind::Bool, "true", NO_DISCOVERY),
    ignored("discovery-insecure-skip-tls-verify", Kind::Bool, "false", NO_DISCOVERY),
    ignored("discovery-cert", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-key", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-cacert", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-user", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-password", Kind::Text, "", NO_DISCOVERY),
    ignored("discovery-fallback", Kind::Text, "exit", NO_DISCOVERY),
    refused("proxy", Kind::OneOf(&["off", "readonly", "on"]),
        "off",
        NO_V2,
    ),
    ignored("proxy-failure-wait", Kind::Unsigned, "5000", NO_V2),
    ignored("proxy-refresh-interval", Kind::Unsigned, "30000", NO_V2),
    ignored("proxy-dial-timeout", Kind::Unsigned, "1000", NO_V2),
    ignored("proxy-write-timeout", Kind::Unsigned, "5000", NO_V2),
    ignored("proxy-read-timeout", Kind::Unsigned, "0", NO_V2),
    ignored("enable-v2", Kind::Bool, "false", NO_V2),
    refused("enable-v2v3", Kind::Text, "", NO_V2),
    ignored("v2-deprecation", Kind::Text, "not-yet", NO_V2),
    // Names that etcd takes and forgets since its second major version.
    ignored("cluster-active-size", Kind::Text, "", NO_V2),
    ignored("cluster-remove-delay", Kind::Text, "", NO_V2),
    ignored("cluster-sync-interval", Kind::Text, "", NO_V2),
    ignored("config", Kind::Text, "", NO_V2),
    ignored("force", Kind::Bool, "false", NO_V2),
    ignored("max-result-buffer", Kind::Text, "", NO_V2),
    ignored("max-retry-attempts", Kind::Text, "", NO_V2),
    ignored("peer-heartbeat-interval", Kind::Text, "", NO_V2),
    ignored("peer-election-timeout", Kind::Text, "", NO_V2),
    ignored("retry-interval", Kind::Text, "", NO_V2),
    ignored("snapshot", Kind::Bool, "false", NO_V2),
    ignored("v", Kind::Bool, "false", NO_V2),
    ignored("vv", Kind::Bool, "false", NO_V2),
    // Security.
    used("cert-file", Kind::Text, "", "Certificate of the client ports, with those it was signed by."),
    used("key-file", Kind::Text, "", "Key of that certificate."),
    used("client-cert-file", Kind::Text, "", "Checked to be given with --client-key-file; the store dials no client port."),
    used("client-key-file", Kind::Text, "", "Key of that certificate."),
    used("client-cert-auth", Kind::Bool, "false", "Whether clients have to show a certificate."),
    used("client-crl-file", Kind::Text, "", "Lists of client certificates that were revoked."),
    used("client-cert-allowed-hostname", Kind::Text, "", "Hosts, one of which a client's certificate has to name, with commas between."),
    used("trusted-ca-file", Kind::Text, "", "Who signs the certificates of clients; given alone it asks for them too."),
    used("auto-tls", Kind::Bool, "false", "Whether a certificate for the client ports is made when none is given."),
    used("peer-cert-file", Kind::Text, "", "Certificate of the peer ports, shown to other members too."),
    used("peer-key-file", Kind::Text, "", "Key of that certificate."),
    used("peer-client-cert-file", Kind::Text, "", "Certificate shown to other members; --peer-cert-file when not given."),
    used("peer-client-key-file", Kind::Text, "", "Key of that certificate."),
    used("peer-client-cert-auth", Kind::Bool, "false", "Whether members that connect have to show a certificate."),
    used("peer-trusted-ca-file", Kind::Text, "", "Who signs the certificates of members."),
    used("peer-auto-tls", Kind::Bool, "false", "Whether members make certificates for themselves and encrypt without verifying."),
    used("peer-crl-file", Kind::Text, "", "Lists of members' certificates that were revoked."),
    used("peer-cert-allowed-cn", Kind::Text, "", "Common names, one of which a member's certificate must have, with commas between."),
    used("peer-cert-allowed-hostname", Kind::Text, "", "Hosts, one of which a member's certificate has to name, with commas between."),
    used("peer-skip-client-san-verification", Kind::Bool, "false", "Whether a member may connect from a host that its certificate does not name."),
    used("self-signed-cert-validity", Kind::Unsigned, "1", "Years for which certificates are made."),
    used("cipher-suites", Kind::Text, "", "Suites of TLS 1.2 by Go's names, the most wanted first, with commas between."),
    used("tls-min-version", Kind::Text, "TLS1.2", "TLS1.2 or TLS1.3."),
    used("tls-max-version", Kind::Text, "", "TLS1.2 or TLS1.3; the newest when not given."),
    used("auth-token", Kind::Text, "simple", "Tokens: simple, or jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=5m."),
    used("auth-token-ttl", Kind::Unsigned, "300", "Seconds a simple token is good for after each use."),
    used("bcrypt-cost", Kind::Unsigned, "10", "How slow hashes of passwords are to compute, 4 to 31."),
    // Logs and monitoring.
    refused("logger", Kind::Text, "zap", "the only logger is zap"),
    ignored("log-package-levels", Kind::Text, "", "there is one level: --log-level"),
    ignored("debug", Kind::Bool, "false", "there is one level: --log-level"),
    refused("enable-log-rotation", Kind::Bool, "false", "log files are not rotated in this build"),
    ignored("log-rotation-config-json", Kind::Text, "", "log files are not rotated in this build"),
    ignored("enable-pprof", Kind::Bool, "false", "pprof profiles Go programs"),
    used("warning-apply-duration", Kind::Duration, "100ms", "Time of a read, or of a write until it is applied, above which it is logged."),
    used("warning-unary-request-duration", Kind::Duration, "300ms", "Time of a whole request above which it is logged."),
    used("enable-distributed-tracing", Kind::Bool, "false", "Whether spans of requests are sent to an OpenTelemetry collector."),
    used("distributed-tracing-address", Kind::Text, "localhost:4317", "Host and port where the collector takes OTLP over gRPC, without TLS."),
    used("distributed-tracing-service-name", Kind::Text, "etcd", "Name of the service in spans, the same on every member."),
    used("distributed-tracing-instance-id", Kind::Text, "", "What tells this member's spans from the others'."),
    used("distributed-tracing-sampling-rate", Kind::Signed, "0", "Of a million requests whose senders do not say, how many are traced."),
    // Tuning of parts that are not there.
    ignored("max-wals", Kind::Unsigned, "5", OWN_FILES),
    ignored("max-snapshots", Kind::Unsigned, "5", OWN_FILES),
    ignored("memory-mlock", Kind::Bool, "false", NO_BBOLT),
    ignored("backend-bbolt-freelist-type", Kind::Text, "map", NO_BBOLT),
    ignored("backend-batch-interval", Kind::Duration, "100ms", NO_BBOLT),
    ignored("backend-batch-limit", Kind::Signed, "10000", NO_BBOLT),
    ignored("bootstrap-defrag-threshold-megabytes", Kind::Unsigned, "0", NO_DEFRAGMENTING),
    ignored("stop-grpc-service-on-defrag", Kind::Bool, "false", NO_DEFRAGMENTING),
    ignored("compaction-batch-limit", Kind::Signed, "1000", OWN_PACE),
    ignored("compaction-sleep-interval", Kind::Duration, "10ms", OWN_PACE),
    ignored("enable-lease-checkpoint", Kind::Bool, "false", ALWAYS_ON),
    ignored("enable-lease-checkpoint-persist", Kind::Bool, "false", ALWAYS_ON),
    ignored("txn-mode-write-with-shared-buffer", Kind::Bool, "true", ONE_SHAPE),
    ignored("set-member-localaddr", Kind::Bool, "false", "the system picks the local address of a connection"),
    ignored("downgrade-check-time", Kind::Duration, "5s", "the cluster's version follows a downgrade at once"),
    ignored("socket-reuse-address", Kind::Bool, "false", "addresses are always reused"),
    ignored("raft-read-timeout", Kind::Duration, "5s", "messages between members have their own limits"),
    ignored("raft-write-timeout", Kind::Duration, "5s", "messages between members have their own limits"),
    refused("unsafe-no-fsync", Kind::Bool, "false", "acknowledged writes are always on disk"),
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
    "backend-bbolt-freelist-type",
    "enable-v2v3",
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

    /// Every flag of etcd 3.4, 3.6 and 3.7 is one of ours; 3.5 has none that neither of its neighbours has.
    #[test]
    fn every_flag_of_etcd_is_known() {
        for name in include_str!("etcd_flags.txt").lines() {
            assert!(find(name).is_some(), "{name}");
        }
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
