//! watch: events as they come, until the watch is cancelled or the program interrupted. When its member is gone, another one goes on.

use anyhow::{Context, Result, bail};
use clap::Parser;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use proto::mvccpb::event::EventType;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Status, Streaming};

use super::arguments::{Format, Watch, WatchLine};
use super::json::Json;
use super::print::{Printer, header_fields, header_json_fields, pair_json, unsupported};
use super::words::{self, invalid};
use super::{RECONNECT_PAUSE, Session, go, is_lost, kv};
use crate::client::ANSWER_BYTES_MAX;

/// Watches of the interactive form that wait to be asked for.
const REQUESTS_WAITING_MAX: usize = 16;
/// etcd's metadata key by which a stream ends when its member has lost the leader.
const REQUIRE_LEADER: &str = "hasleader";

pub(super) async fn run(session: &Session, watch: &Watch) -> Result<()> {
    if watch.interactive {
        return interactive(session).await;
    }
    let mut create = create(watch, 0)?;
    let mut left = 0;
    loop {
        // The stream of requests stays open: its end would end the watch.
        let request = wrapped(create.clone());
        let requests = tokio_stream::once(request).chain(tokio_stream::pending());
        let answers = open(session, left, requests).await?;
        let from = &mut create.start_revision;
        let lost = follow(session, answers, (from, &watch.command)).await?;
        if !is_lost(&lost) {
            return Err(lost.into());
        }
        left += 1;
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Shows events as they come, and keeps from which revision on the next are to be asked for. Returns what ended the stream.
async fn follow(
    session: &Session,
    mut answers: Streaming<WatchResponse>,
    (from, command): (&mut i64, &[String]),
) -> Result<Status> {
    while let Some(answer) = answers.next().await {
        let answer = match answer {
            Ok(answer) => answer,
            Err(status) => return Ok(status),
        };
        if answer.canceled {
            say_canceled(&answer);
            bail!("watch is canceled by the server");
        }
        if !answer.created {
            print(&session.printer, &answer)?;
            run_for_each(command, &answer).await?;
        }
        *from = next_revision(&answer, *from);
    }
    bail!("watch is canceled by the server")
}

/// The revision behind what a watch has told, which was to begin at `from`; 0 for the one that is next.
pub(super) fn next_revision(answer: &WatchResponse, from: i64) -> i64 {
    let header = answer.header.as_ref().map_or(0, |header| header.revision);
    let last = answer.events.last().and_then(|event| event.kv.as_ref());
    match last {
        Some(pair) => from.max(pair.mod_revision + 1),
        // A watch that begins now begins behind the revision at which it was made.
        None if answer.created && from > 0 => from,
        // All events up to this revision have been told.
        None => from.max(header + 1),
    }
}

/// Reads `watch` and `progress` lines from standard input, and shows the events of all the watches that they made.
async fn interactive(session: &Session) -> Result<()> {
    let (requests, waiting) = mpsc::channel(REQUESTS_WAITING_MAX);
    let mut answers = open(session, 0, ReceiverStream::new(waiting)).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    // A watch's number is its place here, counted from one.
    let mut commands: Vec<Vec<String>> = Vec::new();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let line = line.context("cannot read standard input")?;
                let line = line.ok_or_else(|| {
                    invalid("error reading watch request line: EOF".to_owned())
                })?;
                if let Some(request) = entered(&line, &mut commands)? {
                    requests.send(request).await?;
                }
            }
            answer = answers.next() => {
                let answer = answer.context("watch is canceled by the server")??;
                show(session, &answer, &commands).await?;
            }
        }
    }
}

/// The request that a line stands for; none for one that is only complained about. A watch that is made gets the next
/// number.
fn entered(line: &str, commands: &mut Vec<Vec<String>>) -> Result<Option<WatchRequest>> {
    let words = words::split(line)?;
    let Some(first) = words.first() else {
        eprintln!("Invalid command: {line} (watch and progress supported)");
        return Ok(None);
    };
    match first.as_encoded_bytes() {
        b"watch" => {}
        b"progress" => {
            let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
            let request_union = Some(progress);
            return Ok(Some(WatchRequest { request_union }));
        }
        _ => {
            eprintln!("Invalid command {line} (only support watch)");
            return Ok(None);
        }
    }
    if words.len() < 2 && std::env::var_os("ETCDCTL_WATCH_KEY").is_none() {
        eprintln!("Invalid command {line} (command type or key is not provided)");
        return Ok(None);
    }
    let mut watch = match WatchLine::try_parse_from(&words) {
        Ok(parsed) => parsed.watch,
        Err(error) => misuse!("{error}"),
    };
    if watch.range_end.is_some() && watch.prefix {
        eprintln!("Invalid command {line} (`range_end` and `--prefix` are mutually exclusive)");
        return Ok(None);
    }
    commands.push(std::mem::take(&mut watch.command));
    create(&watch, commands.len() as i64).map(|create| Some(wrapped(create)))
}

/// A watch by itself ends with its cancellation; among others it is only told.
async fn show(session: &Session, answer: &WatchResponse, commands: &[Vec<String>]) -> Result<()> {
    if answer.canceled {
        say_canceled(answer);
        return Ok(());
    }
    if answer.created {
        return Ok(());
    }
    print(&session.printer, answer)?;
    let number = usize::try_from(answer.watch_id).unwrap_or(0);
    let command = number.checked_sub(1).and_then(|place| commands.get(place));
    run_for_each(command.map_or(&[], |command| command), answer).await
}

fn create(watch: &Watch, watch_id: i64) -> Result<WatchCreateRequest> {
    let (key, range_end) = kv::keys(&watch.key, watch.range_end.as_deref(), watch.prefix, false)?;
    Ok(WatchCreateRequest {
        key,
        range_end,
        watch_id,
        start_revision: watch.rev,
        progress_notify: watch.progress_notify,
        prev_kv: watch.prev_kv,
        ..WatchCreateRequest::default()
    })
}

fn wrapped(create: WatchCreateRequest) -> WatchRequest {
    let request_union = Some(RequestUnion::CreateRequest(create));
    WatchRequest { request_union }
}

async fn open(
    session: &Session,
    left: usize,
    requests: impl Stream<Item = WatchRequest> + Send + 'static,
) -> Result<Streaming<WatchResponse>> {
    let client = WatchClient::new(session.channel_beyond(left).await?);
    let mut client = client.max_decoding_message_size(ANSWER_BYTES_MAX);
    Ok(client.watch(with_leader(requests)).await?.into_inner())
}

/// As etcdctl's: a stream that ends when its member has lost the leader, instead of saying nothing.
pub(super) fn with_leader<T>(stream: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(stream);
    let wanted = AsciiMetadataValue::from_static("true");
    request.metadata_mut().insert(REQUIRE_LEADER, wanted);
    request
}

fn say_canceled(answer: &WatchResponse) {
    if answer.compact_revision != 0 {
        eprintln!("watch was canceled (etcdserver: mvcc: required revision has been compacted)");
    } else {
        eprintln!("watch was canceled ({})", answer.cancel_reason);
    }
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
    // In every format, as etcdctl does.
    if answer.events.is_empty() {
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        outln!("progress notify: {revision}");
    }
    if printer.encoded(answer) {
        return Ok(());
    }
    match printer.format {
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
