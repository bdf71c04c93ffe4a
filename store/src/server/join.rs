//! A member that comes into a cluster which is there already: the others say who it is and whom they follow.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

use super::assembly::Assembly;
use crate::config::{Config, Url};
use crate::data_folder::DataFolder;
use crate::raft::{self, Connector, Peers, Place};
use crate::replica::Identity;

/// Rest between two rounds of asking the others.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a cluster that answers may leave this member out: the one that answers may lag behind the one that was told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the members that `--initial-cluster` names until one of them says which member this is.
///
/// # Errors
/// When they answer and none knows a member with this one's peer URLs.
pub(super) async fn identity(config: &Config, connector: &Connector) -> anyhow::Result<Identity> {
    let mut answered = None;
    loop {
        let places = ask_all(config, connector).await;
        for place in &places {
            if let Some(identity) = own_place(config, place) {
                return Ok(identity);
            }
        }
        if places.is_empty() {
            tracing::warn!(
                "no other member of --initial-cluster answers; asking them again which member this is"
            );
        } else if answered.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            let urls = texts(&config.initial_advertise_peer_urls).join(",");
            bail!(
                "the cluster has no member with the peer URLs {urls}; add it first with: etcdctl member add {} \
                 --peer-urls={urls}",
                config.name
            );
        }
        sleep(ASK_INTERVAL).await;
    }
}

/// The terms in which others lead a quorum, for a member that has lost what it once acknowledged.
pub(super) async fn led_terms(config: &Config, peers: &Peers, member_id: u64) -> Vec<u64> {
    let places = ask_all(config, peers.connector()).await;
    let members = places.into_iter().flat_map(|place| place.members);
    let urls: BTreeMap<u64, String> = members
        .filter(|member| member.id != member_id)
        .filter_map(|member| Some((member.id, member.peer_urls.first()?.clone())))
        .collect();
    let asked = urls.iter().map(|(id, url)| peers.led_term(*id, url));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().flatten().collect()
}

/// A member that the others know and that has no data has lost it: as a new member it would vote again and could undo
/// what it had acknowledged. Whoever does not answer is not waited for, as in etcd.
pub(super) async fn refuse_second_bootstrap(
    assembly: &Assembly,
    data: &DataFolder,
) -> anyhow::Result<()> {
    if !data.may_initialize() {
        return Ok(());
    }
    let identity = data.identity();
    let places = ask_all(&assembly.config, assembly.peers.connector()).await;
    let is_known = places
        .iter()
        .filter(|place| place.cluster_id == identity.cluster_id)
        .flat_map(|place| &place.members)
        .any(|member| member.id == identity.member_id && !member.name.is_empty());
    if is_known {
        bail!(
            "member {:x} has already been bootstrapped and its data is gone; start it with --initial-cluster-state \
             existing, so that it copies the data from the others before it votes again",
            identity.member_id
        );
    }
    Ok(())
}

/// What each of the other members that the flags name says of the cluster, if it answers.
async fn ask_all(config: &Config, connector: &Connector) -> Vec<Place> {
    let others = config
        .initial_cluster
        .iter()
        .filter(|member| member.name != config.name);
    let asked = others.flat_map(|member| &member.peer_urls);
    let asked = asked.map(|url| raft::ask_members(connector, url.as_str()));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().flatten().collect()
}

/// The member of the cluster that has this one's peer URLs.
fn own_place(config: &Config, place: &Place) -> Option<Identity> {
    let mut own = texts(&config.initial_advertise_peer_urls);
    own.sort();
    let is_own = |urls: &Vec<String>| {
        let mut urls = urls.clone();
        urls.sort();
        urls == own
    };
    let mut members = place.members.iter();
    let member = members.find(|member| is_own(&member.peer_urls))?;
    Some(Identity {
        cluster_id: place.cluster_id,
        member_id: member.id,
    })
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.as_str().to_owned()).collect()
}
