//! etcd's plain HTTP pages on the client port: health, version, metrics and variables.

mod health;
mod process;
mod query;
mod variables;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use crate::SERVER_VERSION;
use crate::grpc::{self, Edge, alarm_name};
use crate::metrics::{Gauges, render};
use query::Query;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Which pages a port has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    All,
    /// Health and metrics.
    Monitoring,
}

/// Answers a request that is not gRPC. Bodies are not read.
pub(crate) async fn answer(edge: &Edge, pages: Pages, request: Parts) -> Response<Full<Bytes>> {
    let path = request.uri.path();
    let (page, check) = match path.strip_prefix('/').unwrap_or(path).split_once('/') {
        Some((page, check)) => (page, Some(check)),
        None => (path.trim_start_matches('/'), None),
    };
    let known = match (page, check) {
        ("health" | "metrics", None) => true,
        ("version", None) | ("debug", Some("vars")) => pages == Pages::All,
        ("livez", check) => check.is_none_or(|check| health::LIVEZ.contains(&check)),
        ("readyz", check) => check.is_none_or(|check| health::READYZ.contains(&check)),
        _ => false,
    };
    if !known {
        return error(StatusCode::NOT_FOUND, "404 page not found");
    }
    let any_method = ["metrics", "debug"].contains(&page);
    if request.method != Method::GET && !any_method {
        let mut refused = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let query = Query::parse(request.uri.query().unwrap_or_default());
    match page {
        "health" => health::health(edge, &query).await,
        "livez" => health::checks(edge, health::LIVEZ, check, &query).await,
        "readyz" => health::checks(edge, health::READYZ, check, &query).await,
        "version" => page_of(JSON, version(edge)),
        "debug" => page_of(JSON_UTF8, variables::json(edge)),
        _ => page_of(METRICS, render(&edge.metrics, &gauges(edge))),
    }
}

fn version(edge: &Edge) -> String {
    let cluster = grpc::version::of_cluster(edge.replica.machine().downgrade());
    let cluster = grpc::version::full(cluster);
    format!(
        "{{\"etcdserver\":\"{SERVER_VERSION}\",\"etcdcluster\":\"{cluster}\",\"storage\":\"{cluster}\"}}"
    )
}

fn gauges(edge: &Edge) -> Gauges {
    let machine = edge.replica.machine();
    let cluster = grpc::version::of_cluster(machine.downgrade());
    let raft = edge.replica.raft_status();
    let member_id = edge.replica.identity().member_id;
    let watches = edge.replica.watch_hub().counters();
    let alarms = machine.alarms().into_iter();
    let times = process::times();
    let rates = edge.limits.rates.refused();
    Gauges {
        member_id,
        cluster_version: grpc::version::short(cluster),
        has_leader: raft.leader.is_some(),
        is_leader: raft.leader == Some(member_id),
        is_learner: raft.is_learner,
        committed_index: raft.committed_index,
        applied_index: raft.applied_index,
        revision: machine.revision(),
        compact_revision: machine.compact_revision(),
        key_count: machine.key_count(),
        live_bytes: machine.live_bytes(),
        total_bytes: machine.total_bytes(),
        quota_bytes: edge.limits.quota_bytes.unwrap_or(0),
        disk_bytes: edge.replica.space().disk(),
        space_looks: edge.replica.space().looks(),
        watch_streams: watches.streams(),
        watchers: watches.watchers(),
        slow_watchers: watches.slow_watchers(),
        resident_bytes: process::resident_bytes(),
        open_files: process::open_files(),
        open_files_max: daemon::open_files_max(),
        virtual_bytes: process::virtual_bytes(),
        cpu_seconds: times.map(|times| times.on_processors_seconds),
        start_seconds: times.map(|times| times.start_seconds),
        members: edge
            .replica
            .members()
            .iter()
            .map(|member| member.id)
            .collect(),
        rate_limited: rates
            .map(|(whose, refused)| (whose.to_string(), refused))
            .collect(),
        alarms: alarms
            .map(|(member, kind)| (member, alarm_name(kind)))
            .collect(),
    }
}

fn page_of(kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A page as Go's `http.Error` writes it: with a line end.
pub(crate) fn error(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = page_of(TEXT, format!("{text}\n"));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
