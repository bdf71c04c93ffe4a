//! Asks every other member something small now and then, so that the time of a round trip is known between all of them.

use std::time::Duration;

use daemon::{OnFailure, Tasks};
use futures::future::join_all;

use super::assembly::Assembly;

/// etcd's figure.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn spawn(assembly: &Assembly, tasks: &Tasks) {
    let (members, peers, own_id) = (
        assembly.members.clone(),
        assembly.peers.clone(),
        assembly.member_id,
    );
    tasks.spawn("probe", OnFailure::Stop, |stop| async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let probe = async {
            loop {
                ticks.tick().await;
                let others = members.others(own_id);
                let asked = others.map(|member| peers.probe(member.id));
                join_all(asked).await;
            }
        };
        tokio::select! {
            () = probe => {}
            () = stop.cancelled() => {}
        }
        Ok::<(), anyhow::Error>(())
    });
}
