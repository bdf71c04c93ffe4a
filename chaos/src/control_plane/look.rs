//! Looks at everything in a namespace until it is as it is desired.

use std::time::Duration;

use tokio::time::Instant;

use super::fields::list;
use super::history::{End, Objects};
use super::{settled, wire};
use crate::cluster::Cluster;
use crate::kubernetes::client::{Ask, Client};
use crate::workload::Stop;

/// Pause between two looks. What is as it is desired has to be so twice.
const PAUSE: Duration = Duration::from_millis(1_000);

/// Waits until everything is as it is desired, the time is over, or it is told to stop. What gave up its lease is started again meanwhile.
pub(super) async fn wait_settled(
    cluster: &mut Cluster,
    namespace: &str,
    (limit, stop): (Duration, &Stop),
) -> End {
    let begun = Instant::now();
    let ports = cluster.apiserver_ports();
    let mut last = Objects::new();
    let mut settled_ms = None;
    for round in 0.. {
        // One that cannot be started is found at the end of the run.
        cluster.start_given_up().ok();
        let port = ports[round % ports.len()];
        if let Some(objects) = look(port, namespace).await {
            let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let is_settled = settled::complaints(&objects).is_empty();
            let was_settled = settled_ms;
            settled_ms = is_settled.then_some(was_settled.unwrap_or(elapsed));
            last = objects;
            if let (Some(took_ms), Some(_)) = (settled_ms, was_settled) {
                return End {
                    namespace: namespace.to_owned(),
                    took_ms,
                    objects: last,
                };
            }
        }
        if begun.elapsed() > limit || stop.within(PAUSE).await {
            break;
        }
    }
    End {
        namespace: namespace.to_owned(),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        objects: last,
    }
}

async fn look(port: u16, namespace: &str) -> Option<Objects> {
    let mut client = Client::new(port);
    let mut objects = Objects::new();
    for resource in wire::RESOURCES {
        let ask = Ask::get(wire::path(resource, namespace));
        let answer = client.ask(ask).await.ok()?;
        if answer.code != 200 {
            return None;
        }
        let mut items = list(&answer.body, "/items").to_vec();
        for item in &mut items {
            super::read::strip(item);
        }
        objects.insert(resource.to_owned(), items);
    }
    Some(objects)
}
