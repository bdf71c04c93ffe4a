//! What requests of the KV service are about, and how large their answers are.

use prost::Message;
use proto::server::etcdserverpb as pb;

use crate::grpc::check::{self, TxnPath};
use crate::grpc::served::Subject;
use crate::metrics::Operation;

use pb::request_op::Request as Op;
use pb::response_op::Response as Answer;

pub(super) fn of_range(request: &pb::RangeRequest) -> Subject {
    Subject {
        key: request.key.clone(),
        range_end: request.range_end.clone(),
        request_bytes: request.key.len() + request.range_end.len(),
        limit: request.limit,
        is_read: true,
        ..Subject::of("Range", Operation::Range)
    }
}

pub(super) fn of_put(request: &pb::PutRequest) -> Subject {
    Subject {
        key: request.key.clone(),
        request_bytes: request.key.len() + request.value.len(),
        value_bytes: request.value.len(),
        ..Subject::of("Put", Operation::Put)
    }
}

pub(super) fn of_delete_range(request: &pb::DeleteRangeRequest) -> Subject {
    Subject {
        key: request.key.clone(),
        range_end: request.range_end.clone(),
        request_bytes: request.key.len() + request.range_end.len(),
        ..Subject::of("DeleteRange", Operation::Delete)
    }
}

/// A transaction is about its first key, which is that of its first compare if it has one.
pub(super) fn of_txn(request: &pb::TxnRequest) -> Subject {
    let operations = request.success.iter().chain(&request.failure);
    let mut keys = operations.filter_map(|operation| match &operation.request {
        Some(Op::RequestRange(range)) => Some(&range.key),
        Some(Op::RequestPut(put)) => Some(&put.key),
        Some(Op::RequestDeleteRange(delete)) => Some(&delete.key),
        Some(Op::RequestTxn(_)) | None => None,
    });
    let compared = request.compare.first().map(|compare| &compare.key);
    let key = compared.or_else(|| keys.next());
    Subject {
        key: key.cloned().unwrap_or_default(),
        request_bytes: request.encoded_len(),
        operations: request.compare.len() + request.success.len() + request.failure.len(),
        is_read: check::txn_path(request) != TxnPath::Write,
        ..Subject::of("Txn", Operation::Txn)
    }
}

/// Keys and bytes of an answer.
pub(super) fn size_of_range(answer: &pb::RangeResponse) -> (usize, usize) {
    let bytes = answer.kvs.iter().map(Message::encoded_len).sum();
    (answer.kvs.len(), bytes)
}

pub(super) fn size_of_put(answer: &pb::PutResponse) -> (usize, usize) {
    let previous = answer.prev_kv.as_ref();
    (0, previous.map_or(0, Message::encoded_len))
}

pub(super) fn size_of_delete_range(answer: &pb::DeleteRangeResponse) -> (usize, usize) {
    let bytes = answer.prev_kvs.iter().map(Message::encoded_len).sum();
    (usize::try_from(answer.deleted).unwrap_or(0), bytes)
}

pub(super) fn size_of_txn(answer: &pb::TxnResponse) -> (usize, usize) {
    let mut size = (0, 0);
    for answer in &answer.responses {
        let (keys, bytes) = match &answer.response {
            Some(Answer::ResponseRange(range)) => size_of_range(range),
            Some(Answer::ResponsePut(put)) => size_of_put(put),
            Some(Answer::ResponseDeleteRange(delete)) => size_of_delete_range(delete),
            Some(Answer::ResponseTxn(nested)) => size_of_txn(nested),
            None => (0, 0),
        };
        size = (size.0 + keys, size.1 + bytes);
    }
    size
}
