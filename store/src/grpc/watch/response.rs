//! The head of an answer that carries events, written straight into its bytes: every event of every watcher pays for it.

use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{bool, int64, message};
use proto::etcdserverpb::ResponseHeader;
use tonic::{Code, Status};

/// Field numbers of `WatchResponse`.
const HEADER: u32 = 1;
const WATCH_ID: u32 = 2;
const FRAGMENT: u32 = 7;

/// Largest head: a header of four varints, an id and a flag.
const HEAD_BYTES_MAX: usize = 2 + 4 * 11 + 11 + 2;

/// All of a `WatchResponse` but its events, in the order of the field numbers and without zeros.
pub(super) fn events_head(header: &ResponseHeader, watch_id: i64, fragment: bool) -> Bytes {
    let mut head = BytesMut::with_capacity(HEAD_BYTES_MAX);
    message::encode(HEADER, header, &mut head);
    if watch_id != 0 {
        int64::encode(WATCH_ID, &watch_id, &mut head);
    }
    if fragment {
        bool::encode(FRAGMENT, &fragment, &mut head);
    }
    debug_assert!(head.len() <= 2 + header.encoded_len() + 11 + 2);
    head.freeze()
}

/// Why a client may not watch, as grpc-go prints an error; etcd's watches have no codes. What is no answer about
/// credentials is a denial.
pub(super) fn denied(status: &Status) -> String {
    let denied = Status::permission_denied("etcdserver: permission denied");
    let said = match status.code() {
        Code::Unauthenticated | Code::InvalidArgument | Code::Unavailable => status,
        _ => &denied,
    };
    format!(
        "rpc error: code = {:?} desc = {}",
        said.code(),
        said.message()
    )
}
