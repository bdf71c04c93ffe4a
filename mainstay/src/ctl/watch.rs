//! watch: events as they come, until the watch is cancelled or the program interrupted.

use anyhow::{Context, Result, bail};
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use proto::mvccpb::event::EventType;
use tokio::process::Command;
use tokio_stream::StreamExt;

use super::arguments::{Format, Watch};
use super::json::Json;
use super::print::{Printer, header_fields, header_json_fields, pair_json, unsupported};
use super::{Session, go, kv};
use crate::client::ANSWER_BYTES_MAX;

pub(super) async fn run(session: &Session, watch: &Watch) -> Result<()> {
    let (key, range_end) = kv::keys(&watch.key, watch.range_end.as_deref(), watch.prefix, false)?;
    let create = WatchCreateRequest {
        key,
        range_end,
        start_revision: watch.rev,
        progress_notify: watch.progress_notify,
        prev_kv: watch.prev_kv,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    // The stream of requests stays open: its end would end the watch.
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let client = WatchClient::new(session.channel().await?);
    let mut client = client.max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut answers = client.watch(requests).await?.into_inner();
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if answer.canceled {
            if answer.compact_revision != 0 {
                eprintln!(
                    "watch was canceled (etcdserver: mvcc: required revision has been compacted)"
                );
            } else {
                eprintln!("watch was canceled ({})", answer.cancel_reason);
            }
            bail!("watch is canceled by the server");
        }
        if !answer.created {
            print(&session.printer, &answer)?;
            run_for_each(&watch.command, &answer).await?;
        }
    }
    bail!("watch is canceled by the server")
}

/// Runs the command for one event after the other; one that fails ends the watch.
async fn run_for_each(command: &[String], answer: &WatchResponse) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let revision = answer.header.as_ref().map_or(0, |header| header.revision);
    for event in &answer.events {
        let pair = event.kv.as_ref().context("an event without a key")?;
        let kind = go::quoted(event.r#type().as_str_name().as_bytes());
        let status = Command::new(program)
            .args(arguments)
            .env("ETCD_WATCH_REVISION", revision.to_string())
            .env("ETCD_WATCH_EVENT_TYPE", kind)
            .env("ETCD_WATCH_KEY", go::quoted(&pair.key))
            .env("ETCD_WATCH_VALUE", go::quoted(&pair.value))
            .status()
            .await
            .with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("command {command:?} error ({status})");
        }
    }
    Ok(())
}

fn print(printer: &Printer, answer: &WatchResponse) -> Result<()> {
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
        Format::Simple if answer.events.is_empty() => {
            let revision = answer.header.as_ref().map_or(0, |header| header.revision);
            outln!("progress notify: {revision}");
        }
        Format::Simple => {
            for event in &answer.events {
                outln!("{}", event.r#type().as_str_name());
                event.prev_kv.iter().for_each(|pair| printer.pair(pair));
                printer.pair(event.kv.as_ref().context("an event without a key")?);
            }
        }
        Format::Json => outln!("{}", watch_json(answer)),
        Format::Fields => {
            header_fields(answer.header.as_ref());
            for event in &answer.events {
                outln!("\"Type\" : {}", event.r#type().as_str_name());
                event
                    .prev_kv
                    .iter()
                    .for_each(|pair| printer.pair_fields("Prev", pair));
                printer.pair_fields("", event.kv.as_ref().context("an event without a key")?);
            }
        }
        format @ (Format::Protobuf | Format::Table) => return unsupported(format),
    }
    Ok(())
}

fn watch_json(answer: &WatchResponse) -> Json {
    let events = Json::list(&answer.events, |event| {
        let kind = match event.r#type() {
            EventType::Put => 0,
            EventType::Delete => 1,
        };
        Json::sparse([
            ("type", Json::number(kind)),
            ("kv", event.kv.as_ref().map_or(Json::Null, pair_json)),
            (
                "prev_kv",
                event.prev_kv.as_ref().map_or(Json::Null, pair_json),
            ),
        ])
    });
    Json::Object(vec![
        (
            "Header",
            Json::Object(header_json_fields(answer.header.as_ref())),
        ),
        ("Events", events),
        ("CompactRevision", Json::number(answer.compact_revision)),
        ("Canceled", Json::Bool(answer.canceled)),
        ("Created", Json::Bool(answer.created)),
    ])
}
