//! One watch stream of one server, with everything it has delivered, watch by watch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::mvccpb::Event;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{ANSWER_TIMEOUT, Client};

/// Requests under way to the server at most.
const REQUESTS_MAX: usize = 16;

/// What one watch has delivered since it was last agreed on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    pub(super) id: i64,
    /// What was answered to its creation.
    pub(super) created: pb::WatchResponse,
    pub(super) events: Vec<Event>,
    /// Why it ended: compact revision and reason.
    pub(super) ended: Option<(i64, String)>,
}

/// What the stream has brought.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// In the order of their creation.
    pub(super) records: Vec<Record>,
    /// Answers to creations, and ends, that nobody has taken yet.
    controls: VecDeque<pb::WatchResponse>,
    /// Header revisions of progress responses for the whole stream.
    pub(super) progress: Vec<i64>,
    /// What no server may do.
    pub(super) faults: Vec<String>,
    open: BTreeMap<i64, usize>,
    last_revisions: BTreeMap<i64, i64>,
}

/// The stream.
#[derive(Debug)]
pub(super) struct Feed {
    requests: mpsc::Sender<pb::WatchRequest>,
    log: Arc<Mutex<Log>>,
    arrived: Arc<Notify>,
    reader: JoinHandle<()>,
}

impl Feed {
    /// Opens a stream with its first watch: a server need not answer at all before that.
    pub(super) async fn open(
        client: &mut Client,
        first_watch: pb::WatchCreateRequest,
    ) -> Result<Feed> {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let union = RequestUnion::CreateRequest(first_watch);
        requests
            .send(pb::WatchRequest {
                request_union: Some(union),
            })
            .await?;
        let stream = client.watch.watch(ReceiverStream::new(receiver)).await;
        let mut stream = stream.context("opening the watch stream")?.into_inner();
        let log = Arc::new(Mutex::new(Log::default()));
        let arrived = Arc::new(Notify::new());
        let reader = tokio::spawn({
            let (log, arrived) = (log.clone(), arrived.clone());
            async move {
                loop {
                    let message = stream.message().await;
                    let over = !matches!(message, Ok(Some(_)));
                    let mut log = log.lock().expect("no reader panics");
                    match message {
                        Ok(Some(response)) => log.add(response),
                        other => log.faults.push(format!("the stream ended: {other:?}")),
                    }
                    drop(log);
                    arrived.notify_waiters();
                    if over {
                        return;
                    }
                }
            }
        });
        let feed = Feed {
            requests,
            log,
            arrived,
            reader,
        };
        let created = feed
            .wait_for(|log| log.take_control(|response| response.created))
            .await;
        created.context("the first watch was not created")?;
        Ok(feed)
    }

    /// The log as it stands.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no reader panics")
    }

    /// Creates a watch and waits for the answer.
    pub(super) async fn create(
        &self,
        request: pb::WatchCreateRequest,
    ) -> Option<pb::WatchResponse> {
        self.send(RequestUnion::CreateRequest(request)).await;
        self.wait_for(|log| log.take_control(|response| response.created))
            .await
    }

    /// Cancels a watch; waits for its end when it is open.
    pub(super) async fn cancel(&self, id: i64) -> Option<pb::WatchResponse> {
        let known = self.log().open.contains_key(&id);
        self.send(RequestUnion::CancelRequest(pb::WatchCancelRequest {
            watch_id: id,
        }))
        .await;
        if !known {
            // Nothing is answered.
            return Some(pb::WatchResponse::default());
        }
        self.wait_for(|log| log.take_control(|response| response.watch_id == id))
            .await
    }

    /// Asks for the stream's progress and waits for it; the revision.
    pub(super) async fn progress(&self) -> Option<i64> {
        let before = self.log().progress.len();
        self.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}))
            .await;
        self.wait_for(|log| log.progress.get(before).copied()).await
    }

    /// Waits until `look` finds something; `None` after the time limit.
    pub(super) async fn wait_for<T>(
        &self,
        mut look: impl FnMut(&mut Log) -> Option<T>,
    ) -> Option<T> {
        let search = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                // Registers before the look, so that nothing arrives unseen in between.
                arrived.as_mut().enable();
                if let Some(found) = look(&mut self.log()) {
                    return found;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, search).await.ok()
    }

    async fn send(&self, union: RequestUnion) {
        let request = pb::WatchRequest {
            request_union: Some(union),
        };
        // A stream that is gone shows in the log.
        self.requests.send(request).await.ok();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Log {
    fn add(&mut self, mut response: pb::WatchResponse) {
        let id = response.watch_id;
        let header_revision = response.header.as_ref().map_or(0, |header| header.revision);
        if !response.created && !response.canceled && response.events.is_empty() {
            if id == -1 {
                self.progress.push(header_revision);
            }
            return;
        }
        if response.created {
            self.open(&response);
        }
        let events = std::mem::take(&mut response.events);
        self.add_events(id, header_revision, response.fragment, events);
        if response.canceled
            && let Some(index) = self.open.remove(&id)
        {
            let record = &mut self.records[index];
            record.ended = Some((response.compact_revision, response.cancel_reason.clone()));
        }
        if response.created || response.canceled {
            self.controls.push_back(response);
        }
    }

    fn open(&mut self, response: &pb::WatchResponse) {
        let mut created = response.clone();
        super::normal::header(&mut created.header);
        let ended = response
            .canceled
            .then(|| (0, response.cancel_reason.clone()));
        if ended.is_none() {
            self.open.insert(response.watch_id, self.records.len());
            self.last_revisions.remove(&response.watch_id);
        }
        self.records.push(Record {
            id: response.watch_id,
            created,
            events: Vec::new(),
            ended,
        });
    }

    /// Notes the events, and what breaks a promise every watch is given.
    fn add_events(&mut self, id: i64, header_revision: i64, fragment: bool, events: Vec<Event>) {
        let Some(index) = self.open.get(&id) else {
            if !events.is_empty() {
                self.faults
                    .push(format!("events for watch {id}, which is not open"));
            }
            return;
        };
        let mut last = self.last_revisions.get(&id).copied().unwrap_or(0);
        let mut first_of_response = true;
        for event in &events {
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            if revision < last || (first_of_response && revision == last) {
                self.faults
                    .push(format!("watch {id}: revision {revision} follows {last}"));
            }
            if revision > header_revision {
                self.faults.push(format!(
                    "watch {id}: an event of revision {revision} under header {header_revision}"
                ));
            }
            last = revision;
            first_of_response = fragment;
        }
        self.last_revisions.insert(id, last);
        self.records[*index].events.extend(events);
    }

    fn take_control(
        &mut self,
        mut is_it: impl FnMut(&pb::WatchResponse) -> bool,
    ) -> Option<pb::WatchResponse> {
        let at = self.controls.iter().position(&mut is_it)?;
        self.controls.remove(at)
    }
}
