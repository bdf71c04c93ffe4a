//! Which requests are traced, and what becomes of their spans.

use http::HeaderMap;

use super::*;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn tracer(rate: u32) -> (Tracer, Exporter, Arc<Metrics>) {
    let settings = Tracing {
        address: "127.0.0.1:1".to_owned(),
        service_name: "etcd".to_owned(),
        instance_id: String::new(),
        sampling_rate_per_million: rate,
    };
    let metrics = Arc::<Metrics>::default();
    let (tracer, exporter) = Tracer::new(&settings, &metrics).unwrap();
    (tracer, exporter, metrics)
}

fn from(caller: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", caller.parse().unwrap());
    headers
}

#[tokio::test]
async fn a_caller_with_a_trace_decides() {
    for rate in [0, 1_000_000] {
        let (tracer, _exporter, _) = tracer(rate);
        assert!(tracer.request(&from(SAMPLED), "a".to_owned()).is_some());
        let unsampled = SAMPLED.replace("-01", "-00");
        assert!(tracer.request(&from(&unsampled), "a".to_owned()).is_none());
    }
}

#[tokio::test]
async fn of_requests_without_a_trace_a_share_is_taken() {
    let taken = |rate| {
        let (tracer, _exporter, _) = tracer(rate);
        let requests = (0..10_000).map(|_| tracer.request(&HeaderMap::new(), "a".to_owned()));
        requests.filter(Option::is_some).count()
    };
    assert_eq!(taken(0), 0);
    assert_eq!(taken(1_000_000), 10_000);
    // Twelve standard deviations to either side.
    assert!((1900..3100).contains(&taken(250_000)));
}

#[tokio::test]
async fn a_span_without_a_place_in_the_queue_is_counted() {
    let (tracer, _exporter, metrics) = tracer(1_000_000);
    for _ in 0..QUEUE_SPANS + 3 {
        drop(tracer.request(&HeaderMap::new(), "a".to_owned()));
    }
    assert_eq!(metrics.spans_dropped.get(), 3);
}

#[tokio::test]
async fn a_span_is_below_the_one_around_it() {
    assert!(child("outside").is_none());
    let (tracer, mut exporter, _) = tracer(0);
    let span = tracer
        .request(&from(SAMPLED), "request".to_owned())
        .unwrap();
    span.around(async { drop(child("below")) }).await;
    drop(span);
    let (below, request) = (exporter.next().await, exporter.next().await);
    assert_eq!((&*below.name, &*request.name), ("below", "request"));
    assert_eq!(below.parent_id, Some(request.span_id));
    assert_eq!(below.trace_id, request.trace_id);
    assert_eq!(
        request.parent_id.map(u64::from_be_bytes),
        Some(0x00f0_67aa_0ba9_02b7)
    );
    assert!(request.began_nanoseconds <= below.began_nanoseconds);
    assert!(below.ended_nanoseconds <= request.ended_nanoseconds);
}

#[tokio::test]
async fn a_proposal_shows_the_stages_it_reached() {
    let (tracer, mut exporter, _) = tracer(0);
    let request = tracer
        .request(&from(SAMPLED), "request".to_owned())
        .unwrap();
    let proposing = async {
        let proposal = ProposalSpan::begin().unwrap();
        // This member's own disk was slower than a majority of the others.
        for stage in [Stage::Batched, Stage::Committed, Stage::Appended] {
            proposal.stages.reached(stage);
        }
        proposal.end(None, true);
    };
    request.around(proposing).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(exporter.next().await.name);
    }
    assert_eq!(
        names,
        [
            "mainstay.propose.queue",
            "mainstay.propose.commit",
            "mainstay.propose.apply",
            "mainstay.propose"
        ]
    );
}
