//! member list, endpoint status, health and hashkv, alarm list and disarm.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, HashKvRequest, HashKvResponse, MemberListRequest,
    MemberListResponse, RangeRequest, StatusRequest, StatusResponse,
};

use super::arguments::{Alarm, AllMembers, Endpoint, Format, Member};
use super::json::Json;
use super::print::{Printer, header_fields, header_json, unsupported};
use super::{Service, Session, go, members, message, table};
use crate::client;

pub(super) async fn member(session: &Session, command: Member) -> Result<()> {
    let consistency = match command {
        Member::List { consistency } => consistency,
        change => return members::run(session, change).await,
    };
    let answer = member_list(session, consistency == "l").await?;
    match session.printer.format {
        Format::Protobuf => {
            session.printer.encoded(&answer);
        }
        Format::Simple => member_rows(&answer)
            .iter()
            .for_each(|row| outln!("{}", row.join(", "))),
        Format::Json => outln!("{}", member_list_json(&answer)),
        Format::Fields => {
            header_fields(answer.header.as_ref());
            for member in &answer.members {
                outln!("\"ID\" : {}\n\"Name\" : {:?}", member.id, member.name);
                member
                    .peer_ur_ls
                    .iter()
                    .for_each(|url| outln!("\"PeerURL\" : {url:?}"));
                member
                    .client_ur_ls
                    .iter()
                    .for_each(|url| outln!("\"ClientURL\" : {url:?}"));
                outln!("\"IsLearner\" : {}\n", member.is_learner);
            }
        }
        Format::Table => {
            let headings = [
                "ID",
                "STATUS",
                "NAME",
                "PEER ADDRS",
                "CLIENT ADDRS",
                "IS LEARNER",
            ];
            out!("{}", table::draw(&headings, &member_rows(&answer)));
        }
    }
    Ok(())
}

pub(super) async fn member_list(
    session: &Session,
    linearizable: bool,
) -> Result<MemberListResponse> {
    let mut client = ClusterClient::new(session.channel().await?);
    session
        .within(client.member_list(MemberListRequest { linearizable }))
        .await
}

fn member_rows(answer: &MemberListResponse) -> Vec<Vec<String>> {
    let rows = answer.members.iter().map(|member| {
        vec![
            format!("{:x}", member.id),
            if member.name.is_empty() {
                "unstarted"
            } else {
                "started"
            }
            .to_owned(),
            member.name.clone(),
            member.peer_ur_ls.join(","),
            member.client_ur_ls.join(","),
            member.is_learner.to_string(),
        ]
    });
    rows.collect()
}

fn member_list_json(answer: &MemberListResponse) -> Json {
    let members = Json::list(&answer.members, member_json);
    Json::sparse([header_json(answer.header.as_ref()), ("members", members)])
}

pub(super) fn member_json(member: &proto::etcdserverpb::Member) -> Json {
    let text = |text: &String| Json::Text(text.clone());
    Json::sparse([
        ("ID", Json::number(member.id)),
        ("name", text(&member.name)),
        ("peerURLs", Json::list(&member.peer_ur_ls, text)),
        ("clientURLs", Json::list(&member.client_ur_ls, text)),
        ("isLearner", Json::Bool(member.is_learner)),
    ])
}

pub(super) async fn endpoint(session: &Session, command: Endpoint) -> Result<()> {
    let members = match &command {
        Endpoint::Status(members) | Endpoint::Health(members) => *members,
        Endpoint::Hashkv { members, .. } => *members,
    };
    let endpoints = endpoints(session, members).await?;
    match command {
        Endpoint::Status(_) => status(session, &endpoints).await,
        Endpoint::Health(_) => health(session, &endpoints).await,
        Endpoint::Hashkv { rev, .. } => hash(session, &endpoints, rev).await,
    }
}

pub(super) async fn endpoints(session: &Session, members: AllMembers) -> Result<Vec<String>> {
    if !members.cluster {
        return Ok(session.global.endpoints.clone());
    }
    let answer = member_list(session, true).await?;
    Ok(answer
        .members
        .into_iter()
        .flat_map(|member| member.client_ur_ls)
        .collect())
}

pub(super) async fn channel(session: &Session, endpoint: &str) -> Result<Service> {
    let dial_timeout = session.global.dial_timeout;
    let channel = client::connect(endpoint, &session.security, dial_timeout).await?;
    session.authorized(channel).await
}

async fn status(session: &Session, endpoints: &[String]) -> Result<()> {
    let mut answers = Vec::new();
    let mut failed = false;
    for endpoint in endpoints {
        let answer = async {
            let mut client = MaintenanceClient::new(channel(session, endpoint).await?);
            session.within(client.status(StatusRequest {})).await
        };
        match answer.await {
            Ok(answer) => answers.push((endpoint.as_str(), answer)),
            Err(error) => {
                failed = true;
                eprintln!(
                    "Failed to get the status of endpoint {endpoint} ({})",
                    message(&error)
                );
            }
        }
    }
    print_status(session.printer.format, &answers)?;
    if failed {
        bail!("not every endpoint answered")
    } else {
        Ok(())
    }
}

fn print_status(format: Format, answers: &[(&str, StatusResponse)]) -> Result<()> {
    let rows = || {
        answers
            .iter()
            .map(|(endpoint, answer)| status_row(endpoint, answer))
    };
    match format {
        Format::Protobuf => return unsupported(format),
        Format::Simple => rows().for_each(|row| outln!("{}", row.join(", "))),
        Format::Json => outln!("{}", Json::list(answers, status_json)),
        Format::Fields => answers.iter().for_each(status_fields),
        Format::Table => {
            let headings = [
                "ENDPOINT",
                "ID",
                "VERSION",
                "DB SIZE",
                "IS LEADER",
                "IS LEARNER",
                "RAFT TERM",
                "RAFT INDEX",
                "RAFT APPLIED INDEX",
                "ERRORS",
            ];
            out!("{}", table::draw(&headings, &rows().collect::<Vec<_>>()));
        }
    }
    Ok(())
}

fn member_id(answer: &StatusResponse) -> u64 {
    answer.header.as_ref().map_or(0, |header| header.member_id)
}

fn status_row(endpoint: &str, answer: &StatusResponse) -> Vec<String> {
    vec![
        endpoint.to_owned(),
        format!("{:x}", member_id(answer)),
        answer.version.clone(),
        go::bytes(answer.db_size.unsigned_abs()),
        (answer.leader == member_id(answer)).to_string(),
        answer.is_learner.to_string(),
        answer.raft_term.to_string(),
        answer.raft_index.to_string(),
        answer.raft_applied_index.to_string(),
        answer.errors.join(", "),
    ]
}

fn status_json((endpoint, answer): &(&str, StatusResponse)) -> Json {
    let status = Json::sparse([
        header_json(answer.header.as_ref()),
        ("version", Json::Text(answer.version.clone())),
        ("dbSize", Json::number(answer.db_size)),
        ("leader", Json::number(answer.leader)),
        ("raftIndex", Json::number(answer.raft_index)),
        ("raftTerm", Json::number(answer.raft_term)),
        ("raftAppliedIndex", Json::number(answer.raft_applied_index)),
        (
            "errors",
            Json::list(&answer.errors, |error| Json::Text(error.clone())),
        ),
        ("dbSizeInUse", Json::number(answer.db_size_in_use)),
        ("isLearner", Json::Bool(answer.is_learner)),
    ]);
    Json::Object(vec![
        ("Endpoint", Json::Text((*endpoint).to_owned())),
        ("Status", status),
    ])
}

fn status_fields((endpoint, answer): &(&str, StatusResponse)) {
    header_fields(answer.header.as_ref());
    outln!("\"Version\" : {:?}", answer.version);
    outln!("\"DBSize\" : {}", answer.db_size);
    outln!("\"Leader\" : {}", answer.leader);
    outln!("\"IsLearner\" : {}", answer.is_learner);
    outln!("\"RaftIndex\" : {}", answer.raft_index);
    outln!("\"RaftTerm\" : {}", answer.raft_term);
    outln!("\"RaftAppliedIndex\" : {}", answer.raft_applied_index);
    outln!("\"Errors\" : {:?}", answer.errors);
    outln!("\"Endpoint\" : {endpoint:?}\n");
}

struct Health<'a> {
    endpoint: &'a str,
    took: Duration,
    error: Option<String>,
}

/// Healthy is who answers a linearizable read; the key need not exist.
async fn health(session: &Session, endpoints: &[String]) -> Result<()> {
    let mut answers = Vec::new();
    for endpoint in endpoints {
        let started = Instant::now();
        let asking = async {
            let mut client = KvClient::new(channel(session, endpoint).await?);
            let request = RangeRequest {
                key: "health".into(),
                ..RangeRequest::default()
            };
            session.within(client.range(request)).await
        };
        let error = asking.await.err().map(|error| message(&error));
        answers.push(Health {
            endpoint,
            took: started.elapsed(),
            error,
        });
    }
    print_health(session.printer.format, &answers)?;
    if answers.iter().any(|answer| answer.error.is_some()) {
        bail!("unhealthy cluster");
    }
    Ok(())
}

fn print_health(format: Format, answers: &[Health<'_>]) -> Result<()> {
    match format {
        Format::Protobuf => return unsupported(format),
        Format::Fields => {
            for Health {
                endpoint,
                took,
                error,
            } in answers
            {
                outln!(
                    "\"Endpoint\" : {endpoint:?}\n\"Health\" : {}",
                    error.is_none()
                );
                outln!("\"Took\" : {}", go::duration(*took));
                outln!("\"Error\" : {}\n", error.as_deref().unwrap_or_default());
            }
        }
        Format::Simple => {
            for Health {
                endpoint,
                took,
                error,
            } in answers
            {
                let took = go::duration(*took);
                match error {
                    None => outln!(
                        "{endpoint} is healthy: successfully committed proposal: took = {took}"
                    ),
                    Some(error) => {
                        outln!("{endpoint} is unhealthy: failed to commit proposal: {error}");
                    }
                }
            }
        }
        Format::Json => outln!("{}", Json::list(answers, health_json)),
        Format::Table => {
            let rows = answers.iter().map(
                |Health {
                     endpoint,
                     took,
                     error,
                 }| {
                    let healthy = error.is_none().to_string();
                    let error = error.clone().unwrap_or_default();
                    vec![(*endpoint).to_owned(), healthy, go::duration(*took), error]
                },
            );
            let rows: Vec<_> = rows.collect();
            out!(
                "{}",
                table::draw(&["ENDPOINT", "HEALTH", "TOOK", "ERROR"], &rows)
            );
        }
    }
    Ok(())
}

fn health_json(health: &Health<'_>) -> Json {
    let mut fields = vec![
        ("endpoint", Json::Text(health.endpoint.to_owned())),
        ("health", Json::Bool(health.error.is_none())),
        ("took", Json::Text(go::duration(health.took))),
    ];
    fields.extend(
        health
            .error
            .iter()
            .map(|error| ("error", Json::Text(error.clone()))),
    );
    Json::Object(fields)
}

async fn hash(session: &Session, endpoints: &[String], revision: i64) -> Result<()> {
    let mut answers = Vec::new();
    for endpoint in endpoints {
        let mut client = MaintenanceClient::new(channel(session, endpoint).await?);
        let answer = session
            .within(client.hash_kv(HashKvRequest { revision }))
            .await?;
        answers.push((endpoint.as_str(), answer));
    }
    let rows = || {
        answers
            .iter()
            .map(|(endpoint, answer)| vec![(*endpoint).to_owned(), answer.hash.to_string()])
    };
    match session.printer.format {
        format @ Format::Protobuf => return unsupported(format),
        Format::Simple => rows().for_each(|row| outln!("{}", row.join(", "))),
        Format::Json => outln!("{}", Json::list(&answers, hash_json)),
        Format::Fields => {
            for (endpoint, answer) in &answers {
                header_fields(answer.header.as_ref());
                outln!("\"Endpoint\" : {endpoint:?}\n\"Hash\" : {}\n", answer.hash);
            }
        }
        Format::Table => {
            out!(
                "{}",
                table::draw(&["ENDPOINT", "HASH"], &rows().collect::<Vec<_>>())
            );
        }
    }
    Ok(())
}

fn hash_json((endpoint, answer): &(&str, HashKvResponse)) -> Json {
    let hash = Json::sparse([
        header_json(answer.header.as_ref()),
        ("hash", Json::number(answer.hash)),
        ("compact_revision", Json::number(answer.compact_revision)),
        ("hash_revision", Json::number(answer.hash_revision)),
    ]);
    Json::Object(vec![
        ("Endpoint", Json::Text((*endpoint).to_owned())),
        ("HashKV", hash),
    ])
}

pub(super) async fn alarm(session: &Session, command: Alarm) -> Result<()> {
    let mut client = MaintenanceClient::new(session.channel().await?);
    let list = AlarmRequest {
        action: AlarmAction::Get.into(),
        ..AlarmRequest::default()
    };
    let listed = session.within(client.alarm(list)).await?;
    let Alarm::Disarm = command else {
        return print_alarms(&session.printer, &listed);
    };
    // One answer for all, as etcd's client makes it.
    let mut disarmed = AlarmResponse::default();
    for alarm in listed.alarms {
        let disarm = AlarmRequest {
            action: AlarmAction::Deactivate.into(),
            member_id: alarm.member_id,
            alarm: alarm.alarm,
        };
        let answer = session.within(client.alarm(disarm)).await?;
        disarmed.alarms.extend(answer.alarms);
    }
    print_alarms(&session.printer, &disarmed)
}

fn print_alarms(printer: &Printer, answer: &AlarmResponse) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple => {
            for alarm in &answer.alarms {
                // The alarm of the whole cluster names no member.
                if alarm.member_id != 0 {
                    out!("memberID:{} ", alarm.member_id);
                }
                outln!("alarm:{} ", alarm.alarm().as_str_name());
            }
        }
        Format::Json => {
            let alarms = Json::list(&answer.alarms, |alarm| {
                Json::sparse([
                    ("memberID", Json::number(alarm.member_id)),
                    ("alarm", Json::number(alarm.alarm)),
                ])
            });
            outln!(
                "{}",
                Json::sparse([header_json(answer.header.as_ref()), ("alarms", alarms)])
            );
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            for alarm in &answer.alarms {
                outln!(
                    "\"MemberID\" : {}\n\"AlarmType\" : {:?}\n",
                    alarm.member_id,
                    alarm.alarm
                );
            }
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}
