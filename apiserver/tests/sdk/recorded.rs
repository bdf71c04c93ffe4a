//! Events as people see them.

use client::{EventType, Query, Recorder, reference};
use k8s_openapi::api::core::v1::{Event, Pod};

use super::cluster::{Cluster, until};
use super::pod;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_again_is_counted_and_a_flood_is_left_out() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    let pod: Pod = client.create(&pod("web")).await.unwrap();
    let about = reference(&pod);
    let (recorder, writing) = Recorder::new(client.clone(), "one");
    cluster.tasks.spawn(writing);
    for _ in 0..3 {
        recorder.event(&about, EventType::Normal, "Pulled", "image is there");
    }
    let kubelet = recorder.on_host("kubelet", "n");
    for at in 0..40 {
        kubelet.event(
            &about,
            EventType::Warning,
            "Failed",
            format!("attempt {at}"),
        );
    }
    let query = Query {
        fields: "involvedObject.name=web".to_owned(),
        ..Query::namespace("default")
    };
    let mut events = Vec::new();
    until("the events", async || {
        events = client.list::<Event>(&query).await.unwrap().items;
        let counted = events.iter().any(|event| event.count == Some(3));
        let combined = events.iter().any(|event| event.count == Some(16));
        counted && combined
    })
    .await;
    let count = |reason: &str| {
        let of = events
            .iter()
            .filter(|event| event.reason.as_deref() == Some(reason));
        of.count()
    };
    assert_eq!((count("Pulled"), count("Failed")), (1, 10));
    let pulled = events.iter().find(|event| event.count == Some(3)).unwrap();
    let name = pulled.metadata.name.as_ref().unwrap();
    assert!(name.starts_with("web.") && name.len() == 20, "{name}");
    assert_eq!(pulled.involved_object.uid, pod.metadata.uid);
    assert_eq!(
        pulled.source.as_ref().unwrap().component.as_deref(),
        Some("one")
    );
    let combined = events.iter().find(|event| event.count == Some(16)).unwrap();
    let message = combined.message.as_deref().unwrap();
    assert_eq!(message, "(combined from similar events): attempt 24");
    assert_eq!(combined.reporting_instance.as_deref(), Some("n"));
    assert_eq!(recorder.dropped(), 0);
    cluster.stop().await;
}
