//! A watch of the store: changes in the order of their revisions, and how far the store has come without any.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use objects::status::Status;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use proto::mvccpb::event::EventType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{ANSWER_BYTES_MAX, Endpoints, Stored, prefix_end, refusal};

/// Requests on the way: the creation and a few questions for progress.
const REQUESTS_MAX: usize = 16;
/// Time until the store says that it watches.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// What happened in the store.
#[derive(Debug)]
pub enum Change {
    Put(Stored),
    Deleted { key: Bytes, revision: i64 },
    /// Everything up to this revision has been told.
    Progress(i64),
}

/// Why a watch is over.
#[derive(Debug)]
pub enum WatchEnd {
    /// What it asked for is no longer there: everything has to be read anew.
    Compacted,
    /// The connection or the member failed: a new watch may go on where this one ended.
    Lost(String),
}

/// An open watch.
#[derive(Debug)]
pub struct Watch {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
    waiting: VecDeque<Change>,
    endpoints: Endpoints,
    place: usize,
}

/// Opens a watch on the member in use.
pub(super) async fn open(endpoints: &Endpoints, prefix: &[u8], from: i64) -> Result<Watch, Status> {
    let (place, channel) = endpoints.current();
    let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
    let create = WatchCreateRequest {
        key: Bytes::copy_from_slice(prefix),
        range_end: prefix_end(prefix),
        start_revision: from,
        progress_notify: true,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    requests.try_send(request).map_err(|_full| Status::internal("the watch takes no request"))?;
    let mut client = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let opening = tokio::time::timeout(OPEN_TIMEOUT, client.watch(ReceiverStream::new(receiver))).await;
    let answer = opening.unwrap_or_else(|_elapsed| Err(tonic::Status::deadline_exceeded("the watch did not open")));
    match answer {
        Ok(answer) => Ok(Watch {
            requests,
            responses: answer.into_inner(),
            waiting: VecDeque::new(),
            endpoints: endpoints.clone(),
            place,
        }),
        Err(status) => {
            endpoints.leave(place);
            Err(refusal(&status))
        }
    }
}

impl Watch {
    /// Asks the store to say how far it has come. Many questions may get one answer.
    pub fn ask_progress(&self) {
        let request = WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) };
        // A full queue means that it is asked already.
        let _ = self.requests.try_send(request);
    }

    /// The next change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Change, WatchEnd> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Ok(change);
            }
            match self.responses.message().await {
                Ok(Some(response)) => self.take(response)?,
                Ok(None) => return Err(self.lost("the store ended the watch".to_owned())),
                Err(status) => return Err(self.lost(status.to_string())),
            }
        }
    }

    fn lost(&self, why: String) -> WatchEnd {
        self.endpoints.leave(self.place);
        WatchEnd::Lost(why)
    }

    fn take(&mut self, response: WatchResponse) -> Result<(), WatchEnd> {
        if response.canceled || response.compact_revision > 0 {
            return Err(if response.compact_revision > 0 {
                WatchEnd::Compacted
            } else {
                self.lost(response.cancel_reason)
            });
        }
        let revision = response.header.map_or(0, |header| header.revision);
        if response.events.is_empty() {
            // The answer to the creation says nothing of what was told.
            if !response.created {
                self.waiting.push_back(Change::Progress(revision));
            }
            return Ok(());
        }
        for event in response.events {
            let deleted = event.r#type() == EventType::Delete;
            let Some(pair) = event.kv else { continue };
            self.waiting.push_back(if deleted {
                Change::Deleted { key: pair.key, revision: pair.mod_revision }
            } else {
                Change::Put(Stored::from(pair))
            });
        }
        Ok(())
    }
}
