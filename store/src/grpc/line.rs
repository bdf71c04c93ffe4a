//! Places in a line: a key for each lease below a prefix, served in the order in which the keys were made. Locks and
//! elections are lines. The keys are those that etcd's client library makes, so that its users stand in the same line.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;
use proto::server::etcdserverpb as pb;
use state_machine::{Access, KeyRange};
use tonic::Status;

use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::kv_server::Kv as _;
use pb::lease_server::Lease as _;
use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request as Op;
use pb::response_op::Response as Answer;

use super::authn::Credentials;
use super::kv::Kv;
use super::lease::Lease;
use super::{Edge, status};
use crate::watch::{Delivery, WatchSpec, WatchStream};

/// Time to live of a lease that a line grants to who brings none, in seconds. etcd's figure; nobody renews it.
const LEASE_TTL_SECONDS: i64 = 60;

/// All places of one name.
pub(super) struct Line {
    edge: Arc<Edge>,
    /// Those of whoever stands in the line.
    credentials: Credentials,
    kv: Kv,
    /// The name and a slash.
    prefix: Bytes,
}

/// A key in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: Bytes,
    /// Its create revision, which is its rank.
    pub(super) created: i64,
}

/// How a lease got into the line.
pub(super) struct Entered {
    pub(super) place: Place,
    pub(super) header: Option<pb::ResponseHeader>,
    /// What it held, if the lease stood in the line already.
    pub(super) held: Option<Bytes>,
    /// Nobody stands before it.
    pub(super) is_first: bool,
}

/// The lease of a caller: renewed once, as etcd's sessions do when they begin; or a new one for who brings none.
pub(super) async fn lease_of(
    edge: &Edge,
    (leases, credentials): (&Lease, &Credentials),
    lease: i64,
) -> Result<i64, Status> {
    if lease != 0 {
        let access = Access::RenewLease(lease);
        edge.admit_now(credentials, access).await?;
        // One that is unknown is found out by who attaches a key to it.
        edge.replica
            .keep_alive(lease)
            .await
            .map_err(super::unavailable)?;
        return Ok(lease);
    }
    let request = pb::LeaseGrantRequest {
        ttl: LEASE_TTL_SECONDS,
        id: 0,
    };
    Ok(leases
        .lease_grant(credentials.on(request))
        .await?
        .into_inner()
        .id)
}

impl Line {
    pub(super) fn new(edge: &Arc<Edge>, credentials: &Credentials, name: &[u8]) -> Line {
        Line {
            edge: Arc::clone(edge),
            credentials: credentials.clone(),
            kv: Kv(Arc::clone(edge)),
            prefix: [name, b"/"].concat().into(),
        }
    }

    /// Go's `%x`: a sign and digits.
    fn key(&self, lease: i64) -> Bytes {
        let sign = if lease < 0 { "-" } else { "" };
        let digits = format!("{sign}{:x}", lease.unsigned_abs());
        [self.prefix.as_ref(), digits.as_bytes()].concat().into()
    }

    fn keys(&self) -> KeyRange {
        let mut end = self.prefix.to_vec();
        // The slash, and what comes after it.
        end.pop();
        end.push(b'/' + 1);
        KeyRange {
            start: self.prefix.clone(),
            end: end.into(),
        }
    }

    /// The oldest or the newest place.
    fn one(&self, order: SortOrder) -> pb::RangeRequest {
        let keys = self.keys();
        pb::RangeRequest {
            key: keys.start,
            range_end: keys.end,
            limit: 1,
            sort_order: order as i32,
            sort_target: SortTarget::Create as i32,
            ..Default::default()
        }
    }

    async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        let request = self.credentials.on(request);
        Ok(self.kv.range(request).await?.into_inner())
    }

    /// Who is first, if anybody is.
    pub(super) async fn first(&self) -> Result<pb::RangeResponse, Status> {
        self.range(self.one(SortOrder::Ascend)).await
    }

    /// Takes a place for a lease, or finds the one it has.
    pub(super) async fn enter(&self, lease: i64, value: Bytes) -> Result<Entered, Status> {
        let key = self.key(lease);
        let own = pb::RangeRequest {
            key: key.clone(),
            ..Default::default()
        };
        let put = pb::PutRequest {
            key: key.clone(),
            value,
            lease,
            ..Default::default()
        };
        let first = Op::RequestRange(self.one(SortOrder::Ascend));
        let txn = pb::TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: operations([Op::RequestPut(put), first.clone()]),
            failure: operations([Op::RequestRange(own), first]),
        };
        let answer = self.kv.txn(self.credentials.on(txn)).await?.into_inner();
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let mut ranges =
            answer
                .responses
                .into_iter()
                .filter_map(|response| match response.response {
                    Some(Answer::ResponseRange(range)) => Some(range),
                    _ => None,
                });
        let mut next = || ranges.next().and_then(|range| range.kvs.into_iter().next());
        let (created, held) = if answer.succeeded {
            (revision, None)
        } else {
            let own = decode(&next().ok_or_else(broken)?)?;
            (own.create_revision, Some(own.value))
        };
        let first = decode(&next().ok_or_else(broken)?)?;
        Ok(Entered {
            place: Place { key, created },
            header: answer.header,
            held,
            is_first: first.create_revision == created,
        })
    }

    /// Returns once all that stood before a place are gone.
    pub(super) async fn wait(&self, place: &Place) -> Result<(), Status> {
        loop {
            let before = pb::RangeRequest {
                max_create_revision: place.created - 1,
                ..self.one(SortOrder::Descend)
            };
            let answer = self.range(before).await?;
            let Some(last) = answer.kvs.first() else {
                return Ok(());
            };
            let revision = answer.header.map_or(0, |header| header.revision);
            let key = decode(last)?.key;
            let mut events = self.watch_key(key, revision + 1).await?;
            // Whether it saw the end of the place or was overtaken by a compaction: the next look tells.
            while events.next().await.is_some_and(|event| !is_delete(&event)) {}
        }
    }

    /// The place as it is now.
    pub(super) async fn look(&self, place: &Place) -> Result<Option<pb::ResponseHeader>, Status> {
        let own = pb::RangeRequest {
            key: place.key.clone(),
            ..Default::default()
        };
        let answer = self.range(own).await?;
        let kv = answer.kvs.first().map(decode).transpose()?;
        let is_there = kv.is_some_and(|kv| kv.create_revision == place.created);
        Ok(answer.header.filter(|_| is_there))
    }

    /// Events of some of its keys.
    async fn watch(&self, keys: KeyRange, start_revision: i64) -> Result<Events, Status> {
        let access = Access::Read(&keys);
        self.edge.admit(&self.credentials, access).await?;
        let mut stream = self.edge.replica.watch_hub().open_stream();
        let spec = WatchSpec {
            keys,
            start_revision,
            ..WatchSpec::default()
        };
        stream
            .create(spec)
            .map_err(|error| status::internal(&error.to_string()))?;
        Ok(Events {
            stream,
            waiting: VecDeque::new(),
        })
    }

    /// Events of one place.
    pub(super) async fn watch_key(
        &self,
        key: Bytes,
        start_revision: i64,
    ) -> Result<Events, Status> {
        self.watch(single(key), start_revision).await
    }

    /// Events of all places.
    pub(super) async fn watch_all(&self, start_revision: i64) -> Result<Events, Status> {
        self.watch(self.keys(), start_revision).await
    }
}

/// What a txn on a place came to.
pub(super) struct Changed {
    pub(super) header: Option<pb::ResponseHeader>,
    /// The place was still what it was known for.
    pub(super) was_there: bool,
}

/// Does something with a place if it is still there.
async fn change(
    (edge, credentials): (&Arc<Edge>, &Credentials),
    place: &Place,
    operation: Op,
) -> Result<Changed, Status> {
    let kv = Kv(Arc::clone(edge));
    let txn = pb::TxnRequest {
        compare: vec![created_at(place.key.clone(), place.created)],
        success: operations([operation]),
        failure: Vec::new(),
    };
    let answer = kv.txn(credentials.on(txn)).await?.into_inner();
    Ok(Changed {
        header: answer.header,
        was_there: answer.succeeded,
    })
}

/// Writes another value to a place.
pub(super) async fn rewrite(
    caller: (&Arc<Edge>, &Credentials),
    place: &Place,
    (value, lease): (Bytes, i64),
) -> Result<Changed, Status> {
    let put = pb::PutRequest {
        key: place.key.clone(),
        value,
        lease,
        ..Default::default()
    };
    change(caller, place, Op::RequestPut(put)).await
}

/// Gives a place up.
pub(super) async fn leave(
    caller: (&Arc<Edge>, &Credentials),
    place: &Place,
) -> Result<Changed, Status> {
    let delete = pb::DeleteRangeRequest {
        key: place.key.clone(),
        ..Default::default()
    };
    change(caller, place, Op::RequestDeleteRange(delete)).await
}

/// Gives a place up when it is dropped: its caller has gone, or waited in vain.
pub(super) struct Leaving {
    edge: Arc<Edge>,
    credentials: Credentials,
    place: Option<Place>,
}

impl Leaving {
    pub(super) fn new((edge, credentials): (&Arc<Edge>, &Credentials), place: Place) -> Leaving {
        Leaving {
            edge: Arc::clone(edge),
            credentials: credentials.clone(),
            place: Some(place),
        }
    }

    /// The caller has what it came for.
    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let (Some(place), Ok(runtime)) = (self.place.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let edge = Arc::clone(&self.edge);
        let credentials = std::mem::take(&mut self.credentials);
        // Bounded by the time a proposal gets. If it fails, the place goes with its lease.
        runtime.spawn(async move {
            if let Err(error) = leave((&edge, &credentials), &place).await {
                tracing::debug!(%error, "a place in a line was not given up");
            }
        });
    }
}

/// A watch, event by event.
pub(super) struct Events {
    stream: WatchStream,
    waiting: VecDeque<Event>,
}

impl Events {
    /// The next event; none when a compaction overtook the watch.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.stream.next().await {
                Delivery::Events { events, .. } => {
                    let response = proto::etcdserverpb::WatchResponse::decode(events);
                    self.waiting = response.map(|response| response.events).ok()?.into();
                }
                Delivery::Progress { .. } => {}
                Delivery::Compacted { .. } => return None,
            }
        }
    }
}

pub(super) fn is_delete(event: &Event) -> bool {
    event.r#type() == EventType::Delete
}

fn single(key: Bytes) -> KeyRange {
    KeyRange {
        start: key,
        end: Bytes::new(),
    }
}

fn created_at(key: Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key,
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
    }
}

fn operations<const N: usize>(operations: [Op; N]) -> Vec<pb::RequestOp> {
    let wrap = |request| pb::RequestOp {
        request: Some(request),
    };
    operations.map(wrap).into()
}

/// A stored key-value, read.
pub(super) fn decode(kv: &proto::encoded::KeyValue) -> Result<proto::mvccpb::KeyValue, Status> {
    proto::mvccpb::KeyValue::decode(kv.0.clone())
        .map_err(|error| status::internal(&error.to_string()))
}

/// A txn did not answer what it was asked for.
fn broken() -> Status {
    status::internal("a place in a line is not there")
}
