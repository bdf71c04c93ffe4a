//! Wire types to the state machine's and back. Keys and values are shared, never copied.

use proto::encoded::KeyValue;
use proto::server::etcdserverpb as pb;
use state_machine::{
    AlarmKind, Body, Compare, CompareResult, DeleteRange, DeleteRangeResponse, EncodedKeyValue,
    KeyRange, Op, OpResponse, Operand, Put, PutResponse, Range, RangeResponse, SortOrder,
    SortTarget, Txn, TxnResponse,
};
use tonic::Status;

use pb::compare::{CompareResult as WireResult, CompareTarget, TargetUnion};
use pb::request_op::Request as WireOp;
use pb::response_op::Response as WireResponse;

use super::status;

/// A request that [`super::check::range`] passed.
pub(crate) fn range(request: pb::RangeRequest) -> Range {
    Range {
        sort_order: match request.sort_order() {
            pb::range_request::SortOrder::None => SortOrder::None,
            pb::range_request::SortOrder::Ascend => SortOrder::Ascend,
            pb::range_request::SortOrder::Descend => SortOrder::Descend,
        },
        sort_target: match request.sort_target() {
            pb::range_request::SortTarget::Key => SortTarget::Key,
            pb::range_request::SortTarget::Version => SortTarget::Version,
            pb::range_request::SortTarget::Create => SortTarget::Create,
            pb::range_request::SortTarget::Mod => SortTarget::Mod,
            pb::range_request::SortTarget::Value => SortTarget::Value,
        },
        keys: KeyRange {
            start: request.key,
            end: request.range_end,
        },
        limit: request.limit,
        revision: request.revision,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision,
        max_mod_revision: request.max_mod_revision,
        min_create_revision: request.min_create_revision,
        max_create_revision: request.max_create_revision,
    }
}

pub(crate) fn put(request: pb::PutRequest) -> Put {
    Put {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(crate) fn delete_range(request: pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange {
        keys: KeyRange {
            start: request.key,
            end: request.range_end,
        },
        prev_kv: request.prev_kv,
    }
}

/// A request that [`super::check::txn`] passed.
pub(crate) fn txn(request: pb::TxnRequest) -> Txn {
    Txn {
        compares: request.compare.into_iter().filter_map(compare).collect(),
        success: operations(request.success),
        failure: operations(request.failure),
    }
}

fn operations(operations: Vec<pb::RequestOp>) -> Vec<Op> {
    let converted = operations
        .into_iter()
        .filter_map(|operation| match operation.request {
            Some(WireOp::RequestRange(request)) => Some(Op::Range(range(request))),
            Some(WireOp::RequestPut(request)) => Some(Op::Put(put(request))),
            Some(WireOp::RequestDeleteRange(request)) => {
                Some(Op::DeleteRange(delete_range(request)))
            }
            Some(WireOp::RequestTxn(request)) => Some(Op::Txn(txn(request))),
            None => None,
        });
    converted.collect()
}

/// None for a compare that holds whatever is stored.
///
/// etcd lets enum values it does not know pass: an unknown target compares as equal, an unknown result always holds.
/// A value compare holds for existing keys alone, so an unknown result with it says "exists".
fn compare(compare: pb::Compare) -> Option<Compare> {
    let result = match WireResult::try_from(compare.result) {
        Ok(WireResult::Equal) => Some(CompareResult::Equal),
        Ok(WireResult::Greater) => Some(CompareResult::Greater),
        Ok(WireResult::Less) => Some(CompareResult::Less),
        Ok(WireResult::NotEqual) => Some(CompareResult::NotEqual),
        Err(_) => None,
    };
    let target = CompareTarget::try_from(compare.target).ok();
    let keys = KeyRange {
        start: compare.key,
        end: compare.range_end,
    };
    let (result, operand) = match (result, target) {
        (Some(result), Some(target)) => (result, operand(target, compare.target_union)),
        (Some(CompareResult::Equal), None) => return None,
        // No version is below 0.
        (Some(_), None) => (CompareResult::Less, Operand::Version(0)),
        (None, Some(CompareTarget::Value)) => (CompareResult::Greater, Operand::Version(0)),
        (None, _) => return None,
    };
    Some(Compare {
        keys,
        result,
        operand,
    })
}

/// A union that does not fit the target counts as unset, and unset as zero or empty.
fn operand(target: CompareTarget, union: Option<TargetUnion>) -> Operand {
    match (target, union) {
        (CompareTarget::Version, Some(TargetUnion::Version(version))) => Operand::Version(version),
        (CompareTarget::Version, _) => Operand::Version(0),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(revision))) => {
            Operand::CreateRevision(revision)
        }
        (CompareTarget::Create, _) => Operand::CreateRevision(0),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(revision))) => {
            Operand::ModRevision(revision)
        }
        (CompareTarget::Mod, _) => Operand::ModRevision(0),
        (CompareTarget::Value, Some(TargetUnion::Value(value))) => Operand::Value(value),
        (CompareTarget::Value, _) => Operand::Value(bytes::Bytes::new()),
        (CompareTarget::Lease, Some(TargetUnion::Lease(lease))) => Operand::Lease(lease),
        (CompareTarget::Lease, _) => Operand::Lease(0),
    }
}

/// None for a number etcd does not know.
pub(crate) fn alarm_kind(alarm: i32) -> Option<AlarmKind> {
    match pb::AlarmType::try_from(alarm).ok()? {
        pb::AlarmType::None => Some(AlarmKind::Any),
        pb::AlarmType::Nospace => Some(AlarmKind::NoSpace),
        pb::AlarmType::Corrupt => Some(AlarmKind::Corrupt),
    }
}

fn alarm_type(alarm: AlarmKind) -> pb::AlarmType {
    match alarm {
        AlarmKind::Any => pb::AlarmType::None,
        AlarmKind::NoSpace => pb::AlarmType::Nospace,
        AlarmKind::Corrupt => pb::AlarmType::Corrupt,
    }
}

/// etcd's name of an alarm.
pub(crate) fn alarm_name(alarm: AlarmKind) -> &'static str {
    alarm_type(alarm).as_str_name()
}

pub(crate) fn alarm_members(alarms: Vec<(u64, AlarmKind)>) -> Vec<pb::AlarmMember> {
    let member = |(member_id, alarm)| pb::AlarmMember {
        member_id,
        alarm: alarm_type(alarm).into(),
    };
    alarms.into_iter().map(member).collect()
}

pub(crate) fn range_response(
    header: pb::ResponseHeader,
    response: RangeResponse,
) -> pb::RangeResponse {
    pb::RangeResponse {
        header: Some(header),
        kvs: key_values(response.kvs),
        more: response.more,
        count: response.count,
    }
}

pub(crate) fn put_response(header: pb::ResponseHeader, response: PutResponse) -> pb::PutResponse {
    pb::PutResponse {
        header: Some(header),
        prev_kv: response.prev_kv.map(key_value),
    }
}

pub(crate) fn delete_range_response(
    header: pb::ResponseHeader,
    response: DeleteRangeResponse,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header: Some(header),
        deleted: response.deleted,
        prev_kvs: key_values(response.prev_kvs),
    }
}

pub(crate) fn txn_response(header: pb::ResponseHeader, response: TxnResponse) -> pb::TxnResponse {
    pb::TxnResponse {
        header: Some(header),
        succeeded: response.succeeded,
        responses: response
            .responses
            .into_iter()
            .map(operation_response)
            .collect(),
    }
}

/// Headers inside a transaction carry the revision alone.
fn operation_response(response: OpResponse) -> pb::ResponseOp {
    let header = |revision| pb::ResponseHeader {
        revision,
        ..Default::default()
    };
    let response = match response {
        OpResponse::Range { revision, response } => {
            WireResponse::ResponseRange(range_response(header(revision), response))
        }
        OpResponse::Put { revision, response } => {
            WireResponse::ResponsePut(put_response(header(revision), response))
        }
        OpResponse::DeleteRange { revision, response } => {
            WireResponse::ResponseDeleteRange(delete_range_response(header(revision), response))
        }
        OpResponse::Txn { revision, response } => {
            WireResponse::ResponseTxn(txn_response(header(revision), response))
        }
    };
    pb::ResponseOp {
        response: Some(response),
    }
}

fn key_value(kv: EncodedKeyValue) -> KeyValue {
    KeyValue(kv.0)
}

/// Reuses the vector.
fn key_values(kvs: Vec<EncodedKeyValue>) -> Vec<KeyValue> {
    kvs.into_iter().map(key_value).collect()
}

/// An outcome of another kind than the command asked for: the state machine's answer is not to be trusted.
pub(crate) fn unexpected(body: &Body) -> Status {
    let kind = match body {
        Body::Put(_) => "Put",
        Body::DeleteRange(_) => "DeleteRange",
        Body::Txn(_) => "Txn",
        Body::LeaseGrant { .. } => "LeaseGrant",
        Body::Alarms(_) => "Alarms",
        Body::Done => "Done",
    };
    status::internal(&format!("unexpected outcome {kind}"))
}

#[cfg(test)]
mod tests;
