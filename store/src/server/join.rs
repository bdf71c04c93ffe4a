//! A member that comes into a cluster which is there already: the others say who it is and whom they follow.

use std::collections::{BTreeMap, BTreeSet};
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
        let places = ask_all(&flags_urls(config), connector).await;
        if let Some(identity) = own_identity(config, &places) {
            return Ok(identity);
        }
        if places.is_empty() {
            tracing::warn!(
                "no other member of --initial-cluster answers; asking them again which member this is"
            );
        } else if answered.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            let urls = Url::texts(&config.initial_advertise_peer_urls).join(",");
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
pub(super) async fn led_terms(urls: &BTreeSet<String>, peers: &Peers, member_id: u64) -> Vec<u64> {
    let places = ask_all(urls, peers.connector()).await;
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
/// what it had acknowledged. Nor does one come back that was removed. Whoever does not answer is not waited for, as in
/// etcd.
pub(super) async fn refuse_second_bootstrap(
    assembly: &Assembly,
    data: &DataFolder,
) -> anyhow::Result<()> {
    if !data.may_initialize() {
        return Ok(());
    }
    let identity = data.identity();
    let id = identity.member_id;
    let places = ask_all(&others(assembly), assembly.peers.connector()).await;
    for place in own_cluster(&places, identity) {
        if place.removed.contains(&id) {
            bail!(
                "member {id:x} was removed from this cluster for good; add a new member with: etcdctl member add {} \
                 --peer-urls=…, and start that with --initial-cluster-state existing",
                assembly.config.name
            );
        }
        let mut members = place.members.iter();
        if members.any(|member| member.id == id && !member.name.is_empty()) {
            bail!(
                "member {id:x} has already been bootstrapped and its data is gone; start it with \
                 --initial-cluster-state existing, so that it copies the data from the others before it votes again"
            );
        }
    }
    Ok(())
}

/// Whether one of the others says that this member was removed from the cluster.
pub(super) async fn is_removed(assembly: &Assembly, identity: Identity) -> bool {
    let places = ask_all(&others(assembly), assembly.peers.connector()).await;
    own_cluster(&places, identity).any(|place| place.removed.contains(&identity.member_id))
}

/// Where other members may be reached, by the flags and by the log.
pub(super) fn others(assembly: &Assembly) -> BTreeSet<String> {
    let others = assembly.members.others(assembly.member_id);
    let mut urls: BTreeSet<String> = others.flat_map(|member| member.peer_urls).collect();
    urls.extend(flags_urls(&assembly.config));
    urls
}

fn flags_urls(config: &Config) -> BTreeSet<String> {
    let members = config.initial_cluster.iter();
    let others = members.filter(|member| member.name != config.name);
    let urls = others.flat_map(|member| Url::texts(&member.peer_urls));
    urls.collect()
}

fn own_cluster(places: &[Place], identity: Identity) -> impl Iterator<Item = &Place> {
    places
        .iter()
        .filter(move |place| place.cluster_id == identity.cluster_id)
}

/// What each member behind these URLs says of the cluster, if it answers and is part of one.
async fn ask_all(urls: &BTreeSet<String>, connector: &Connector) -> Vec<Place> {
    let asked = urls.iter().map(|url| raft::ask_members(connector, url));
    let answers = futures::future::join_all(asked).await;
    let answers = answers.into_iter().flatten();
    answers.filter(|place| !place.members.is_empty()).collect()
}

/// The member of the cluster that has this one's peer URLs. One that answers may lag behind: what another one says is
/// removed is none, and while they name different ones nobody is believed.
fn own_identity(config: &Config, places: &[Place]) -> Option<Identity> {
    let mut own = Url::texts(&config.initial_advertise_peer_urls);
    own.sort();
    let removed: BTreeSet<u64> = places
        .iter()
        .flat_map(|place| place.removed.iter().copied())
        .collect();
    let mut named = BTreeSet::new();
    for place in places {
        for member in &place.members {
            let mut urls = member.peer_urls.clone();
            urls.sort();
            if urls == own && !removed.contains(&member.id) {
                named.insert((place.cluster_id, member.id));
            }
        }
    }
    match named.into_iter().collect::<Vec<_>>()[..] {
        [(cluster_id, member_id)] => Some(Identity {
            cluster_id,
            member_id,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Parsed;
    use crate::replica::Member;

    fn config() -> Config {
        let flags = [
            "--name=d",
            "--initial-advertise-peer-urls=http://127.0.0.1:4",
            "--listen-peer-urls=http://127.0.0.1:4",
            "--initial-cluster=d=http://127.0.0.1:4,a=http://127.0.0.1:1",
        ];
        match Config::parse(flags.map(str::to_owned), []).unwrap() {
            Parsed::Run(config) => *config,
            Parsed::Print(text) => panic!("{text}"),
        }
    }

    fn place(members: &[u64], removed: &[u64]) -> Place {
        let member = |id: &u64| Member {
            id: *id,
            peer_urls: vec!["http://127.0.0.1:4".to_owned()],
            ..Member::default()
        };
        Place {
            cluster_id: 1,
            members: members.iter().map(member).collect(),
            removed: removed.iter().copied().collect(),
        }
    }

    #[test]
    fn a_member_is_who_the_others_say_it_is() {
        let named = |places: &[Place]| own_identity(&config(), places).map(|own| own.member_id);
        assert_eq!(named(&[place(&[7], &[])]), Some(7));
        assert_eq!(named(&[place(&[7], &[]), place(&[7], &[])]), Some(7));
        assert_eq!(named(&[]), None);
        // One that lags behind still has the member that was there before.
        assert_eq!(named(&[place(&[6], &[]), place(&[7], &[6])]), Some(7));
        assert_eq!(named(&[place(&[6], &[]), place(&[7], &[])]), None);
        assert_eq!(
            flags_urls(&config()),
            BTreeSet::from(["http://127.0.0.1:1".to_owned()])
        );
    }
}
