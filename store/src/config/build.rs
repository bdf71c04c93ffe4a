//! From single values to the configuration of one replica, with etcd's checks and etcd's texts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use daemon::{Format, Output, Telemetry};
use tracing::Level;

use super::authentication::authentication;
use super::bounds::Bounds;
use super::corruption::CorruptionChecks;
use super::go;
use super::identity::member_id;
use super::security::{self, Security};
use super::spans;
use super::url::{self, Url};
use super::values::Values;
use super::{AutoCompaction, ClusterState, Config, InitialMember};
use crate::archive;
use crate::replica::REQUEST_BYTES_MAX;

const ELECTION_MILLISECONDS_MAX: u64 = 50_000;
/// etcd's `minWatchProgressInterval`.
const PROGRESS_INTERVAL_MIN: Duration = Duration::from_millis(100);
const QUOTA_BYTES_DEFAULT: u64 = 2 << 30;
/// Above this etcd warns.
const QUOTA_BYTES_USUAL_MAX: u64 = 8 << 30;
/// More bases than that cost more than the log they save.
const ARCHIVE_BASE_INTERVAL_MIN: Duration = Duration::from_secs(1);
const DEFAULT_NAME: &str = "default";
const DEFAULT_CLUSTER: &str = "default=http://localhost:2380";

pub(super) fn config(mut values: Values) -> Result<Config, String> {
    values.check_names()?;
    let telemetry = telemetry(&values)?;
    let name = values.text("name").to_owned();
    let data_dir = match values.text("data-dir") {
        "" => PathBuf::from(format!("{name}.etcd")),
        given => PathBuf::from(given),
    };
    let wal_dir = Some(values.text("wal-dir"))
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from);
    let urls = Urls::new(&values)?;
    let (heartbeat_interval, election_timeout) = ticks(&values)?;
    check_advertised(&values)?;
    let initial_cluster = initial_cluster(&values, &name, &urls.advertise_peer)?;
    let interval = values.duration("grpc-keepalive-interval");
    let (client_security, peer_security) = security(&mut values, &urls)?;
    Ok(Config {
        name,
        data_dir,
        wal_dir,
        listen_client_urls: urls.listen_client,
        listen_client_http_urls: urls.listen_client_http,
        listen_peer_urls: urls.listen_peer,
        listen_metrics_urls: urls.listen_metrics,
        advertise_client_urls: urls.advertise_client,
        initial_advertise_peer_urls: urls.advertise_peer,
        initial_cluster,
        initial_cluster_state: match values.text("initial-cluster-state") {
            "existing" => ClusterState::Existing,
            _ => ClusterState::New,
        },
        initial_cluster_token: values.text("initial-cluster-token").to_owned(),
        heartbeat_interval,
        election_timeout,
        initial_election_tick_advance: values.bool("initial-election-tick-advance"),
        pre_vote: values.bool("pre-vote"),
        strict_reconfig_check: values.bool("strict-reconfig-check"),
        max_learners: values.unsigned("max-learners"),
        snapshot_count: not_zero(&values, "snapshot-count"),
        snapshot_catchup_entries: not_zero(&values, "snapshot-catchup-entries"),
        quota_bytes: quota_bytes(&mut values),
        auto_compaction: auto_compaction(&values)?,
        max_txn_ops: fitting(&values, "max-txn-ops")?,
        max_request_bytes: max_request_bytes(&values)?,
        max_concurrent_streams: fitting(&values, "max-concurrent-streams")?,
        grpc_keepalive_min_time: values.duration("grpc-keepalive-min-time"),
        grpc_keepalive_interval: Some(interval).filter(|interval| !interval.is_zero()),
        grpc_keepalive_timeout: values.duration("grpc-keepalive-timeout"),
        watch_progress_notify_interval: watch_progress_notify_interval(&mut values),
        enable_grpc_gateway: values.bool("enable-grpc-gateway"),
        cors: list(values.text("cors")),
        host_whitelist: list(values.text("host-whitelist")),
        extensive_metrics: values.text("metrics") == "extensive",
        authentication: authentication(&mut values)?,
        archive: archive(&values)?,
        bounds: Bounds::new(&values)?,
        corruption_checks: CorruptionChecks::of(&mut values)?,
        client_security,
        peer_security,
        socket_reuse_port: values.bool("socket-reuse-port"),
        telemetry,
        tracing: spans::tracing(&values)?,
        warnings: values.warnings,
        remarks: values.remarks,
    })
}

fn check_advertised(values: &Values) -> Result<(), String> {
    let needs_advertised = values.is_given("listen-client-urls") && !values.is_from_file();
    if needs_advertised && !values.is_given("advertise-client-urls") {
        let text =
            "--advertise-client-urls is required when --listen-client-urls is set explicitly";
        return Err(text.to_owned());
    }
    Ok(())
}

/// What stands between commas, each once.
pub(super) fn list(text: &str) -> Vec<String> {
    let names: BTreeSet<&str> = text.split(',').map(str::trim).collect();
    names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The texts are etcd's.
pub(super) fn verify_bootstrap(config: &Config) -> Result<(), String> {
    let Some(own) = config.initial_member() else {
        let name = &config.name;
        return Err(format!(
            "couldn't find local name {name:?} in the initial cluster configuration"
        ));
    };
    let advertised = &config.initial_advertise_peer_urls;
    if let Some(missing) = own.peer_urls.iter().find(|url| !advertised.contains(url)) {
        return Err(format!(
            "--initial-cluster has {}={missing} but missing from --initial-advertise-peer-urls={}",
            config.name,
            url::join(advertised)
        ));
    }
    if let Some(missing) = advertised.iter().find(|url| !own.peer_urls.contains(url)) {
        return Err(format!(
            "--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={}",
            cluster_text(std::slice::from_ref(own))
        ));
    }
    let mut seen = BTreeSet::new();
    if !config
        .initial_cluster
        .iter()
        .flat_map(|member| &member.peer_urls)
        .all(|url| seen.insert(url))
    {
        let cluster = cluster_text(&config.initial_cluster);
        return Err(format!("initial cluster {cluster} has duplicate url"));
    }
    Ok(())
}

/// The six lists, each checked, and no address in two of the lists that are listened on.
struct Urls {
    listen_client: Vec<Url>,
    listen_client_http: Vec<Url>,
    listen_peer: Vec<Url>,
    listen_metrics: Vec<Url>,
    advertise_client: Vec<Url>,
    advertise_peer: Vec<Url>,
}

impl Urls {
    fn new(values: &Values) -> Result<Urls, String> {
        let urls = Urls {
            listen_client: at_least_one_url(values, "listen-client-urls")?,
            listen_client_http: values.urls("listen-client-http-urls"),
            listen_peer: at_least_one_url(values, "listen-peer-urls")?,
            listen_metrics: values.urls("listen-metrics-urls"),
            advertise_client: at_least_one_url(values, "advertise-client-urls")?,
            advertise_peer: at_least_one_url(values, "initial-advertise-peer-urls")?,
        };
        let mut places: BTreeMap<(&str, u16), (&str, &Url)> = BTreeMap::new();
        for (flag, list) in [
            ("listen-peer-urls", &urls.listen_peer),
            ("listen-client-urls", &urls.listen_client),
            ("listen-client-http-urls", &urls.listen_client_http),
            ("listen-metrics-urls", &urls.listen_metrics),
        ] {
            for url in list {
                check_bind(url)?;
                let Some((other, at)) = places.insert((url.host(), url.port()), (flag, url)) else {
                    continue;
                };
                // A client port may speak both, told apart by the first byte.
                let is_both = at.is_secure() != url.is_secure() && flag != "listen-peer-urls";
                if other != flag || !is_both {
                    return Err(format!("{url} stands in --{other} and again in --{flag}"));
                }
            }
        }
        check_hosts("initial-advertise-peer-urls", &urls.advertise_peer)?;
        check_hosts("advertise-client-urls", &urls.advertise_client)?;
        Ok(urls)
    }
}

/// The TLS flags of both kinds of port, which every URL that needs them must have.
fn security(values: &mut Values, urls: &Urls) -> Result<(Security, Security), String> {
    let clients = Security::of_clients(values)?;
    let peers = Security::of_peers(values)?;
    for list in [&urls.listen_client, &urls.listen_client_http] {
        security::check_urls(values, &clients, ("client-url", list))?;
    }
    let secure = |url: &&Url| url.is_secure();
    let metrics: Vec<Url> = urls.listen_metrics.iter().filter(secure).cloned().collect();
    security::check_urls(values, &clients, ("metrics-url", &metrics))?;
    security::check_urls(values, &peers, ("peer-url", &urls.listen_peer))?;
    Ok((clients, peers))
}

fn at_least_one_url(values: &Values, flag: &str) -> Result<Vec<Url>, String> {
    let urls = values.urls(flag);
    if urls.is_empty() {
        Err(format!("--{flag} must have at least one URL"))
    } else {
        Ok(urls)
    }
}

fn check_bind(url: &Url) -> Result<(), String> {
    let host = url.host();
    if host == "localhost" || host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("expected IP in URL for binding ({url})"))
}

fn check_hosts(flag: &str, urls: &[Url]) -> Result<(), String> {
    match urls.iter().find(|url| url.host().is_empty()) {
        None => Ok(()),
        Some(url) => Err(format!(
            "--{flag} {:?} must be \"host:port\" (unexpected empty host ({url}))",
            url::join(urls)
        )),
    }
}

fn ticks(values: &Values) -> Result<(Duration, Duration), String> {
    let heartbeat = values.unsigned("heartbeat-interval");
    let election = values.unsigned("election-timeout");
    if heartbeat == 0 {
        return Err("--heartbeat-interval must be >0 (set to 0ms)".to_owned());
    }
    if election == 0 {
        return Err("--election-timeout must be >0 (set to 0ms)".to_owned());
    }
    if heartbeat.saturating_mul(5) > election {
        return Err(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as \
             --heartbeat-interval[{heartbeat}ms]"
        ));
    }
    if election > ELECTION_MILLISECONDS_MAX {
        return Err(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than \
             {ELECTION_MILLISECONDS_MAX}ms"
        ));
    }
    Ok((
        Duration::from_millis(heartbeat),
        Duration::from_millis(election),
    ))
}

/// When no cluster is given, the member is alone in its cluster.
fn initial_cluster(
    values: &Values,
    name: &str,
    advertise_peer_urls: &[Url],
) -> Result<Vec<InitialMember>, String> {
    let alone = || {
        let urls = advertise_peer_urls
            .iter()
            .map(|url| format!("{name}={url}"));
        urls.collect::<Vec<_>>().join(",")
    };
    let text = match values.text("initial-cluster") {
        "" if name == DEFAULT_NAME => DEFAULT_CLUSTER.to_owned(),
        "" => alone(),
        given => given.to_owned(),
    };
    let mut by_name: BTreeMap<&str, Vec<Url>> = BTreeMap::new();
    for member in text.split(',').filter(|member| !member.is_empty()) {
        let (member_name, url) = member.split_once('=').unwrap_or((member, ""));
        let url = Url::parse(url)
            .map_err(|error| format!("error setting up initial cluster: {error}"))?;
        by_name.entry(member_name).or_default().push(url);
    }
    let token = values.text("initial-cluster-token");
    let members = by_name.into_iter().map(|(member_name, mut peer_urls)| {
        peer_urls.sort();
        InitialMember {
            id: member_id(&peer_urls, token),
            name: member_name.to_owned(),
            peer_urls,
        }
    });
    Ok(members.collect())
}

/// As `--initial-cluster` would have it.
fn cluster_text(members: &[InitialMember]) -> String {
    let pairs = members.iter().flat_map(|member| {
        member
            .peer_urls
            .iter()
            .map(move |url| format!("{}={url}", member.name))
    });
    pairs.collect::<Vec<_>>().join(",")
}

fn quota_bytes(values: &mut Values) -> Option<u64> {
    let quota = match u64::try_from(values.signed("quota-backend-bytes")) {
        Err(_) => return None,
        Ok(0) => QUOTA_BYTES_DEFAULT,
        Ok(quota) => quota,
    };
    if quota > QUOTA_BYTES_USUAL_MAX {
        values.warnings.push(format!(
            "quota of {quota} bytes exceeds the usual most, 8 GiB"
        ));
    }
    Some(quota)
}

/// etcd takes the default for zero, and raises what is shorter than it can keep to.
fn watch_progress_notify_interval(values: &mut Values) -> Duration {
    const FLAG: &str = "watch-progress-notify-interval";
    let interval = values.duration(FLAG);
    if interval.is_zero() {
        return values.default_duration(FLAG);
    }
    if interval < PROGRESS_INTERVAL_MIN {
        values
            .warnings
            .push(format!("--{FLAG} is raised to its least, 100ms"));
    }
    interval.max(PROGRESS_INTERVAL_MIN)
}

/// A request that the log cannot take must not be admitted by a flag.
fn max_request_bytes(values: &Values) -> Result<usize, String> {
    let bytes = fitting(values, "max-request-bytes")?;
    if bytes > REQUEST_BYTES_MAX {
        return Err(format!(
            "--max-request-bytes[{bytes}] is too large: the log takes requests of at most \
             {REQUEST_BYTES_MAX} bytes"
        ));
    }
    Ok(bytes)
}

fn auto_compaction(values: &Values) -> Result<AutoCompaction, String> {
    let mode = values.text("auto-compaction-mode");
    let retention = values.text("auto-compaction-retention");
    let bad = |reason: &str| {
        Err(format!(
            "error parsing CompactionRetention: {reason} {retention:?}"
        ))
    };
    let number = retention.parse::<u32>().ok();
    match (mode, number) {
        ("", _) => Err("undefined auto-compaction-mode".to_owned()),
        ("periodic" | "revision", Some(0)) => Ok(AutoCompaction::Off),
        ("revision", Some(revisions)) => Ok(AutoCompaction::Revision(u64::from(revisions))),
        ("revision", None) => bad("not a number of revisions"),
        ("periodic", Some(hours)) => Ok(AutoCompaction::Periodic(Duration::from_secs(
            u64::from(hours) * 3600,
        ))),
        ("periodic", None) => match go::parse_duration(retention) {
            None => bad("time: invalid duration"),
            Some(Duration::ZERO) => Ok(AutoCompaction::Off),
            Some(kept) => Ok(AutoCompaction::Periodic(kept)),
        },
        _ => Err(format!("unknown auto-compaction-mode {mode:?}")),
    }
}

/// etcd takes the default for zero.
fn not_zero(values: &Values, flag: &str) -> u64 {
    match values.unsigned(flag) {
        0 => values.default_unsigned(flag),
        value => value,
    }
}

fn at_least_one(values: &Values, flag: &str) -> Result<u64, String> {
    match values.unsigned(flag) {
        0 => Err(format!("--{flag} must be >0 (set to 0)")),
        value => Ok(value),
    }
}

/// Bases and ages mean nothing without a folder; they are checked all the same.
fn archive(values: &Values) -> Result<Option<archive::Settings>, String> {
    let base_interval = values.duration("archive-base-interval");
    if base_interval < ARCHIVE_BASE_INTERVAL_MIN {
        return Err(format!(
            "--archive-base-interval[{}ms] should be at least {}ms",
            base_interval.as_millis(),
            ARCHIVE_BASE_INTERVAL_MIN.as_millis()
        ));
    }
    let dir = values.text("archive-dir");
    if dir.is_empty() {
        let given = ["archive-base-interval", "archive-retention"];
        return match given.iter().find(|name| values.is_given(name)) {
            Some(name) => Err(format!("--{name} needs --archive-dir")),
            None => Ok(None),
        };
    }
    let retention = values.duration("archive-retention");
    Ok(Some(archive::Settings {
        dir: PathBuf::from(dir),
        base_interval,
        retention: Some(retention).filter(|retention| !retention.is_zero()),
    }))
}

/// A limit: at least one, and in the range of its type.
fn fitting<T: TryFrom<u64>>(values: &Values, flag: &str) -> Result<T, String> {
    let value = at_least_one(values, flag)?;
    T::try_from(value)
        .ok()
        .ok_or_else(|| format!("--{flag} is out of range (set to {value})"))
}

fn telemetry(values: &Values) -> Result<Telemetry, String> {
    let level = match values.text("log-level") {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warn" => Level::WARN,
        "error" | "dpanic" | "panic" | "fatal" => Level::ERROR,
        other => return Err(format!("unrecognized level: {other:?}")),
    };
    let format = match values.text("log-format") {
        "console" => Format::Console,
        _ => Format::Json,
    };
    let outputs = values
        .text("log-outputs")
        .split(',')
        .map(|output| match output {
            "" | "default" | "stderr" => Ok(Output::Stderr),
            "stdout" => Ok(Output::Stdout),
            "systemd/journal" => Err("--log-outputs systemd/journal is not available".to_owned()),
            file => Ok(Output::File(PathBuf::from(file))),
        });
    let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    outputs.dedup();
    Ok(Telemetry {
        level,
        format,
        outputs,
    })
}
