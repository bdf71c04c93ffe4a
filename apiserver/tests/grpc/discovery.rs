//! What is served, asked over gRPC.

use proto::api::ResourcesRequest;
use tonic::Code;

use crate::cluster::{Cluster, LOOK_PAUSE, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_told_to_who_may_discover_it() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("alice-token").await;
    // The rules that let everybody who is known discover are made after the start.
    let asking = async {
        loop {
            match client.resources(ResourcesRequest {}).await {
                Err(refused) if refused.code() == Code::PermissionDenied => {
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                answered => return answered.unwrap().into_inner(),
            }
        }
    };
    let served = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert!(served.unknown.is_empty());
    let find = |group: &str, resource: &str| {
        let mut found = served.resources.iter();
        found.find(|one| one.group == group && one.resource == resource)
    };
    let pods = find("", "pods").unwrap();
    assert_eq!((pods.version.as_str(), pods.kind.as_str()), ("v1", "Pod"));
    assert!(pods.namespaced && pods.preferred);
    assert_eq!(
        (pods.singular.as_str(), &*pods.short_names),
        ("pod", &["po".to_owned()][..])
    );
    assert!(pods.verbs.contains(&"deletecollection".to_owned()));
    let status = pods.subresources.iter().find(|one| one.name == "status");
    assert_eq!(status.unwrap().verbs, ["get", "patch", "update"]);
    assert!(
        !find("rbac.authorization.k8s.io", "clusterroles")
            .unwrap()
            .namespaced
    );
    let scalers = served
        .resources
        .iter()
        .filter(|one| one.resource == "horizontalpodautoscalers");
    let scalers: Vec<_> = scalers
        .map(|one| (one.version.as_str(), one.preferred))
        .collect();
    assert_eq!(scalers, [("v2", true), ("v1", false)]);
    let mut nobody = cluster.client("wrong").await;
    let refused = nobody.resources(ResourcesRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    cluster.stop().await;
}
