//! Watches that survive what is done to their members: each goes on where it ended, as a watch of its own.

use std::time::Duration;

use anyhow::Result;
use check::history::{Blob, Record, WatchClosed, WatchOpened, WatchResponse};
use proto::etcdserverpb as pb;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{Client, watch_event};
use crate::record::Recorder;

/// Wait before a lost watch is opened again.
const PAUSE_AFTER_LOSS: Duration = Duration::from_millis(50);
/// How long a watch that begins in the past is kept.
const PAST_LIFE: Duration = Duration::from_secs(2);
/// How far back it begins, in revisions: sometimes behind a compaction.
const PAST_REVISIONS: i64 = 450;
/// A watch that is not confirmed by then is given up.
const CREATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two questions of a watch that asks how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(5);

/// What to watch.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Sees everything from revision 1 and stays with its member.
    pub witness: bool,
    /// First key.
    pub key: Blob,
    /// End of the range.
    pub range_end: Blob,
    /// Events carry what was there before.
    pub prev_kv: bool,
    /// Leave puts out.
    pub no_put: bool,
    /// Leave deletes out.
    pub no_delete: bool,
    /// The server says now and then how far it is.
    pub progress_notify: bool,
    /// It asks again and again how far it is.
    pub asks_progress: bool,
    /// A response may come in pieces.
    pub fragment: bool,
    /// It is let go after a while and begins again some way back, so that it has to catch up.
    pub past: bool,
}

impl Watched {
    /// All keys.
    pub fn everything() -> Watched {
        Watched {
            key: vec![0].into(),
            range_end: vec![0].into(),
            ..Watched::default()
        }
    }
}

/// A watcher at work.
#[derive(Debug)]
pub struct Watcher {
    watched: Watched,
    number: u32,
    urls: Vec<String>,
    member: usize,
    recorder: Recorder,
    /// Everything up to this revision was received, as far as it concerns the watch.
    seen: watch::Sender<i64>,
    /// A compaction is known to have given up everything before.
    oldest: i64,
    stop: watch::Receiver<bool>,
}

/// How far a watcher is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Everything up to this revision was received.
    pub seen: watch::Receiver<i64>,
    /// What it watches.
    pub watched: Watched,
    /// Its number as a client.
    pub number: u32,
}

/// Why a stream ended.
enum End {
    Stopped,
    Lost(String),
}

impl Watcher {
    /// A watcher that begins at one member; one that is no witness moves on when it loses its stream.
    pub fn new(
        watched: Watched,
        (number, member): (u32, usize),
        urls: Vec<String>,
        recorder: Recorder,
        stop: watch::Receiver<bool>,
    ) -> (Watcher, Place) {
        let seen = watch::Sender::new(0);
        let place = Place {
            seen: seen.subscribe(),
            watched: watched.clone(),
            number,
        };
        let watcher = Watcher {
            watched,
            number,
            urls,
            member,
            recorder,
            seen,
            oldest: 0,
            stop,
        };
        (watcher, place)
    }

    /// Watches until told to stop.
    ///
    /// # Errors
    /// When an address cannot be read.
    pub async fn run(mut self) -> Result<()> {
        loop {
            let url = &self.urls[self.member];
            // A witness waits for a member that says nothing; others turn to the next one.
            let mut client = if self.watched.witness {
                Client::new(url)?
            } else {
                Client::impatient(url)?
            };
            let id = self.recorder.next_id();
            let end = self.one_stream(&mut client, id).await;
            let reason = match &end {
                // A watch that was open to the end is judged to the end.
                End::Stopped => return Ok(()),
                End::Lost(reason) => reason.clone(),
            };
            let closed = WatchClosed {
                watch: id,
                time_ns: self.recorder.clock().nanos(),
                reason,
            };
            self.recorder.add(Record::WatchClosed(closed)).await;
            if !self.watched.witness {
                self.member = (self.member + 1) % self.urls.len();
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE_AFTER_LOSS) => {}
                _ = self.stop.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    fn opened(&self, id: u64) -> WatchOpened {
        let seen = *self.seen.borrow();
        let start_revision = match (seen, self.watched.witness) {
            (seen, _) if self.watched.past => (seen - PAST_REVISIONS).max(self.oldest).max(1),
            (0, true) => 1,
            (0, false) => 0,
            (seen, _) => (seen + 1).max(self.oldest),
        };
        let watched = &self.watched;
        WatchOpened {
            id,
            client: self.number,
            member: u32::try_from(self.member).expect("members are few"),
            time_ns: self.recorder.clock().nanos(),
            witness: watched.witness,
            key: watched.key.clone(),
            range_end: watched.range_end.clone(),
            start_revision,
            no_put: watched.no_put,
            no_delete: watched.no_delete,
            prev_kv: watched.prev_kv,
            fragment: watched.fragment,
            progress_notify: watched.progress_notify,
        }
    }

    async fn one_stream(&mut self, client: &mut Client, id: u64) -> End {
        let opened = self.opened(id);
        let request = create_request(&opened);
        self.recorder.add(Record::WatchOpened(opened)).await;
        // The sender is kept, because the stream ends with it.
        let (requests, waiting) = mpsc::channel(1);
        requests
            .try_send(request)
            .expect("a new queue has room for one");
        let opening =
            tokio::time::timeout(CREATE_TIMEOUT, client.watch(ReceiverStream::new(waiting)));
        let mut answers = match opening.await {
            Ok(Ok(answers)) => answers,
            Ok(Err(status)) => {
                return End::Lost(format!("{:?}: {}", status.code(), status.message()));
            }
            Err(_) => return End::Lost("no answer to the request for a stream".to_owned()),
        };
        let mut stop = self.stop.clone();
        let let_go = tokio::time::sleep(PAST_LIFE);
        tokio::pin!(let_go);
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let answer = tokio::select! {
                answer = answers.message() => answer,
                () = &mut let_go, if self.watched.past => return End::Lost("let go".to_owned()),
                _ = ticks.tick(), if self.watched.asks_progress => {
                    // A full queue has a question in it already.
                    requests.try_send(progress_request()).ok();
                    continue;
                }
                _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            };
            match answer {
                Ok(Some(answer)) => {
                    if let Some(reason) = self.received(id, answer).await {
                        return End::Lost(reason);
                    }
                }
                Ok(None) => return End::Lost("the stream ended".to_owned()),
                Err(status) => {
                    return End::Lost(format!("{:?}: {}", status.code(), status.message()));
                }
            }
        }
    }

    /// Takes note of a message; the reason when it was the last one.
    async fn received(&mut self, id: u64, answer: pb::WatchResponse) -> Option<String> {
        let revision = answer.header.map_or(0, |header| header.revision);
        let canceled = answer.canceled;
        if canceled {
            self.oldest = self.oldest.max(answer.compact_revision);
        }
        let response = WatchResponse {
            watch: id,
            time_ns: self.recorder.clock().nanos(),
            revision,
            created: answer.created,
            canceled,
            cancel_reason: answer.cancel_reason,
            compact_revision: answer.compact_revision,
            fragment: answer.fragment,
            events: answer.events.into_iter().map(watch_event).collect(),
        };
        let seen = self.seen_after(&response);
        let reason = canceled.then(|| format!("the server ended it: {}", response.cancel_reason));
        self.recorder.add(Record::Watch(response)).await;
        self.seen.send_if_modified(|before| {
            let grows = seen > *before;
            *before = seen.max(*before);
            grows
        });
        reason
    }

    /// Where a watch that follows this one has to begin, less one.
    fn seen_after(&self, response: &WatchResponse) -> i64 {
        let before = *self.seen.borrow();
        if response.canceled {
            return before;
        }
        match response.events.last() {
            // In the middle of pieces only the revisions before the last one are whole.
            Some(event) if response.fragment => event.kv.mod_revision - 1,
            Some(event) => event.kv.mod_revision,
            // A new watch without a start begins behind the revision of its confirmation.
            None if response.created && before == 0 && !self.watched.witness => response.revision,
            None if response.is_progress() => response.revision,
            None => before,
        }
    }
}

fn progress_request() -> pb::WatchRequest {
    let ask = pb::WatchProgressRequest {};
    pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::ProgressRequest(ask)),
    }
}

fn create_request(opened: &WatchOpened) -> pb::WatchRequest {
    use pb::watch_create_request::FilterType;
    let mut filters = Vec::new();
    if opened.no_put {
        filters.push(FilterType::Noput.into());
    }
    if opened.no_delete {
        filters.push(FilterType::Nodelete.into());
    }
    let create = pb::WatchCreateRequest {
        key: bytes::Bytes::copy_from_slice(opened.key.as_slice()),
        range_end: bytes::Bytes::copy_from_slice(opened.range_end.as_slice()),
        start_revision: opened.start_revision,
        progress_notify: opened.progress_notify,
        filters,
        prev_kv: opened.prev_kv,
        watch_id: 0,
        fragment: opened.fragment,
    };
    pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    }
}
