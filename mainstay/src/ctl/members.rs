//! Changes of members and of leadership, and defrag.

use std::time::Instant;

use anyhow::{Context, Result};
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{
    DefragmentRequest, MemberAddRequest, MemberAddResponse, MemberPromoteRequest,
    MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest, ResponseHeader, StatusRequest,
};

use super::arguments::{AllMembers, Format, Member};
use super::cluster::{channel, endpoints, member_json};
use super::json::Json;
use super::print::{header_json, unsupported};
use super::{Session, go, message};

pub(super) async fn run(session: &Session, command: Member) -> Result<()> {
    let mut client = ClusterClient::new(session.channel().await?);
    match command {
        Member::List { .. } => Ok(()),
        Member::Add {
            name,
            peer_urls,
            learner,
        } => {
            let request = MemberAddRequest {
                peer_ur_ls: peer_urls,
                is_learner: learner,
            };
            let answer = session.within(client.member_add(request)).await?;
            print_added(session, &name, &answer)
        }
        Member::Remove { id } => {
            let request = MemberRemoveRequest { id };
            let answer = session.within(client.member_remove(request)).await?;
            done(
                session,
                (id, "removed from"),
                &answer.header,
                &answer.members,
                &answer,
            )
        }
        Member::Update { id, peer_urls } => {
            let request = MemberUpdateRequest {
                id,
                peer_ur_ls: peer_urls,
            };
            let answer = session.within(client.member_update(request)).await?;
            done(
                session,
                (id, "updated in"),
                &answer.header,
                &answer.members,
                &answer,
            )
        }
        Member::Promote { id } => {
            let request = MemberPromoteRequest { id };
            let answer = session.within(client.member_promote(request)).await?;
            done(
                session,
                (id, "promoted in"),
                &answer.header,
                &answer.members,
                &answer,
            )
        }
    }
}

fn cluster_id(header: &Option<ResponseHeader>) -> u64 {
    header.as_ref().map_or(0, |header| header.cluster_id)
}

fn done(
    session: &Session,
    (id, what): (u64, &str),
    header: &Option<ResponseHeader>,
    members: &[proto::etcdserverpb::Member],
    answer: &impl prost::Message,
) -> Result<()> {
    match session.printer.format {
        Format::Simple => outln!("Member {id:16x} {what} cluster {:16x}", cluster_id(header)),
        Format::Json => {
            let members = Json::list(members, member_json);
            outln!(
                "{}",
                Json::sparse([header_json(header.as_ref()), ("members", members)])
            );
        }
        Format::Protobuf => {
            session.printer.encoded(answer);
        }
        format @ (Format::Fields | Format::Table) => return unsupported(format),
    }
    Ok(())
}

fn print_added(session: &Session, name: &str, answer: &MemberAddResponse) -> Result<()> {
    let added = answer
        .member
        .as_ref()
        .context("an answer without its member")?;
    match session.printer.format {
        Format::Simple => {
            let cluster = cluster_id(&answer.header);
            outln!("Member {:16x} added to cluster {cluster:16x}", added.id);
            print_flags(name, answer, added);
        }
        Format::Json => {
            let answer = Json::sparse([
                header_json(answer.header.as_ref()),
                ("member", member_json(added)),
                ("members", Json::list(&answer.members, member_json)),
            ]);
            outln!("{answer}");
        }
        Format::Protobuf => {
            session.printer.encoded(answer);
        }
        format @ (Format::Fields | Format::Table) => return unsupported(format),
    }
    Ok(())
}

/// What the new member's process is to be started with.
fn print_flags(name: &str, answer: &MemberAddResponse, added: &proto::etcdserverpb::Member) {
    let peers = answer.members.iter().flat_map(|member| {
        let name = if member.id == added.id {
            name
        } else {
            member.name.as_str()
        };
        member
            .peer_ur_ls
            .iter()
            .map(move |url| format!("{name}={url}"))
    });
    outln!("\nETCD_NAME={name:?}");
    let peers: Vec<String> = peers.collect();
    outln!("ETCD_INITIAL_CLUSTER=\"{}\"", peers.join(","));
    outln!(
        "ETCD_INITIAL_ADVERTISE_PEER_URLS={:?}",
        added.peer_ur_ls.join(",")
    );
    outln!("ETCD_INITIAL_CLUSTER_STATE=\"existing\"");
}

pub(super) async fn defrag(session: &Session, members: AllMembers) -> Result<()> {
    let mut failed = 0;
    for endpoint in endpoints(session, members).await? {
        let began = Instant::now();
        let asking = async {
            let mut client = MaintenanceClient::new(channel(session, &endpoint).await?);
            session
                .within(client.defragment(DefragmentRequest {}))
                .await
        };
        match asking.await {
            Ok(_) => {
                let took = go::duration(began.elapsed());
                outln!("Finished defragmenting etcd member[{endpoint}]. took {took}");
            }
            Err(error) => {
                failed += 1;
                let error = message(&error);
                eprintln!("Failed to defragment etcd member[{endpoint}] ({error})");
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} members did not answer");
    Ok(())
}

/// Asks the one of the endpoints that leads.
pub(super) async fn move_leader(session: &Session, target: u64) -> Result<()> {
    for endpoint in &session.global.endpoints {
        let Ok(channel) = channel(session, endpoint).await else {
            continue;
        };
        let mut client = MaintenanceClient::new(channel);
        let Ok(status) = session.within(client.status(StatusRequest {})).await else {
            continue;
        };
        let id = status.header.map_or(0, |header| header.member_id);
        if id != status.leader {
            continue;
        }
        let request = MoveLeaderRequest { target_id: target };
        session.within(client.move_leader(request)).await?;
        outln!("Leadership transferred from {id:x} to {target:x}");
        return Ok(());
    }
    misuse!(
        "no leader endpoint given at [{}]",
        session.global.endpoints.join(" ")
    )
}
