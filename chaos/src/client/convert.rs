//! The records of a history into etcd's messages, and etcd's answers into records.

use check::history as h;
use proto::etcdserverpb as pb;
use proto::mvccpb;

fn bytes(blob: &h::Blob) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(blob.as_slice())
}

pub(super) fn revision(header: Option<&pb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

pub(super) fn response(revision: i64, answer: h::Answer) -> h::Response {
    h::Response { revision, answer }
}

pub(super) fn range(range: &h::Range) -> pb::RangeRequest {
    use pb::range_request::{SortOrder, SortTarget};
    let order = match range.sort_order {
        h::SortOrder::None => SortOrder::None,
        h::SortOrder::Ascend => SortOrder::Ascend,
        h::SortOrder::Descend => SortOrder::Descend,
    };
    let target = match range.sort_target {
        h::SortTarget::Key => SortTarget::Key,
        h::SortTarget::Version => SortTarget::Version,
        h::SortTarget::Create => SortTarget::Create,
        h::SortTarget::Mod => SortTarget::Mod,
        h::SortTarget::Value => SortTarget::Value,
    };
    pb::RangeRequest {
        key: bytes(&range.key),
        range_end: bytes(&range.range_end),
        limit: range.limit,
        revision: range.revision,
        sort_order: order.into(),
        sort_target: target.into(),
        serializable: range.serializable,
        keys_only: range.keys_only,
        count_only: range.count_only,
        min_mod_revision: range.min_mod_revision,
        max_mod_revision: range.max_mod_revision,
        min_create_revision: range.min_create_revision,
        max_create_revision: range.max_create_revision,
    }
}

pub(super) fn put(put: &h::Put) -> pb::PutRequest {
    pb::PutRequest {
        key: bytes(&put.key),
        value: bytes(&put.value),
        lease: put.lease,
        prev_kv: put.prev_kv,
        ignore_value: put.ignore_value,
        ignore_lease: put.ignore_lease,
    }
}

pub(super) fn delete_range(delete: &h::DeleteRange) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: bytes(&delete.key),
        range_end: bytes(&delete.range_end),
        prev_kv: delete.prev_kv,
    }
}

pub(super) fn txn(txn: &h::Txn) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: txn.compare.iter().map(compare).collect(),
        success: txn.success.iter().map(operation).collect(),
        failure: txn.failure.iter().map(operation).collect(),
    }
}

fn compare(compare: &h::Compare) -> pb::Compare {
    use pb::compare::{CompareResult, CompareTarget, TargetUnion};
    let result = match compare.result {
        h::CompareResult::Equal => CompareResult::Equal,
        h::CompareResult::Greater => CompareResult::Greater,
        h::CompareResult::Less => CompareResult::Less,
        h::CompareResult::NotEqual => CompareResult::NotEqual,
    };
    let (target, operand) = match &compare.target {
        h::CompareTarget::Version(n) => (CompareTarget::Version, TargetUnion::Version(*n)),
        h::CompareTarget::Create(n) => (CompareTarget::Create, TargetUnion::CreateRevision(*n)),
        h::CompareTarget::Mod(n) => (CompareTarget::Mod, TargetUnion::ModRevision(*n)),
        h::CompareTarget::Value(v) => (CompareTarget::Value, TargetUnion::Value(bytes(v))),
        h::CompareTarget::Lease(n) => (CompareTarget::Lease, TargetUnion::Lease(*n)),
    };
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: bytes(&compare.key),
        range_end: bytes(&compare.range_end),
        target_union: Some(operand),
    }
}

/// Only ranges, puts, deletes and txns may stand in a txn; anything else becomes the operation that etcd refuses.
fn operation(request: &h::Request) -> pb::RequestOp {
    use pb::request_op::Request;
    let request = match request {
        h::Request::Range(inner) => Some(Request::RequestRange(range(inner))),
        h::Request::Put(inner) => Some(Request::RequestPut(put(inner))),
        h::Request::DeleteRange(inner) => Some(Request::RequestDeleteRange(delete_range(inner))),
        h::Request::Txn(inner) => Some(Request::RequestTxn(txn(inner))),
        _ => None,
    };
    pb::RequestOp { request }
}

fn key_value(kv: mvccpb::KeyValue) -> h::KeyValue {
    h::KeyValue {
        key: kv.key.as_ref().into(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: kv.value.as_ref().into(),
        lease: kv.lease,
    }
}

pub(super) fn ranged(answer: pb::RangeResponse) -> h::Answer {
    h::Answer::Range(h::Ranged {
        kvs: answer.kvs.into_iter().map(key_value).collect(),
        more: answer.more,
        count: answer.count,
    })
}

pub(super) fn was_put(answer: pb::PutResponse) -> h::Answer {
    h::Answer::Put {
        prev_kv: answer.prev_kv.map(key_value),
    }
}

pub(super) fn deleted(answer: pb::DeleteRangeResponse) -> h::Answer {
    h::Answer::DeleteRange(h::Deleted {
        deleted: answer.deleted,
        prev_kvs: answer.prev_kvs.into_iter().map(key_value).collect(),
    })
}

pub(super) fn was_txn(answer: pb::TxnResponse) -> h::Answer {
    use pb::response_op::Response;
    let answers = answer.responses.into_iter().filter_map(|operation| {
        Some(match operation.response? {
            Response::ResponseRange(inner) => ranged(inner),
            Response::ResponsePut(inner) => was_put(inner),
            Response::ResponseDeleteRange(inner) => deleted(inner),
            Response::ResponseTxn(inner) => was_txn(inner),
        })
    });
    h::Answer::Txn(h::TxnAnswer {
        succeeded: answer.succeeded,
        answers: answers.collect(),
    })
}

/// A watch's event as a record.
pub(crate) fn watch_event(event: mvccpb::Event) -> h::Event {
    let kind = match event.r#type() {
        mvccpb::event::EventType::Put => h::EventKind::Put,
        mvccpb::event::EventType::Delete => h::EventKind::Delete,
    };
    h::Event {
        kind,
        kv: event.kv.map(key_value).unwrap_or_default(),
        prev_kv: event.prev_kv.map(key_value),
    }
}
