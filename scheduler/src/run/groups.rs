//! Groups of pods as objects: followed from when their kind is served until it is no longer.

use std::{sync::Arc, time::Duration};

use client::{Client, Informers, Resource};
use futures::future;
use tokio::{sync::watch, time};

use crate::{feed, inbox::Inbox};

/// API group of objects `PodGroup`.
const GROUP: &str = "scheduling.x-k8s.io";
/// Time between two looks at whether they are served.
const LOOK_PERIOD: Duration = Duration::from_secs(30);
/// Pause after a look that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long is waited for groups that are served and cannot be listed.
const SYNC_MAX: Duration = Duration::from_secs(30);

/// What follows the groups, for as long as it runs, and what is over once it is known which there were at the beginning.
pub(super) fn follow(
    client: Client,
    inbox: Arc<Inbox>,
) -> (
    impl Future<Output = ()> + Send,
    impl Future<Output = ()> + Send,
) {
    let (told, mut known) = watch::channel(false);
    let following = async move {
        loop {
            match served(&client).await {
                Ok(Some(groups)) => follow_served(&client, &inbox, groups, &told).await,
                Ok(None) => {
                    told.send_replace(true);
                    time::sleep(LOOK_PERIOD).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "it is not known whether there are groups of pods");
                    time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    };
    let known = async move {
        // Whoever follows tells before it ends.
        let _ = known.wait_for(|known| *known).await;
    };
    (following, known)
}

/// Where groups are served, if they are.
pub(crate) async fn served(client: &Client) -> Result<Option<Resource>, client::Error> {
    let mut served = client.resources().await?.into_iter();
    let groups =
        served.find(|one| one.resource.group == GROUP && one.kind == "PodGroup" && one.preferred);
    Ok(groups.map(|groups| groups.resource))
}

/// Follows the groups until they are served elsewhere or nowhere.
async fn follow_served(
    client: &Client,
    inbox: &Arc<Inbox>,
    groups: Resource,
    told: &watch::Sender<bool>,
) {
    tracing::info!(version = groups.version, "groups of pods are served");
    let informers = Informers::new(client.clone());
    feed::follow_groups(&informers, groups.clone(), inbox);
    let informing = future::join_all(informers.run().into_iter().map(|(_, informer)| informer));
    let looking = async {
        if time::timeout(SYNC_MAX, informers.synced()).await.is_err() {
            tracing::warn!(
                "groups of pods cannot be listed: annotations alone say how many belong together"
            );
        }
        told.send_replace(true);
        loop {
            time::sleep(LOOK_PERIOD).await;
            // Whoever cannot tell has not said that they are gone.
            if let Ok(now) = served(client).await
                && now.as_ref() != Some(&groups)
            {
                tracing::info!("groups of pods are served no longer as they were");
                return;
            }
        }
    };
    tokio::select! {
        _ = informing => {}
        () = looking => {}
    }
}
