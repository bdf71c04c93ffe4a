//! The page Prometheus reads.

use state_machine::{Event, Revision};

use super::*;

fn event(kind: EventKind) -> Event {
    let created = kind == EventKind::Put;
    let prev = (!created).then_some(Revision { main: 1, sub: 0 });
    Event {
        kind,
        key: "k".into(),
        kv: Default::default(),
        created,
        prev,
    }
}

#[test]
fn applied_revisions_are_counted_by_kind() {
    let metrics = Metrics::default();
    let put = event(EventKind::Put);
    let delete = event(EventKind::Delete);
    metrics.count_applied(&[
        RevisionEvents {
            revision: 2,
            events: Arc::from([put.clone()]),
        },
        RevisionEvents {
            revision: 3,
            events: Arc::from([put, delete]),
        },
    ]);
    assert_eq!(metrics.puts.get(), 2);
    assert_eq!(metrics.deletes.get(), 1);
    assert_eq!(metrics.txns.get(), 1);
}

#[test]
fn a_histogram_counts_into_the_right_bucket() {
    let histogram = Histogram::doubling(Duration::from_millis(1), 3);
    for millis in [1, 2, 3, 100] {
        histogram.observe(Duration::from_millis(millis));
    }
    let (buckets, total, sum) = histogram.read();
    assert_eq!(buckets, [(0.001, 1), (0.002, 2), (0.004, 3)]);
    assert_eq!(total, 4);
    assert!((sum - 0.106).abs() < 1e-9);
}

#[test]
fn a_connection_is_counted_while_it_is_open() {
    let metrics = Metrics::default();
    let open = metrics.connection_opened();
    let page = render(&metrics, &Gauges::default());
    assert!(page.contains("\nmainstay_client_connections 1\n"));
    drop(open);
    let page = render(&metrics, &Gauges::default());
    assert!(page.contains("\nmainstay_client_connections 0\n"));
}

#[test]
fn every_line_is_a_comment_or_a_sample() {
    let metrics = Metrics::default();
    metrics.calls(&METHODS[0]).started.add(1);
    metrics.calls(&METHODS[0]).handled[11].add(1);
    metrics.wal_fsync.observe(Duration::from_millis(3));
    let page = render(
        &metrics,
        &Gauges {
            cluster_version: "3.6".to_owned(),
            resident_bytes: Some(5),
            ..Gauges::default()
        },
    );
    for line in page.lines() {
        let comment = line.starts_with("# HELP ") || line.starts_with("# TYPE ");
        let sample = line.rsplit_once(' ').is_some_and(|(name, value)| {
            !name.contains(' ') | name.contains('{') && value.parse::<f64>().is_ok()
        });
        assert!(comment || sample, "{line}");
    }
    let handled = "grpc_server_handled_total{grpc_code=\"OutOfRange\",grpc_method=\"Range\",\
        grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1";
    assert!(page.lines().any(|line| line == handled), "{page}");
    assert!(page.contains("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"} 1\n"));
    assert!(page.contains("process_resident_memory_bytes 5\n"));
    assert!(!page.contains("process_open_fds"));
}
