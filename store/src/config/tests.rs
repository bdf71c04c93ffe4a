//! Command lines in, configuration or error text out.

use std::path::Path;
use std::time::Duration;

use super::*;

fn parse_with(line: &str, environment: &[(&str, &str)]) -> Result<Parsed, ConfigError> {
    let variables = environment
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::parse(line.split_whitespace().map(str::to_owned), variables)
}

fn config_with(line: &str, environment: &[(&str, &str)]) -> Config {
    match parse_with(line, environment) {
        Ok(Parsed::Run(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) fn config(line: &str) -> Config {
    config_with(line, &[])
}

pub(super) fn error(line: &str) -> (u8, String) {
    let error = parse_with(line, &[]).unwrap_err();
    (error.exit_code(), error.to_string())
}

fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

const THREE: &str = "--name b --data-dir /data/b --listen-client-urls http://127.0.0.1:22379 \
    --advertise-client-urls http://127.0.0.1:22379 --listen-peer-urls http://127.0.0.1:22380 \
    --initial-advertise-peer-urls http://127.0.0.1:22380 --initial-cluster-token etcd-cluster-1 \
    --initial-cluster a=http://127.0.0.1:2380,b=http://127.0.0.1:22380,c=http://127.0.0.1:32380 \
    --initial-cluster-state new";

#[test]
fn no_flags_give_etcds_defaults() {
    let config = config("");
    assert_eq!(config.name, "default");
    assert_eq!(config.data_dir, Path::new("default.etcd"));
    assert_eq!(texts(&config.listen_client_urls), ["http://localhost:2379"]);
    assert_eq!(texts(&config.listen_peer_urls), ["http://localhost:2380"]);
    assert_eq!(config.heartbeat_interval, Duration::from_millis(100));
    assert_eq!(config.election_timeout, Duration::from_secs(1));
    assert_eq!(config.snapshot_count, 10_000);
    assert_eq!(config.quota_bytes, Some(2 << 30));
    assert_eq!(config.auto_compaction, AutoCompaction::Off);
    assert_eq!(config.max_txn_ops, 128);
    assert_eq!(config.max_request_bytes, 1_572_864);
    assert_eq!(config.max_concurrent_streams, u32::MAX);
    assert_eq!(
        config.grpc_keepalive_interval,
        Some(Duration::from_secs(7200))
    );
    assert_eq!(
        config.watch_progress_notify_interval,
        Duration::from_secs(600)
    );
    assert_eq!(format!("{:x}", config.cluster_id()), "cdf818194e3a8c32");
    assert!(config.pre_vote && config.strict_reconfig_check);
    config.verify_bootstrap().unwrap();
}

/// The IDs are those that etcd 3.4 logs for the same flags.
#[test]
fn a_cluster_of_three_has_etcds_ids() {
    let config = config(THREE);
    config.verify_bootstrap().unwrap();
    let ids: Vec<String> = config
        .initial_cluster
        .iter()
        .map(|member| format!("{:x}", member.id))
        .collect();
    assert_eq!(
        ids,
        ["bf9071f4639c75cc", "91bc3c398fb3c146", "fd422379fda50e48"]
    );
    assert_eq!(format!("{:x}", config.cluster_id()), "59a05384c9b79ee");
    assert_eq!(config.initial_member().unwrap().name, "b");
    assert!(config.remarks.is_empty() && config.warnings.is_empty());
}

#[test]
fn flags_and_variables_do_the_same() {
    let by_flag = config("--name x --quota-backend-bytes=-1 --pre-vote=false");
    let variables = [
        ("ETCD_NAME", "x"),
        ("ETCD_QUOTA_BACKEND_BYTES", "-1"),
        ("ETCD_PRE_VOTE", "false"),
    ];
    assert_eq!(config_with("", &variables), by_flag);
    assert_eq!(by_flag.quota_bytes, None);
    assert_eq!(by_flag.data_dir, Path::new("x.etcd"));
    assert!(!by_flag.pre_vote);
}

#[test]
fn a_flag_and_its_variable_together_are_fatal() {
    let error = parse_with("--name x", &[("ETCD_NAME", "x")]).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        error.to_string().contains("\"ETCD_NAME\" is shadowed by"),
        "{error}"
    );
}

#[test]
fn an_unknown_variable_only_warns() {
    let config = config_with("", &[("ETCD_FOO", "1"), ("ETCD_UNSUPPORTED_ARCH", "arm64")]);
    assert_eq!(
        config.warnings,
        ["unrecognized environment variable ETCD_FOO"]
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_eq!(
        config_with("", &[("ETCD_HEARTBEAT_INTERVAL", "")]),
        config("")
    );
}

#[test]
fn a_bad_variable_is_named() {
    let error = parse_with("", &[("ETCD_HEARTBEAT_INTERVAL", "x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid value \"x\" for ETCD_HEARTBEAT_INTERVAL: parse error"
    );
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_command_line_that_cannot_be_read_is_a_usage_error() {
    for (line, text) in [
        ("--foo", "flag provided but not defined: -foo"),
        ("--name", "flag needs an argument: -name"),
        ("---x", "bad flag syntax: ---x"),
        (
            "--heartbeat-interval=x",
            "invalid value \"x\" for flag -heartbeat-interval: parse error",
        ),
        (
            "--pre-vote=x",
            "invalid boolean value \"x\" for -pre-vote: parse error",
        ),
        (
            "--listen-client-urls=localhost:1",
            "invalid value \"localhost:1\" for flag -listen-client-urls: \
             URL scheme must be http, https, unix, or unixs: localhost:1",
        ),
        (
            "--initial-cluster-state=x",
            "invalid value \"x\" for flag -initial-cluster-state: invalid value",
        ),
        (
            "--feature-gates=X=true",
            "invalid value \"X=true\" for flag -feature-gates: unrecognized feature gate: X",
        ),
    ] {
        assert_eq!(error(line), (2, text.to_owned()), "{line}");
    }
    let message = parse_with("--foo", &[]).unwrap_err().message();
    assert!(message.starts_with("flag provided but not defined: -foo\nUsage:\n\n  etcd [flags]"));
}

#[test]
fn settings_that_cannot_be_are_refused_with_etcds_texts() {
    for (line, text) in [
        ("x", "\"x\" is not a valid flag"),
        (
            "--heartbeat-interval=300",
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]",
        ),
        (
            "--heartbeat-interval=0",
            "--heartbeat-interval must be >0 (set to 0ms)",
        ),
        (
            "--election-timeout=50001",
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms",
        ),
        (
            "--listen-client-urls=http://127.0.0.1:2391",
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (
            "--listen-peer-urls=http://foo.bar:1",
            "expected IP in URL for binding (http://foo.bar:1)",
        ),
        (
            "--initial-advertise-peer-urls=http://:1",
            "--initial-advertise-peer-urls \"http://:1\" must be \"host:port\" \
             (unexpected empty host (http://:1))",
        ),
        (
            "--auto-compaction-mode=x",
            "unknown auto-compaction-mode \"x\"",
        ),
        (
            "--initial-cluster=xyz",
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ",
        ),
        (
            "--snapshot-catchup-entries=7 --experimental-snapshot-catchup-entries=8",
            "cannot set --experimental-snapshot-catchup-entries and --snapshot-catchup-entries at \
             the same time, please use --snapshot-catchup-entries only",
        ),
        ("--log-level=loud", "unrecognized level: \"loud\""),
        ("--max-txn-ops=0", "--max-txn-ops must be >0 (set to 0)"),
        (
            "--max-concurrent-streams=4294967296",
            "--max-concurrent-streams is out of range (set to 4294967296)",
        ),
        (
            "--advertise-client-urls=",
            "--advertise-client-urls must have at least one URL",
        ),
        (
            "--listen-peer-urls=http://127.0.0.1:1 --listen-metrics-urls=http://127.0.0.1:1",
            "http://127.0.0.1:1 stands in --listen-peer-urls and again in --listen-metrics-urls",
        ),
        (
            "--max-request-bytes=25165825",
            "--max-request-bytes[25165825] is too large: the log takes requests of at most \
             25165824 bytes",
        ),
        (
            "--max-request-bytes=18446744073709551615",
            "--max-request-bytes[18446744073709551615] is too large: the log takes requests of \
             at most 25165824 bytes",
        ),
    ] {
        assert_eq!(error(line), (1, text.to_owned()), "{line}");
    }
}

#[test]
fn a_cluster_that_cannot_be_made_is_refused_when_it_is_made() {
    for (line, text) in [
        (
            "--initial-cluster a=http://127.0.0.1:1",
            "couldn't find local name \"default\" in the initial cluster configuration",
        ),
        (
            "--initial-cluster default=http://127.0.0.1:1",
            "--initial-cluster has default=http://127.0.0.1:1 but missing from \
             --initial-advertise-peer-urls=http://localhost:2380",
        ),
        (
            "--initial-cluster default=http://127.0.0.1:1 \
             --initial-advertise-peer-urls http://127.0.0.1:1,http://127.0.0.1:2",
            "--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from \
             --initial-cluster=default=http://127.0.0.1:1",
        ),
        (
            "--initial-cluster default=http://127.0.0.1:1,b=http://127.0.0.1:1 \
             --initial-advertise-peer-urls http://127.0.0.1:1",
            "initial cluster b=http://127.0.0.1:1,default=http://127.0.0.1:1 has duplicate url",
        ),
    ] {
        let error = config(line).verify_bootstrap().unwrap_err();
        assert_eq!(error.to_string(), text, "{line}");
    }
}

#[test]
fn a_named_member_without_a_cluster_is_alone() {
    let config = config("--name x --initial-advertise-peer-urls http://127.0.0.1:1");
    config.verify_bootstrap().unwrap();
    assert_eq!(config.initial_cluster.len(), 1);
}

#[test]
fn a_name_repeated_in_the_cluster_adds_a_url() {
    let config = config(
        "--initial-cluster default=http://127.0.0.1:2,default=http://127.0.0.1:1 \
         --initial-advertise-peer-urls http://127.0.0.1:1,http://127.0.0.1:2",
    );
    config.verify_bootstrap().unwrap();
    let urls = &config.initial_member().unwrap().peer_urls;
    assert_eq!(texts(urls), ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
}

#[test]
fn an_archive_needs_a_folder_and_keeps_everything_unless_told() {
    assert_eq!(config("").archive, None);
    let archive = config("--archive-dir=/a").archive.unwrap();
    assert_eq!(archive.dir, Path::new("/a"));
    assert_eq!(archive.base_interval, Duration::from_secs(3600));
    assert_eq!(archive.retention, None);
    let archive = config("--archive-dir=/a --archive-base-interval=1s --archive-retention=48h");
    let archive = archive.archive.unwrap();
    assert_eq!(archive.base_interval, Duration::from_secs(1));
    assert_eq!(archive.retention, Some(Duration::from_secs(48 * 3600)));
    for (line, why) in [
        (
            "--archive-retention=1h",
            "--archive-retention needs --archive-dir",
        ),
        (
            "--archive-base-interval=2h",
            "--archive-base-interval needs --archive-dir",
        ),
        (
            "--archive-dir=/a --archive-base-interval=999ms",
            "--archive-base-interval[999ms] should be at least 1000ms",
        ),
    ] {
        let (code, text) = error(line);
        assert_eq!(code, 1);
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn retention_is_hours_a_duration_or_revisions() {
    for (line, expected) in [
        ("", AutoCompaction::Off),
        ("--auto-compaction-retention=0", AutoCompaction::Off),
        ("--auto-compaction-retention=0s", AutoCompaction::Off),
        (
            "--auto-compaction-retention=2",
            AutoCompaction::Periodic(Duration::from_secs(7200)),
        ),
        (
            "--auto-compaction-retention=5m",
            AutoCompaction::Periodic(Duration::from_secs(300)),
        ),
        (
            "--auto-compaction-mode=revision --auto-compaction-retention=1000",
            AutoCompaction::Revision(1000),
        ),
    ] {
        assert_eq!(config(line).auto_compaction, expected, "{line}");
    }
    let (code, text) = error("--auto-compaction-retention=x");
    assert_eq!(
        (code, text.contains("error parsing CompactionRetention")),
        (1, true),
        "{text}"
    );
}

#[test]
fn zero_means_the_default_where_it_does_for_etcd() {
    let line = "--snapshot-count=0 --snapshot-catchup-entries=0 --watch-progress-notify-interval=0";
    assert_eq!(config(line), config(""));
}

#[test]
fn a_progress_interval_below_the_least_is_raised_with_a_warning() {
    let raised = config("--watch-progress-notify-interval=99ms");
    let interval = raised.watch_progress_notify_interval;
    assert_eq!(interval, Duration::from_millis(100));
    assert_eq!(
        raised.warnings,
        ["--watch-progress-notify-interval is raised to its least, 100ms"]
    );
    let least = config("--watch-progress-notify-interval=100ms");
    assert_eq!(least.watch_progress_notify_interval, interval);
    assert!(least.warnings.is_empty());
}

#[test]
fn the_largest_request_may_be_as_large_as_the_log_takes() {
    let largest = config("--max-request-bytes=25165824");
    assert_eq!(largest.max_request_bytes, 25_165_824);
}

#[test]
fn old_names_mean_the_flags_of_today() {
    let old = config("--experimental-watch-progress-notify-interval=5s");
    assert_eq!(old.watch_progress_notify_interval, Duration::from_secs(5));
    let line = "--experimental-snapshot-catchup-entries=8";
    assert_eq!(config(line).snapshot_catchup_entries, 8);
    assert_eq!(error("--experimental-name=x").0, 2);
}

#[test]
fn flags_without_effect_are_taken_and_remarked() {
    let config = config(
        "--enable-v2 --feature-gates=PriorityRequest=true --backend-batch-interval=10ms \
         --logger=zap --proxy=off --enable-pprof=false --client-cert-auth=false",
    );
    assert_eq!(config.remarks.len(), 4, "{:?}", config.remarks);
}

#[test]
fn log_flags_reach_telemetry() {
    use daemon::{Format, Output};
    let telemetry =
        config("--log-level=debug --log-format=console --log-outputs=stderr,a.log").telemetry;
    assert_eq!(telemetry.level, tracing::Level::DEBUG);
    assert_eq!(telemetry.format, Format::Console);
    assert_eq!(
        telemetry.outputs,
        [Output::Stderr, Output::File("a.log".into())]
    );
    assert_eq!(config("").telemetry.outputs, [Output::Stderr]);
}

#[test]
fn version_and_help_are_printed() {
    let Ok(Parsed::Print(version)) = parse_with("--version", &[]) else {
        panic!("no version")
    };
    assert!(version.starts_with("etcd Version: 3.6.14\n"), "{version}");
    let Ok(Parsed::Print(help)) = parse_with("--help", &[]) else {
        panic!("no help")
    };
    assert!(
        help.contains("--initial-cluster-token 'etcd-cluster'"),
        "{help}"
    );
}

/// Every flag with an effect changes something when it is turned.
#[test]
fn every_used_flag_changes_the_configuration() {
    let before = config("");
    let traced = config("--enable-distributed-tracing");
    for flag in table::FLAGS {
        let is_command = ["version", "config-file"].contains(&flag.name);
        if flag.role != table::Role::Used || is_command {
            continue;
        }
        let value = match flag.name {
            "auto-compaction-mode" => "revision --auto-compaction-retention=9",
            "listen-client-urls" => {
                "http://127.0.0.1:9 --advertise-client-urls=http://localhost:2379"
            }
            "initial-cluster" => "default=http://127.0.0.1:9",
            "initial-cluster-state" => "existing",
            "auth-token" => "jwt,sign-method=RS256,pub-key=pub.pem,ttl=1m",
            "feature-gates" => "CompactHashCheck=true",
            "log-format" => "console",
            "log-level" => "warn",
            "metrics" => "extensive",
            "distributed-tracing-address" => "collector:9 --enable-distributed-tracing",
            "distributed-tracing-service-name"
            | "distributed-tracing-instance-id"
            | "distributed-tracing-sampling-rate" => "9 --enable-distributed-tracing",
            "election-timeout" => "1001",
            "range-answers-bytes-max" => "20000000",
            "rate-limit" => "user=ann,rate=9",
            "cert-file" => "a --key-file=b",
            "key-file" => "b --cert-file=a",
            "client-cert-file" => "a --client-key-file=b",
            "client-key-file" => "b --client-cert-file=a",
            "peer-cert-file" => "a --peer-key-file=b",
            "peer-key-file" => "b --peer-cert-file=a",
            "peer-client-cert-file" => "a --peer-client-key-file=b",
            "peer-client-key-file" => "b --peer-client-cert-file=a",
            "cipher-suites" => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "archive-base-interval" | "archive-retention" => "9s --archive-dir=a",
            "tls-min-version" => "TLS1.3",
            "tls-max-version" => "TLS1.2",
            _ => match flag.kind {
                table::Kind::Bool if flag.default == "true" => "false",
                table::Kind::Bool => "true",
                table::Kind::Duration => "9s",
                table::Kind::Urls => "http://127.0.0.1:9",
                _ => "9",
            },
        };
        let line = format!("--{}={value}", flag.name);
        let before = if flag.name.starts_with("distributed-tracing-") {
            &traced
        } else {
            &before
        };
        assert_ne!(&config(&line), before, "{line}");
    }
}

#[test]
fn a_configuration_file_counts_more_than_flags_and_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etcd.yml");
    std::fs::write(&path, "name: from-file\n").unwrap();
    let flag = format!(
        "--config-file={} --name=from-line --pre-vote=false",
        path.display()
    );
    let read = config(&flag);
    assert_eq!((read.name.as_str(), read.pre_vote), ("from-file", true));
    let path = path.to_str().unwrap();
    let variables = [
        ("ETCD_CONFIG_FILE", path),
        ("ETCD_NAME", "from-variable"),
        ("ETCD_X", "1"),
    ];
    assert_eq!(config_with("--name=from-line", &variables), read);
    assert_eq!(error("--config-file=/nowhere").0, 1);
    assert_eq!(error(&format!("{flag} stray")).0, 1);
    assert!(matches!(
        parse_with(&format!("{flag} --version"), &[]),
        Ok(Parsed::Print(_))
    ));
}
