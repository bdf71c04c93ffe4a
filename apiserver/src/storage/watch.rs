//! A watch of the store: changes in the order of their revisions, and how far the store has come without any.

use std::time::Duration;

use bytes::Bytes;
use objects::status::Status;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    PutRequest, StatusRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest,
    WatchResponse,
};
use proto::mvccpb::event::EventType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use super::{ANSWER_BYTES_MAX, Damaged, Encryption, Endpoints, Stored, prefix_end, refusal};

/// Requests on the way: the creation and a few questions for progress.
const REQUESTS_MAX: usize = 16;
/// Time until the store says that it watches.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The first patches of etcd's releases in which no answer about progress overtakes the changes that it speaks of; those of later
/// releases are all good.
const IN_ORDER_SINCE: [(u32, u32, u32); 2] = [(3, 4, 31), (3, 5, 13)];
/// What a store that answers too early is given to tell, below the prefix of the watch: its place in the order of changes is the answer.
const MARK_KEY: &[u8] = b"mainstay/progress";
/// An object without anything, for whoever reads all keys.
const MARK_VALUE: &[u8] = b"{}";

/// What happened in the store.
#[derive(Debug)]
pub enum Change {
    Put(Stored),
    /// A value was written that cannot be opened.
    Damaged(Damaged),
    Deleted {
        key: Bytes,
        revision: i64,
    },
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
    endpoints: Endpoints,
    encryption: Encryption,
    place: usize,
    /// The key that is written for an answer about progress; none if the store can be asked.
    mark: Option<Bytes>,
}

/// Opens a watch on the member in use.
pub(super) async fn open(
    endpoints: &Endpoints,
    encryption: &Encryption,
    (prefix, from): (&[u8], i64),
) -> Result<Watch, Status> {
    let (place, channel) = endpoints.current();
    let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
    let create = WatchCreateRequest {
        key: Bytes::copy_from_slice(prefix),
        range_end: prefix_end(prefix),
        start_revision: from,
        progress_notify: true,
        ..WatchCreateRequest::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    requests
        .try_send(request)
        .map_err(|_full| Status::internal("the watch takes no request"))?;
    let in_order = match answers_in_order(channel.clone()).await {
        Ok(in_order) => in_order,
        Err(status) => {
            endpoints.leave(place);
            return Err(refusal(&status));
        }
    };
    let mut client = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut stream = tonic::Request::new(ReceiverStream::new(receiver));
    // A member that is cut off from the others ends the watch instead of going on without news.
    stream
        .metadata_mut()
        .insert("hasleader", MetadataValue::from_static("true"));
    let opening = tokio::time::timeout(OPEN_TIMEOUT, client.watch(stream)).await;
    let answer = opening
        .unwrap_or_else(|_elapsed| Err(tonic::Status::deadline_exceeded("the watch did not open")));
    match answer {
        Ok(answer) => Ok(Watch {
            requests,
            responses: answer.into_inner(),
            endpoints: endpoints.clone(),
            encryption: encryption.clone(),
            place,
            mark: (!in_order).then(|| [prefix, MARK_KEY].concat().into()),
        }),
        Err(status) => {
            endpoints.leave(place);
            Err(refusal(&status))
        }
    }
}

/// Whether a member's answers about progress come behind the changes that they speak of.
async fn answers_in_order(channel: Channel) -> Result<bool, tonic::Status> {
    let mut client = MaintenanceClient::new(channel);
    let asking = tokio::time::timeout(OPEN_TIMEOUT, client.status(StatusRequest {})).await;
    let answer = asking.unwrap_or_else(|_elapsed| {
        Err(tonic::Status::deadline_exceeded("no answer of a member"))
    })?;
    Ok(is_in_order(&answer.into_inner().version))
}

fn is_in_order(version: &str) -> bool {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Result<Vec<u32>, _> = release.split('.').map(str::parse).collect();
    let Ok(&[major, minor, patch]) = numbers.as_deref() else {
        return false;
    };
    let good = IN_ORDER_SINCE
        .iter()
        .find(|since| (since.0, since.1) == (major, minor));
    match good {
        Some(since) => patch >= since.2,
        None => (major, minor) > (3, 5),
    }
}

impl Watch {
    /// Makes the store say how far it has come. Many questions may get one answer.
    pub async fn ask_progress(&self) -> Result<(), Status> {
        if let Some(key) = &self.mark {
            return self.write_mark(key).await;
        }
        let request = WatchRequest {
            request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
        };
        // A full queue means that it is asked already.
        let _ = self.requests.try_send(request);
        Ok(())
    }

    async fn write_mark(&self, key: &Bytes) -> Result<(), Status> {
        let request = PutRequest {
            key: key.clone(),
            value: Bytes::from_static(MARK_VALUE),
            ..PutRequest::default()
        };
        let write = |channel| {
            let request = request.clone();
            async move { KvClient::new(channel).put(request).await }
        };
        self.endpoints.write(write).await?;
        Ok(())
    }

    /// The next changes, all of each revision. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Change>, WatchEnd> {
        loop {
            match self.responses.message().await {
                Ok(Some(response)) => {
                    let changes = self.changes(response)?;
                    if !changes.is_empty() {
                        return Ok(changes);
                    }
                }
                Ok(None) => return Err(self.lost("the store ended the watch".to_owned())),
                Err(status) => return Err(self.lost(status.to_string())),
            }
        }
    }

    /// Gives up a watch that tells nothing: the next one is another member's.
    #[must_use]
    pub fn leave(&self, why: &str) -> WatchEnd {
        self.lost(why.to_owned())
    }

    fn lost(&self, why: String) -> WatchEnd {
        self.endpoints.leave(self.place);
        WatchEnd::Lost(why)
    }

    fn changes(&self, response: WatchResponse) -> Result<Vec<Change>, WatchEnd> {
        if response.compact_revision > 0 {
            return Err(WatchEnd::Compacted);
        }
        if response.canceled {
            return Err(self.lost(response.cancel_reason));
        }
        if response.events.is_empty() {
            // The answer to the creation says nothing of what was told.
            let revision = response
                .header
                .filter(|_| !response.created)
                .map(|header| header.revision);
            return Ok(revision.map(Change::Progress).into_iter().collect());
        }
        let changes = response.events.into_iter().filter_map(|event| {
            let deleted = event.r#type() == EventType::Delete;
            let pair = event.kv?;
            Some(if deleted {
                Change::Deleted {
                    key: pair.key,
                    revision: pair.mod_revision,
                }
            } else {
                match super::open(&self.encryption, pair) {
                    Ok(stored) => Change::Put(stored),
                    Err(damaged) => Change::Damaged(damaged),
                }
            })
        });
        Ok(changes.collect())
    }
}

impl Change {
    #[must_use]
    pub fn revision(&self) -> i64 {
        match self {
            Change::Put(stored) => stored.revision,
            Change::Damaged(damaged) => damaged.revision,
            Change::Deleted { revision, .. } | Change::Progress(revision) => *revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_in_order;

    #[test]
    fn old_releases_are_not_asked_for_progress() {
        let cases = [
            ("3.4.23", false),
            ("3.4.31", true),
            ("3.5.12", false),
            ("3.5.13", true),
            ("3.6.0", true),
            ("3.7.0-alpha.1", true),
            ("3.3.99", false),
            ("", false),
            ("new", false),
        ];
        for (version, in_order) in cases {
            assert_eq!(is_in_order(version), in_order, "{version}");
        }
    }
}
