//! lease grant, revoke, timetolive, list and keep-alive.

use anyhow::{Result, anyhow};
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};

use super::arguments::{Format, Lease};
use super::json::Json;
use super::kept::Kept;
use super::print::{Printer, header_fields, header_json_fields, unsupported};
use super::{Session, message};
use crate::client::ANSWER_BYTES_MAX;

pub(super) async fn run(session: &Session, command: Lease) -> Result<()> {
    if let Lease::KeepAlive { id, once } = command {
        return keep_alive(session, id, once).await;
    }
    let client = LeaseClient::new(session.channel().await?);
    let mut client = client.max_decoding_message_size(ANSWER_BYTES_MAX);
    match command {
        Lease::Grant { ttl_seconds } => {
            let request = LeaseGrantRequest {
                ttl: ttl_seconds,
                id: 0,
            };
            let answer = session.within(client.lease_grant(request)).await;
            let answer = answer.map_err(|error| failed("grant", &error))?;
            print_grant(&session.printer, &answer)
        }
        Lease::Revoke { id } => {
            let answer = session
                .within(client.lease_revoke(LeaseRevokeRequest { id }))
                .await;
            let answer = answer.map_err(|error| failed("revoke", &error))?;
            if session.printer.encoded(&answer) {
                return Ok(());
            }
            match session.printer.format {
                Format::Simple => outln!("lease {id:016x} revoked"),
                Format::Json => {
                    let header = header_json_fields(answer.header.as_ref());
                    outln!("{}", Json::Object(vec![("header", Json::Object(header))]));
                }
                Format::Fields => header_fields(answer.header.as_ref()),
                format @ (Format::Protobuf | Format::Table) => return unsupported(format),
            }
            Ok(())
        }
        Lease::Timetolive { id, keys } => {
            let request = LeaseTimeToLiveRequest { id, keys };
            let answer = session.within(client.lease_time_to_live(request)).await?;
            print_time_to_live(&session.printer, &answer, keys)
        }
        Lease::List => {
            let answer = session
                .within(client.lease_leases(LeaseLeasesRequest {}))
                .await?;
            print_list(&session.printer, &answer)
        }
        Lease::KeepAlive { .. } => unreachable!("it has its own connections"),
    }
}

fn failed(what: &str, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("failed to {what} lease ({})", message(error))
}

/// Renews at a third of the time the server gives, until the lease is gone. When a member does not answer, another one is asked.
async fn keep_alive(session: &Session, id: i64, once: bool) -> Result<()> {
    let (mut lease, found) = Kept::find(session, id).await?;
    let mut answer = Some(found).filter(|answer| answer.ttl > 0);
    while let Some(renewed) = answer {
        print_keep_alive(&session.printer, &renewed)?;
        if once {
            return Ok(());
        }
        answer = lease.renew(session).await;
    }
    outln!("lease {id:016x} expired or revoked.");
    Ok(())
}

fn print_grant(printer: &Printer, answer: &LeaseGrantResponse) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple => outln!("lease {:016x} granted with TTL({}s)", answer.id, answer.ttl),
        Format::Json => {
            let mut fields = header_json_fields(answer.header.as_ref());
            fields.push(("ID", Json::number(answer.id)));
            fields.push(("TTL", Json::number(answer.ttl)));
            fields.push(("Error", Json::Text(answer.error.clone())));
            outln!("{}", Json::Object(fields));
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            outln!("\"ID\" : {}\n\"TTL\" : {}", answer.id, answer.ttl);
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}

fn print_keep_alive(printer: &Printer, answer: &LeaseKeepAliveResponse) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple => outln!(
            "lease {:016x} keepalived with TTL({})",
            answer.id,
            answer.ttl
        ),
        Format::Json => {
            let mut fields = header_json_fields(answer.header.as_ref());
            fields.push(("ID", Json::number(answer.id)));
            fields.push(("TTL", Json::number(answer.ttl)));
            outln!("{}", Json::Object(fields));
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            outln!("\"ID\" : {}\n\"TTL\" : {}", answer.id, answer.ttl);
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}

fn print_time_to_live(
    printer: &Printer,
    answer: &LeaseTimeToLiveResponse,
    keys: bool,
) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple if answer.granted_ttl == 0 && answer.ttl == -1 => {
            outln!("lease {:016x} already expired", answer.id);
        }
        Format::Simple => {
            let LeaseTimeToLiveResponse {
                id,
                ttl,
                granted_ttl,
                ..
            } = answer;
            out!("lease {id:016x} granted with TTL({granted_ttl}s), remaining({ttl}s)");
            if keys {
                let names = answer.keys.iter().map(|key| String::from_utf8_lossy(key));
                out!(", attached keys([{}])", names.collect::<Vec<_>>().join(" "));
            }
            outln!();
        }
        Format::Json => {
            let attached = match answer.keys.as_slice() {
                [] => Json::Null,
                keys => Json::list(keys, |key| Json::bytes(key)),
            };
            let mut fields = header_json_fields(answer.header.as_ref());
            fields.push(("id", Json::number(answer.id)));
            fields.push(("ttl", Json::number(answer.ttl)));
            fields.push(("granted-ttl", Json::number(answer.granted_ttl)));
            fields.push(("keys", attached));
            outln!("{}", Json::Object(fields));
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            outln!("\"ID\" : {}\n\"TTL\" : {}", answer.id, answer.ttl);
            outln!("\"GrantedTTL\" : {}", answer.granted_ttl);
            answer
                .keys
                .iter()
                .for_each(|key| outln!("\"Key\" : {}", printer.quoted(key)));
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}

fn print_list(printer: &Printer, answer: &LeaseLeasesResponse) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple => {
            outln!("found {} leases", answer.leases.len());
            answer
                .leases
                .iter()
                .for_each(|lease| outln!("{:016x}", lease.id));
        }
        Format::Json => {
            let leases = Json::list(&answer.leases, |lease| {
                Json::Object(vec![("id", Json::number(lease.id))])
            });
            let mut fields = header_json_fields(answer.header.as_ref());
            fields.push(("leases", leases));
            outln!("{}", Json::Object(fields));
        }
        Format::Fields => {
            header_fields(answer.header.as_ref());
            answer
                .leases
                .iter()
                .for_each(|lease| outln!("\"ID\" : {}", lease.id));
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}
