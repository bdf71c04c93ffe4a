//! Spans of traced requests, as a collector gets them: with etcd's flags, by OpenTelemetry's protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT, free_port};
use interop::http;
use interop::target::Target;
use proto::etcdserverpb::{CompactionRequest, PutRequest, RangeRequest};
use proto::otlp;
use proto::otlp::any_value::Value;
use proto::otlp::trace_service_server::{TraceService, TraceServiceServer};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_ID: &str = "00f067aa0ba902b7";
/// Longest wait for a span. etcd sends them every five seconds.
const SPAN_TIMEOUT: Duration = Duration::from_secs(20);

/// A span and what its process says of itself.
struct Told {
    process: BTreeMap<String, String>,
    span: otlp::Span,
}

impl Told {
    fn attributes(&self) -> BTreeMap<String, String> {
        attributes(&self.span.attributes)
    }
}

fn attributes(list: &[otlp::KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &otlp::KeyValue| match value.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(bool) => Some(bool.to_string()),
        Value::IntValue(number) => Some(number.to_string()),
    };
    list.iter()
        .map(|one| (one.key.clone(), text(one).unwrap_or_default()))
        .collect()
}

/// A collector that hands on what it is told.
struct Collector(mpsc::UnboundedSender<Told>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<otlp::ExportTraceServiceRequest>,
    ) -> Result<Response<otlp::ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let process = attributes(&of_process.resource.unwrap_or_default().attributes);
            for span in of_process
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                let process = process.clone();
                // The test may be over.
                let _ = self.0.send(Told { process, span });
            }
        }
        Ok(Response::new(Default::default()))
    }
}

/// Starts a collector; its port and what it is told.
async fn collector() -> Result<(u16, mpsc::UnboundedReceiver<Told>)> {
    let (tell, told) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(tell)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    Ok((port, told))
}

async fn next(told: &mut mpsc::UnboundedReceiver<Told>) -> Result<Told> {
    let next = timeout(SPAN_TIMEOUT, told.recv()).await;
    next.context("no span came")?.context("the collector ended")
}

/// Spans until the one of the request itself, which ends last.
async fn spans_of(told: &mut mpsc::UnboundedReceiver<Told>, name: &str) -> Result<Vec<Told>> {
    let mut spans = Vec::new();
    loop {
        let one = next(told).await?;
        let is_last = one.span.name == name;
        spans.push(one);
        if is_last {
            return Ok(spans);
        }
    }
}

async fn start(target: &Target, members: usize, port: u16, more: &[&str]) -> Result<Cluster> {
    let address = format!("--distributed-tracing-address=127.0.0.1:{port}");
    let mut flags = vec!["--enable-distributed-tracing".to_owned(), address];
    flags.extend(more.iter().map(|&flag| flag.to_owned()));
    let options = Options {
        members,
        flags,
        in_memory: true,
    };
    Cluster::start(target, &options).await
}

/// A request of a caller whose own span is known.
fn called<T>(message: T, is_sampled: bool) -> Request<T> {
    let mut request = Request::new(message);
    let flags = u8::from(is_sampled);
    let caller = format!("00-{TRACE_ID}-{CALLER_ID}-{flags:02x}");
    let headers = request.metadata_mut();
    headers.insert("traceparent", caller.parse().expect("it is ASCII"));
    request
}

fn put() -> PutRequest {
    PutRequest {
        key: "a".into(),
        value: "b".into(),
        ..Default::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A put in a sampled trace becomes a span of that trace, below the caller's; one in a trace that is not sampled, and one
/// without a trace, become none.
async fn callers_decide(target: &Target) -> Result<()> {
    let (port, mut told) = collector().await?;
    let more = [
        "--distributed-tracing-service-name=kept",
        "--distributed-tracing-instance-id=one",
    ];
    let cluster = start(target, 1, port, &more).await?;
    let mut client = cluster.client(0).await?;
    client.kv.put(called(put(), false)).await?;
    client.kv.put(put()).await?;
    client.kv.put(called(put(), true)).await?;
    let compact = CompactionRequest {
        revision: 99,
        ..Default::default()
    };
    let refused = client.kv.compact(called(compact, true)).await;
    ensure!(refused.is_err(), "a revision that is not there yet");
    let mut requests = Vec::new();
    while requests.len() < 2 {
        let one = next(&mut told).await?;
        ensure!(hex(&one.span.trace_id) == TRACE_ID, "another trace's span");
        if one.span.kind() == otlp::SpanKind::Server {
            requests.push(one);
        }
    }
    for (one, (method, code)) in requests.iter().zip([("Put", "0"), ("Compact", "11")]) {
        let span = &one.span;
        assert_eq!(span.name, format!("etcdserverpb.KV/{method}"));
        assert_eq!(hex(&span.parent_span_id), CALLER_ID);
        assert_eq!(span.span_id.len(), 8);
        assert!(span.start_time_unix_nano < span.end_time_unix_nano);
        assert!(span.status.as_ref().is_none_or(|status| status.code == 0));
        assert_eq!(one.process["service.name"], "kept");
        assert_eq!(one.process["service.instance.id"], "one");
        let said = one.attributes();
        assert_eq!(said["rpc.system"], "grpc");
        assert_eq!(said["rpc.service"], "etcdserverpb.KV");
        assert_eq!(said["rpc.method"], method);
        assert_eq!(said["rpc.grpc.status_code"], code);
    }
    Ok(())
}

#[tokio::test]
async fn callers_decide_what_is_traced() -> Result<()> {
    callers_decide(&Target::mainstay()?).await
}

/// The same story told to etcd: our reading of OpenTelemetry's protocol is its own.
#[tokio::test]
#[ignore = "needs an etcd of 3.6, named by NEWER_ETCD_BIN"]
async fn callers_decide_what_etcd_traces() -> Result<()> {
    callers_decide(&Target::newer_etcd()?).await
}

#[tokio::test]
async fn a_put_shows_what_it_waited_for_on_every_member() -> Result<()> {
    let (port, mut told) = collector().await?;
    let steady = Options::steady_three();
    let more: Vec<&str> = steady.flags.iter().map(String::as_str).collect();
    let mut cluster = start(&Target::mainstay()?, steady.members, port, &more).await?;
    let leader = cluster.wait_leader().await?;
    for member in 0..3 {
        let mut client = cluster.client(member).await?;
        client.kv.put(called(put(), true)).await?;
        let spans = spans_of(&mut told, "etcdserverpb.KV/Put").await?;
        let by_name = |name: &str| {
            let found = spans.iter().find(|told| told.span.name == name);
            found.with_context(|| format!("no span {name} of member {member}"))
        };
        let request = by_name("etcdserverpb.KV/Put")?;
        let propose = by_name("mainstay.propose")?;
        assert_eq!(propose.span.parent_span_id, request.span.span_id);
        let leads = (member == leader).to_string();
        assert_eq!(propose.attributes()["mainstay.leads"], leads);
        let mut from = propose.span.start_time_unix_nano;
        for stage in ["queue", "append", "commit", "apply"] {
            let found = by_name(&format!("mainstay.propose.{stage}"));
            // A majority of others may have been faster than this member's own disk.
            let Ok(told) = found else {
                assert_eq!(stage, "append");
                continue;
            };
            assert_eq!(told.span.parent_span_id, propose.span.span_id);
            assert_eq!(told.span.start_time_unix_nano, from, "{stage}");
            from = told.span.end_time_unix_nano;
        }
        assert!(from <= propose.span.end_time_unix_nano);
    }
    Ok(())
}

#[tokio::test]
async fn a_read_shows_its_barrier_and_its_range() -> Result<()> {
    let (port, mut told) = collector().await?;
    let cluster = start(&Target::mainstay()?, 1, port, &[]).await?;
    let mut client = cluster.client(0).await?;
    for (serializable, expected) in [
        (false, &["mainstay.read_barrier", "mainstay.range"][..]),
        (true, &["mainstay.range"]),
    ] {
        let range = RangeRequest {
            key: "a".into(),
            serializable,
            ..Default::default()
        };
        client.kv.range(called(range, true)).await?;
        let spans = spans_of(&mut told, "etcdserverpb.KV/Range").await?;
        let (request, below) = spans.split_last().expect("one was waited for");
        let names: Vec<&str> = below.iter().map(|told| &*told.span.name).collect();
        assert_eq!(names, expected);
        for one in below {
            assert_eq!(one.span.parent_span_id, request.span.span_id);
            assert_eq!(one.span.kind(), otlp::SpanKind::Internal);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_share_of_the_others_is_taken_too() -> Result<()> {
    let (port, mut told) = collector().await?;
    let rate = "--experimental-distributed-tracing-sampling-rate=1000000";
    let cluster = start(&Target::mainstay()?, 1, port, &[rate]).await?;
    let mut client = cluster.client(0).await?;
    client.put("a", "b").await?;
    let spans = spans_of(&mut told, "etcdserverpb.KV/Put").await?;
    let put = &spans.last().expect("one was waited for").span;
    assert!(put.parent_span_id.is_empty());
    assert_eq!(put.trace_id.len(), 16);
    Ok(())
}

/// The value of a counter.
fn counter(cluster: &Cluster, name: &str) -> Result<u64> {
    let page = http::get(cluster.members[0].client_port, "/metrics")?.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.with_context(|| format!("no {name}"))?;
    Ok(value.trim().parse()?)
}

async fn puts_go_on(cluster: &Cluster, client: &mut Client) -> Result<()> {
    let began = Instant::now();
    let mut puts = 0_u64;
    // More than the queue holds: each put is six spans.
    while puts < 600 {
        client.kv.put(called(put(), true)).await?;
        puts += 1;
    }
    let deadline = began + READY_TIMEOUT;
    while counter(cluster, "mainstay_spans_dropped_total ")? == 0 {
        ensure!(Instant::now() < deadline, "nothing was counted as dropped");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

#[tokio::test]
async fn without_a_collector_puts_go_on_and_spans_are_counted() -> Result<()> {
    let cluster = start(&Target::mainstay()?, 1, free_port()?, &[]).await?;
    puts_go_on(&cluster, &mut cluster.client(0).await?).await
}

#[tokio::test]
async fn with_a_collector_that_says_nothing_puts_go_on_and_spans_are_counted() -> Result<()> {
    // The system takes connections for it, and nobody reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = silent.local_addr()?.port();
    let mut cluster = start(&Target::mainstay()?, 1, port, &[]).await?;
    puts_go_on(&cluster, &mut cluster.client(0).await?).await?;
    // Nor does it keep the replica from ending.
    let status = cluster.members[0].terminate().await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() -> Result<()> {
    for (flag, why) in [
        (
            "--distributed-tracing-sampling-rate=1000001",
            "distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)",
        ),
        (
            "--distributed-tracing-sampling-rate=-1",
            "distributed tracing configurition is not valid: (tracing sampling rate must be positive)",
        ),
        (
            "--distributed-tracing-address=http://localhost:4317",
            "must be \"host:port\", without a scheme",
        ),
    ] {
        let mut command = Target::mainstay()?.command();
        let output = command
            .args(["--enable-distributed-tracing", flag])
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(why), "{errors}");
        assert_eq!(output.status.code(), Some(1));
    }
    Ok(())
}
