//! The loop that sends spans to the collector, a batch at a time. Whatever the collector does, requests do not feel it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use proto::otlp;
use proto::otlp::trace_service_client::TraceServiceClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::span::{Ended, Value};
use crate::config::Tracing;
use crate::metrics::Metrics;

/// Most spans in one request to the collector.
const BATCH_SPANS: usize = 512;
/// How long a span waits for others.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for the collector's answer; its batch is dropped then.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same when the replica stops.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A `traceparent` flag: the trace is sampled.
const SAMPLED: u32 = 1;

/// Sends spans until it is told to stop.
pub(crate) struct Exporter {
    ended: mpsc::Receiver<Ended>,
    collector: TraceServiceClient<Channel>,
    resource: otlp::Resource,
    metrics: Arc<Metrics>,
    /// Whether the last batch failed: told once, not each time.
    fails: bool,
}

impl Exporter {
    pub(super) fn new(
        settings: &Tracing,
        ended: mpsc::Receiver<Ended>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Exporter> {
        let endpoint = Endpoint::from_shared(format!("http://{}", settings.address))
            .context("--distributed-tracing-address is no address")?
            .connect_timeout(CONNECT_TIMEOUT);
        let mut attributes = vec![text("service.name", &settings.service_name)];
        if !settings.instance_id.is_empty() {
            attributes.push(text("service.instance.id", &settings.instance_id));
        }
        Ok(Exporter {
            ended,
            collector: TraceServiceClient::new(endpoint.connect_lazy()),
            resource: otlp::Resource { attributes },
            metrics,
            fails: false,
        })
    }

    /// The next span in the queue.
    #[cfg(test)]
    pub(super) async fn next(&mut self) -> Ended {
        self.ended.recv().await.expect("the tracer is there")
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH_SPANS);
        loop {
            tokio::select! {
                () = self.gather(&mut batch) => {}
                () = stop.cancelled() => break,
            }
            let spans = std::mem::take(&mut batch);
            tokio::select! {
                () = self.export(spans, EXPORT_TIMEOUT) => {}
                () = stop.cancelled() => break,
            }
        }
        while let Ok(span) = self.ended.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            self.export(batch, LAST_TIMEOUT).await;
        }
        Ok(())
    }

    /// Fills a batch until it is full or its first span has waited long enough.
    async fn gather(&mut self, batch: &mut Vec<Ended>) {
        if self.ended.recv_many(batch, BATCH_SPANS).await == 0 {
            // Nobody makes spans any more: the stop is all that comes.
            return std::future::pending().await;
        }
        let deadline = Instant::now() + BATCH_INTERVAL;
        while batch.len() < BATCH_SPANS {
            let room = BATCH_SPANS - batch.len();
            let more = tokio::time::timeout_at(deadline, self.ended.recv_many(batch, room)).await;
            if !matches!(more, Ok(1..)) {
                return;
            }
        }
    }

    /// Sends a batch once. What does not arrive is counted as dropped.
    async fn export(&mut self, spans: Vec<Ended>, limit: Duration) {
        let count = spans.len() as u64;
        let request = self.request(spans);
        let answer = timeout(limit, self.collector.export(request)).await;
        let why = match answer {
            Ok(Ok(answer)) => {
                let partial = answer.into_inner().partial_success.unwrap_or_default();
                let rejected = u64::try_from(partial.rejected_spans)
                    .unwrap_or(0)
                    .min(count);
                self.metrics.spans_exported.add(count - rejected);
                self.metrics.spans_dropped.add(rejected);
                if std::mem::take(&mut self.fails) {
                    tracing::info!("the collector takes spans again");
                }
                return;
            }
            Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
            Err(_elapsed) => "it did not answer in time".to_owned(),
        };
        self.metrics.spans_dropped.add(count);
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(%why, "the collector takes no spans; they are dropped until it does");
        }
    }

    fn request(&self, spans: Vec<Ended>) -> otlp::ExportTraceServiceRequest {
        let scope = otlp::InstrumentationScope {
            name: "mainstay".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let spans = otlp::ScopeSpans {
            scope: Some(scope),
            spans: spans.into_iter().map(wire).collect(),
        };
        otlp::ExportTraceServiceRequest {
            resource_spans: vec![otlp::ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![spans],
            }],
        }
    }
}

fn wire(span: Ended) -> otlp::Span {
    let kind = if span.is_request {
        otlp::SpanKind::Server
    } else {
        otlp::SpanKind::Internal
    };
    let attributes = span.attributes.into_iter();
    let status = span.failure.map(|message| otlp::Status {
        message,
        code: otlp::StatusCode::Error.into(),
    });
    otlp::Span {
        trace_id: span.trace_id.to_vec().into(),
        span_id: span.span_id.to_vec().into(),
        trace_state: span.state.to_string(),
        parent_span_id: span.parent_id.map(Vec::from).unwrap_or_default().into(),
        flags: SAMPLED,
        name: span.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: span.began_nanoseconds,
        end_time_unix_nano: span.ended_nanoseconds,
        attributes: attributes.map(attribute).collect(),
        status,
    }
}

fn attribute((key, value): (&'static str, Value)) -> otlp::KeyValue {
    use otlp::any_value::Value as Wire;
    let value = match value {
        Value::Text(text) => Wire::StringValue(text.to_owned()),
        Value::Number(number) => Wire::IntValue(number),
        Value::Bool(bool) => Wire::BoolValue(bool),
    };
    otlp::KeyValue {
        key: key.to_owned(),
        value: Some(otlp::AnyValue { value: Some(value) }),
    }
}

fn text(key: &str, value: &str) -> otlp::KeyValue {
    let value = otlp::any_value::Value::StringValue(value.to_owned());
    otlp::KeyValue {
        key: key.to_owned(),
        value: Some(otlp::AnyValue { value: Some(value) }),
    }
}
