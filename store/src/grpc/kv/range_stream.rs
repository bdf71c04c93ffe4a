//! A range in chunks that merge to the answer of one Range at one revision.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, stream};
use proto::server::etcdserverpb as pb;
use state_machine::{Access, Range, StateMachine, decode_key_value};
use tonic::Status;

use super::read::{ReadRange, look, read_range};
use crate::grpc::authn::Credentials;
use crate::grpc::{Edge, convert, status};
use crate::metrics::Operation;

/// Keys of the first chunk. etcd's figure.
const FIRST_CHUNK_KEYS: i64 = 10;
/// Most keys of one chunk.
const CHUNK_KEYS_MAX: i64 = 4096;

/// Options that need the whole answer before its first key is known.
pub(super) fn check(request: &pb::RangeRequest) -> Result<(), Status> {
    let plain_order = request.sort_order == 0 && request.sort_target == 0;
    let unfiltered = request.min_mod_revision == 0
        && request.max_mod_revision == 0
        && request.min_create_revision == 0
        && request.max_create_revision == 0;
    if plain_order && unfiltered {
        Ok(())
    } else {
        Err(Status::unimplemented(
            "etcdserver: range stream with sorting or filtering",
        ))
    }
}

/// Where a streamed range stands.
struct Cursor {
    edge: Arc<Edge>,
    credentials: Credentials,
    /// What is still to be read. `revision` is pinned by the first chunk.
    range: Range,
    /// Keys the client still wants; none for all.
    left: Option<i64>,
    chunk_keys: i64,
    /// Header revision and count, from the first chunk.
    first: Option<(i64, i64)>,
    done: bool,
}

pub(super) fn chunks(
    edge: Arc<Edge>,
    credentials: Credentials,
    range: Range,
) -> impl Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send {
    let left = (range.limit > 0).then_some(range.limit);
    let cursor = Cursor {
        edge,
        credentials,
        range,
        left,
        chunk_keys: FIRST_CHUNK_KEYS,
        first: None,
        done: false,
    };
    stream::unfold(cursor, |mut cursor| async move {
        if cursor.done {
            return None;
        }
        let chunk = cursor.next().await;
        cursor.done |= chunk.is_err();
        Some((chunk, cursor))
    })
}

impl Cursor {
    async fn next(&mut self) -> Result<pb::RangeStreamResponse, Status> {
        let wanted = self
            .left
            .map_or(self.chunk_keys, |left| left.min(self.chunk_keys));
        if !self.range.count_only {
            self.range.limit = wanted;
        }
        // For each chunk anew: what may be read may change between two of them.
        let access = Access::Read(&self.range.keys);
        let admitted = self.edge.admit(&self.credentials, access).await?;
        // The first chunk counts for all of them.
        let read = match self.first {
            None => StateMachine::range,
            Some(_) => StateMachine::range_page,
        };
        // A chunk is small beside the answers that are made whole, so that it needs a place alone.
        let bulk = &self.edge.bulk;
        let looks = [look(&self.range)];
        let place = bulk.enter(&admitted.machine, &looks, false).await?;
        let read = (read as ReadRange, self.range.clone());
        let (revision, response) = read_range(read, &admitted.machine, place.is_bulk()).await?;
        drop(place);
        admitted.confirm()?;
        let (header_revision, count) = *self.first.get_or_insert((revision, response.count));
        if self.range.revision <= 0 {
            self.range.revision = header_revision;
        }
        let bytes = response.kvs.iter().map(|kv| kv.0.len()).sum();
        let prefixes = &self.edge.metrics.prefixes;
        prefixes.count_bytes(Operation::Range, &self.range.keys.start, bytes);
        self.left = self.left.map(|left| left - response.kvs.len() as i64);
        self.done = !response.more || self.left == Some(0);
        if let Some(last) = response.kvs.last().filter(|_| !self.done) {
            let last =
                decode_key_value(&last.0).map_err(|error| status::internal(&error.to_string()))?;
            self.range.keys.start = following(&last.key);
            self.grow(bytes);
        }
        let (header, more, count) = if self.done {
            (
                Some(self.edge.header(header_revision)),
                response.more,
                count,
            )
        } else {
            (None, false, 0)
        };
        let chunk = convert::range_response(pb::ResponseHeader::default(), response);
        let range_response = Some(pb::RangeResponse {
            header,
            more,
            count,
            ..chunk
        });
        Ok(pb::RangeStreamResponse { range_response })
    }

    /// Chunks grow while they are far below the size of a message, and shrink above it.
    fn grow(&mut self, bytes: usize) {
        let target_bytes = self.edge.limits.request_bytes_max;
        if bytes < target_bytes / 2 {
            self.chunk_keys = (self.chunk_keys * 2).min(CHUNK_KEYS_MAX);
        } else if bytes > target_bytes {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }
}

/// The smallest key above `key`.
fn following(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
