//! The one door to the store: an etcd-v3 server's, ours or a stock etcd. What goes through it are keys, bytes and revisions.

mod encryption;
mod endpoints;
mod leases;
#[cfg(test)]
pub(crate) mod silent_member;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use objects::status::{Reason, Status};
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::request_op::Request as Operation;
use proto::etcdserverpb::response_op::Response as Answer;
use proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse,
    RequestOp, TxnRequest,
};
use proto::mvccpb::KeyValue;

pub use self::encryption::{Encryption, Source};
pub use self::endpoints::{Endpoints, Tls};
pub use self::watch::{Change, Watch, WatchEnd};

/// Time that the store has for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer taken: a page of a list, and the store's own limit of a request is far below it.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A client of the store. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Storage {
    endpoints: Endpoints,
    leases: leases::Leases,
    encryption: Encryption,
}

/// A value of the store, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: Bytes,
    pub value: Bytes,
    /// The revision at which it was written.
    pub revision: i64,
    /// Whether it is stored otherwise than it would be today: an update that changes nothing writes it all the same.
    pub is_stale: bool,
}

/// A value that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    pub key: Bytes,
    pub revision: i64,
    pub why: String,
}

/// Part of a list, in the order of the keys.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<Stored>,
    /// Values that are no items, for they cannot be opened.
    pub damaged: Vec<Damaged>,
    /// The revision that the list is of.
    pub revision: i64,
    pub more: bool,
    /// How many there are from the start of the page on, those after it included.
    pub count: i64,
}

/// What became of a write that expects a value to be as it was seen.
#[derive(Debug)]
pub enum Written {
    /// Written at this revision.
    At(i64),
    /// Nothing was written, for the value is another one by now, or there is none.
    Changed(Option<Stored>),
}

/// Which part of a list is read.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The first key; the prefix itself where it is empty.
    pub start: Bytes,
    /// 0 for all.
    pub limit: i64,
    /// 0 for the newest.
    pub revision: i64,
}

impl Storage {
    #[must_use]
    pub fn new(endpoints: Endpoints, encryption: Encryption) -> Storage {
        Storage {
            endpoints,
            leases: leases::Leases::default(),
            encryption,
        }
    }

    /// What values are sealed with.
    #[must_use]
    pub fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// The newest value of a key, and the revision it was read at.
    pub async fn get(&self, key: &[u8]) -> Result<(Option<Stored>, i64), Status> {
        let request = RangeRequest {
            key: Bytes::copy_from_slice(key),
            ..RangeRequest::default()
        };
        let answer = self.range(request).await?;
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let found = answer.kvs.into_iter().next();
        let found = found.map(|pair| self.open(pair)).transpose();
        Ok((
            found.map_err(|damaged| Status::internal(damaged.why))?,
            revision,
        ))
    }

    /// The newest revision of the store: whatever was acknowledged before this was called is at or below it.
    pub async fn revision(&self) -> Result<i64, Status> {
        // A key that is never written: the answer is the header alone.
        let request = RangeRequest {
            key: Bytes::from_static(b"\0"),
            count_only: true,
            ..RangeRequest::default()
        };
        let answer = self.range(request).await?;
        Ok(answer.header.map_or(0, |header| header.revision))
    }

    /// A part of the values below a prefix.
    pub async fn list(&self, prefix: &[u8], part: Part) -> Result<Page, Status> {
        let key = if part.start.is_empty() {
            Bytes::copy_from_slice(prefix)
        } else {
            part.start
        };
        let request = RangeRequest {
            key,
            range_end: prefix_end(prefix),
            limit: part.limit,
            revision: part.revision,
            ..RangeRequest::default()
        };
        let answer = self.range(request).await?;
        let newest = answer.header.as_ref().map_or(0, |header| header.revision);
        let (mut items, mut damaged) = (Vec::with_capacity(answer.kvs.len()), Vec::new());
        for pair in answer.kvs {
            match self.open(pair) {
                Ok(stored) => items.push(stored),
                Err(fault) => damaged.push(fault),
            }
        }
        Ok(Page {
            items,
            damaged,
            revision: if part.revision > 0 {
                part.revision
            } else {
                newest
            },
            more: answer.more,
            count: answer.count,
        })
    }

    /// Writes a value where there is none. `ttl_seconds` 0 is for ever.
    pub async fn create(
        &self,
        key: &[u8],
        value: Bytes,
        ttl_seconds: u32,
    ) -> Result<Written, Status> {
        self.replace(key, 0, value, ttl_seconds).await
    }

    /// Writes a value if the key's was written at `expected`; 0 is for a key without one.
    pub async fn replace(
        &self,
        key: &[u8],
        expected: i64,
        value: Bytes,
        ttl_seconds: u32,
    ) -> Result<Written, Status> {
        let lease = match ttl_seconds {
            0 => 0,
            seconds => self.leases.lease(&self.endpoints, seconds).await?,
        };
        let sealed = self.encryption.seal(key, value);
        let put = PutRequest {
            key: Bytes::copy_from_slice(key),
            value: sealed.map_err(Status::internal)?,
            lease,
            ..PutRequest::default()
        };
        self.write_if(key, expected, Operation::RequestPut(put))
            .await
    }

    /// Removes a key if its value was written at `expected`.
    pub async fn remove(&self, key: &[u8], expected: i64) -> Result<Written, Status> {
        let delete = DeleteRangeRequest {
            key: Bytes::copy_from_slice(key),
            ..DeleteRangeRequest::default()
        };
        self.write_if(key, expected, Operation::RequestDeleteRange(delete))
            .await
    }

    async fn write_if(
        &self,
        key: &[u8],
        expected: i64,
        operation: Operation,
    ) -> Result<Written, Status> {
        let compare = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: Bytes::copy_from_slice(key),
            target_union: Some(TargetUnion::ModRevision(expected)),
            ..Compare::default()
        };
        let read = RangeRequest {
            key: Bytes::copy_from_slice(key),
            ..RangeRequest::default()
        };
        let request = TxnRequest {
            compare: vec![compare],
            success: vec![RequestOp {
                request: Some(operation),
            }],
            failure: vec![RequestOp {
                request: Some(Operation::RequestRange(read)),
            }],
        };
        let answer = self
            .endpoints
            .write(|channel| {
                let request = request.clone();
                async move { kv(channel).txn(request).await }
            })
            .await?
            .into_inner();
        if answer.succeeded {
            return Ok(Written::At(
                answer.header.map_or(0, |header| header.revision),
            ));
        }
        let found = answer
            .responses
            .into_iter()
            .find_map(|response| match response.response {
                Some(Answer::ResponseRange(range)) => range.kvs.into_iter().next(),
                _ => None,
            });
        let found = found.map(|pair| self.open(pair)).transpose();
        let found = found.map_err(|damaged| Status::internal(damaged.why))?;
        Ok(Written::Changed(found))
    }

    fn open(&self, pair: KeyValue) -> Result<Stored, Damaged> {
        open(&self.encryption, pair)
    }

    /// Watches all keys below a prefix from a revision on.
    pub async fn watch(&self, prefix: &[u8], from: i64) -> Result<Watch, Status> {
        watch::open(&self.endpoints, &self.encryption, (prefix, from)).await
    }

    /// Forgets what is older than a revision.
    pub async fn compact(&self, revision: i64) -> Result<(), Status> {
        let request = CompactionRequest {
            revision,
            ..CompactionRequest::default()
        };
        self.endpoints
            .write(|channel| async move { kv(channel).compact(request).await })
            .await?;
        Ok(())
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let answer = self
            .endpoints
            .read(|channel| {
                let request = request.clone();
                async move { kv(channel).range(request).await }
            })
            .await?;
        Ok(answer.into_inner())
    }
}

fn kv(channel: tonic::transport::Channel) -> KvClient<tonic::transport::Channel> {
    KvClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// The first key behind a key.
pub(crate) fn after(key: &[u8]) -> Bytes {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}

/// The key behind all keys with a prefix.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(b"\0")
}

/// What a pair of the store holds.
fn open(encryption: &Encryption, pair: KeyValue) -> Result<Stored, Damaged> {
    match encryption.open(&pair.key, pair.value) {
        Ok(opened) => Ok(Stored {
            key: pair.key,
            value: opened.value,
            revision: pair.mod_revision,
            is_stale: opened.is_stale,
        }),
        Err(why) => Err(Damaged {
            key: pair.key,
            revision: pair.mod_revision,
            why,
        }),
    }
}

impl Damaged {
    /// What a client is told who lists it.
    #[must_use]
    pub fn status(&self) -> Status {
        let key = String::from_utf8_lossy(&self.key);
        Status::internal(format!("unable to transform key {key:?}: {}", self.why))
    }
}

impl Page {
    /// The key behind all that was read; none if nothing was.
    #[must_use]
    pub fn end(&self) -> Option<Bytes> {
        let last = self.items.last().map(|stored| &stored.key);
        let damaged = self.damaged.last().map(|damaged| &damaged.key);
        last.max(damaged).map(|key| after(key))
    }
}

/// What a client is told of the store's refusal.
fn refusal(status: &tonic::Status) -> Status {
    let message = status.message();
    match status.code() {
        tonic::Code::OutOfRange if message.contains("compacted") => Status::new(
            Reason::Expired,
            "The resourceVersion for the provided list is too old.",
        ),
        tonic::Code::DeadlineExceeded => Status::new(
            Reason::Timeout,
            format!("the store did not answer in time: {message}"),
        ),
        tonic::Code::InvalidArgument if message.contains("too large") => Status::new(
            Reason::RequestEntityTooLarge,
            format!("{message}: the object is larger than the store takes"),
        ),
        tonic::Code::ResourceExhausted if message.contains("database space exceeded") => {
            Status::new(Reason::InternalError, message)
        }
        tonic::Code::ResourceExhausted => {
            let mut status = Status::new(Reason::TooManyRequests, message);
            status.retry_after_seconds = 1;
            status
        }
        tonic::Code::Unavailable => {
            let mut status = Status::new(
                Reason::ServiceUnavailable,
                format!("the store is unavailable: {message}"),
            );
            status.retry_after_seconds = 1;
            status
        }
        _ => Status::new(Reason::InternalError, message),
    }
}
