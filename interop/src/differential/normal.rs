//! Takes out of an answer what two equal servers may differ in: ids, terms, times, and the order of
//! keys that a sort holds for equal.

use std::cmp::Ordering;

use proto::etcdserverpb as pb;
use proto::mvccpb::KeyValue;

use super::step::{Answer, Step};

/// Seconds a lease may have run down between two looks at it.
const LEASE_SECONDS_SPENT_MAX: i64 = 600;

/// Normalises the answer to `step`. An error when the answer is wrong by itself.
pub(super) fn normalise(step: &Step, answer: &mut Answer) -> Result<(), String> {
    match (step, answer) {
        (Step::Range(request), Answer::Range(answer)) => range(request, answer)?,
        (Step::Txn(request), Answer::Txn(answer)) => txn(request, answer)?,
        (_, Answer::Put(answer)) => header(&mut answer.header),
        (_, Answer::DeleteRange(answer)) => header(&mut answer.header),
        (_, Answer::Compact(answer)) => header(&mut answer.header),
        (_, Answer::Grant(answer)) => header(&mut answer.header),
        (_, Answer::GrantBriefly(grant, time, revoke)) => {
            header(&mut grant.header);
            time_to_live(time);
            header(&mut revoke.header);
        }
        (_, Answer::Revoke(answer)) => header(&mut answer.header),
        (_, Answer::TimeToLive(answer)) => time_to_live(answer),
        (_, Answer::KeepAlive(answer)) => header(&mut answer.header),
        (_, Answer::Leases(answer)) => {
            header(&mut answer.header);
            // Listed by time of expiry.
            answer.leases.sort_by_key(|lease| lease.id);
        }
        (_, Answer::HashKv(answer)) => {
            header(&mut answer.header);
            // A field etcd has had since 3.6.
            answer.hash_revision = 0;
        }
        (_, Answer::Watch(answer)) => header(&mut answer.header),
        _ => {}
    }
    Ok(())
}

/// Ids and terms differ between clusters; whether they are set does not.
pub(super) fn header(header: &mut Option<pb::ResponseHeader>) {
    if let Some(header) = header {
        header.cluster_id = header.cluster_id.min(1);
        header.member_id = header.member_id.min(1);
        header.raft_term = header.raft_term.min(1);
    }
}

fn time_to_live(answer: &mut pb::LeaseTimeToLiveResponse) {
    header(&mut answer.header);
    let spent = answer.granted_ttl - answer.ttl;
    if answer.ttl >= 0 && (0..LEASE_SECONDS_SPENT_MAX).contains(&spent) {
        answer.ttl = answer.granted_ttl;
    }
    // etcd keeps a lease's keys in a hash map.
    answer.keys.sort();
}

fn txn(request: &pb::TxnRequest, answer: &mut pb::TxnResponse) -> Result<(), String> {
    use pb::request_op::Request;
    use pb::response_op::Response;

    header(&mut answer.header);
    let branch = if answer.succeeded {
        &request.success
    } else {
        &request.failure
    };
    for (asked, answered) in branch.iter().zip(&mut answer.responses) {
        match (&asked.request, &mut answered.response) {
            (Some(Request::RequestRange(asked)), Some(Response::ResponseRange(answered))) => {
                range(asked, answered)?;
            }
            (Some(Request::RequestTxn(asked)), Some(Response::ResponseTxn(answered))) => {
                txn(asked, answered)?;
            }
            (_, Some(Response::ResponsePut(answered))) => header(&mut answered.header),
            (_, Some(Response::ResponseDeleteRange(answered))) => header(&mut answered.header),
            _ => {}
        }
    }
    Ok(())
}

fn range(request: &pb::RangeRequest, answer: &mut pb::RangeResponse) -> Result<(), String> {
    header(&mut answer.header);
    if request.keys_only {
        for kv in &mut answer.kvs {
            // Newer servers answer keys from their index, which does not know leases.
            kv.lease = 0;
        }
    }
    sorted_range(request, answer)
}

/// etcd's sort is not stable, so keys with an equal sort value may stand in any order, and a limit
/// may keep any of them. Those that a limit could have swapped are replaced by their number.
fn sorted_range(request: &pb::RangeRequest, answer: &mut pb::RangeResponse) -> Result<(), String> {
    use pb::range_request::{SortOrder, SortTarget};

    let Ok(target) = SortTarget::try_from(request.sort_target) else {
        return Ok(());
    };
    let Ok(order) = SortOrder::try_from(request.sort_order) else {
        return Ok(());
    };
    if target == SortTarget::Key {
        return Ok(());
    }
    let by_target = |a: &KeyValue, b: &KeyValue| {
        let ascending = match target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        if order == SortOrder::Descend {
            ascending.reverse()
        } else {
            ascending
        }
    };
    if !answer
        .kvs
        .is_sorted_by(|a, b| by_target(a, b) != Ordering::Greater)
    {
        return Err(format!("the keys are not sorted by {target:?}, {order:?}"));
    }
    // With an order or a bound on revisions the limit cuts after the sort, otherwise before it.
    let bounded = request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0;
    if answer.more
        && (bounded || order != SortOrder::None)
        && let Some(last) = answer.kvs.last().cloned()
    {
        for kv in &mut answer.kvs {
            if by_target(kv, &last) == Ordering::Equal {
                *kv = KeyValue::default();
            }
        }
    }
    answer
        .kvs
        .sort_by(|a, b| by_target(a, b).then_with(|| a.key.cmp(&b.key)));
    Ok(())
}
