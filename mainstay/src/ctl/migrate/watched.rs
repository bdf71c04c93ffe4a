//! The source's revisions as they come, in order and without holes, with a bound on what waits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::revision::{Assembly, Revision};
use super::side::{Connection, RETURN_TIMEOUT, Side, is_final, stop};

/// Bytes of revisions that were read and are not on the target. What is beyond waits at the source.
const WAITING_BYTES_MAX: u32 = 64 << 20;
/// Revisions of that kind.
const WAITING_REVISIONS_MAX: usize = 4096;
/// How long a watch may say nothing before the source is asked whether there was nothing to say.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How often in a row a watch is begun again and brings nothing.
const RESUMES_MAX: u32 = 10;

/// The queue of what was read; an error is the last that comes.
pub(super) type Revisions = mpsc::Receiver<Result<Revision>>;

/// Where revisions are sent to, and the memory that they may take.
struct Outlet {
    queue: mpsc::Sender<Result<Revision>>,
    room: Arc<Semaphore>,
}

pub(super) fn queue() -> (mpsc::Sender<Result<Revision>>, Revisions) {
    mpsc::channel(WAITING_REVISIONS_MAX)
}

/// Watches all keys of the source after a revision, and goes on elsewhere when a member is lost. Ends with an error, or
/// when nobody takes any more.
pub(super) async fn run(source: &Side, after: i64, queue: mpsc::Sender<Result<Revision>>) {
    let outlet = Outlet {
        queue,
        room: Arc::new(Semaphore::new(WAITING_BYTES_MAX as usize)),
    };
    let mut assembly = Assembly::after(after);
    let mut resumes = 0;
    loop {
        let before = assembly.last();
        let Err(error) = watch(source, &mut assembly, &outlet).await else {
            return;
        };
        resumes = if assembly.last() > before {
            0
        } else {
            resumes + 1
        };
        if is_final(&error) || resumes > RESUMES_MAX {
            // Nobody takes it when the migration is over.
            let _ = outlet.queue.send(Err(error)).await;
            return;
        }
        assembly = Assembly::after(assembly.last());
    }
}

/// Until something fails, or nobody takes any more.
async fn watch(source: &Side, assembly: &mut Assembly, outlet: &Outlet) -> Result<()> {
    let connection = source.connect_within(RETURN_TIMEOUT).await?;
    let mut answers = begin(&connection, assembly.last() + 1).await?;
    let mut late_at = None;
    loop {
        let Ok(answer) = timeout(SILENCE_MAX, answers.message()).await else {
            let missed = connection.revision().await? > assembly.last();
            if missed && late_at == Some(assembly.last()) {
                bail!("the watch says nothing while the source is written to");
            }
            late_at = missed.then_some(assembly.last());
            continue;
        };
        let Some(answer) = answer? else {
            bail!("the source ended the watch");
        };
        check_not_canceled(&answer, assembly.last())?;
        for revision in assembly.take(answer)? {
            if !send(revision, outlet).await {
                return Ok(());
            }
        }
    }
}

async fn begin(connection: &Connection, start_revision: i64) -> Result<Streaming<WatchResponse>> {
    let create = WatchCreateRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        start_revision,
        fragment: true,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    // The stream of requests stays open: its end would end the watch.
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut client = connection.watch();
    connection.within(client.watch(requests)).await
}

fn check_not_canceled(answer: &WatchResponse, last: i64) -> Result<()> {
    if answer.canceled && answer.compact_revision != 0 {
        return Err(stop(format!(
            "the source was compacted up to revision {}, and the target is at {last}: what is between them is gone. Take a \
             new copy; let the source keep its history for longer, or the target catch up sooner",
            answer.compact_revision
        )));
    }
    if answer.canceled {
        bail!("the source canceled the watch: {}", answer.cancel_reason);
    }
    Ok(())
}

/// Waits for room; false when nobody takes it any more.
async fn send(mut revision: Revision, outlet: &Outlet) -> bool {
    let bytes = u32::try_from(revision.bytes).unwrap_or(u32::MAX);
    let room = outlet
        .room
        .clone()
        .acquire_many_owned(bytes.min(WAITING_BYTES_MAX));
    let Ok(room) = room.await else {
        return false;
    };
    revision.room = Some(room);
    outlet.queue.send(Ok(revision)).await.is_ok()
}
