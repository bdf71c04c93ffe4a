//! Txns: comparisons of every kind over nested lists of operations.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::TargetUnion;
use proto::etcdserverpb::request_op::Request;

use super::Generator;
use super::keys::{draw_key, draw_range, draw_value};

const NESTING_MAX: usize = 3;
/// etcd's limit on the operations of a txn, and one over it.
const OPERATIONS_AT_LIMIT: &[usize] = &[128, 129];

impl Generator {
    pub(super) fn txn(&mut self) -> pb::TxnRequest {
        let mut request = self.nested_txn(0);
        if has_delete(&request) {
            // etcd 3.4 checks such puts before the txn and ends with a panic when a delete of the
            // same txn has taken the key away.
            clear_ignore_flags(&mut request);
        }
        request
    }

    fn nested_txn(&mut self, depth: usize) -> pb::TxnRequest {
        // Few comparisons, or they would hardly ever all hold.
        let compares = *self.random.pick(&[0, 1, 1, 1, 2, 3]);
        let mut request = pb::TxnRequest {
            compare: (0..compares).map(|_| self.compare()).collect(),
            success: self.operations(depth),
            failure: self.operations(depth),
        };
        if self.random.below(150) == 0 {
            let count = *self.random.pick(OPERATIONS_AT_LIMIT);
            request.success = (0..count)
                .map(|_| operation(Request::RequestRange(self.range())))
                .collect();
        }
        if self.random.below(300) == 0 {
            let count = *self.random.pick(OPERATIONS_AT_LIMIT);
            request.compare = (0..count).map(|_| self.compare()).collect();
        }
        request
    }

    fn operations(&mut self, depth: usize) -> Vec<pb::RequestOp> {
        let count = *self.random.pick(&[0, 1, 1, 2, 2, 3, 5]);
        (0..count).map(|_| self.one_operation(depth)).collect()
    }

    fn one_operation(&mut self, depth: usize) -> pb::RequestOp {
        let nested = if depth < NESTING_MAX { 60 } else { 0 };
        match self.random.weighted(&[400, 400, 120, nested, 4]) {
            0 => operation(Request::RequestRange(self.range())),
            1 => operation(Request::RequestPut(self.put())),
            2 => operation(Request::RequestDeleteRange(self.delete_range())),
            3 => operation(Request::RequestTxn(self.nested_txn(depth + 1))),
            _ => pb::RequestOp { request: None },
        }
    }

    fn compare(&mut self) -> pb::Compare {
        let target = self.random.below(5) as i32;
        let mut kind = target;
        if self.random.percent(4) {
            // A union that does not fit the target.
            kind = self.random.below(6) as i32;
        }
        let (key, mut range_end) = draw_range(&mut self.random);
        if self.random.percent(60) {
            range_end.clear();
        }
        let key = if key.is_empty() && self.random.percent(70) {
            draw_key(&mut self.random)
        } else {
            key
        };
        let target_union = match kind {
            0 => Some(TargetUnion::Version(self.random.below(4) as i64)),
            1 => Some(TargetUnion::CreateRevision(self.compared_revision())),
            2 => Some(TargetUnion::ModRevision(self.compared_revision())),
            3 => Some(TargetUnion::Value(draw_value(&mut self.random).into())),
            4 => Some(TargetUnion::Lease(self.lease_id())),
            _ => None,
        };
        let mut compare = pb::Compare {
            result: self.random.below(4) as i32,
            target,
            key: key.into(),
            range_end: range_end.into(),
            target_union,
        };
        if self.random.percent(1) {
            compare.result = 9;
        }
        if self.random.percent(1) {
            compare.target = 9;
        }
        compare
    }

    fn compared_revision(&mut self) -> i64 {
        if self.random.percent(40) {
            0
        } else {
            self.history_revision()
        }
    }
}

fn operation(request: Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

fn has_delete(txn: &pb::TxnRequest) -> bool {
    let mut operations = txn.success.iter().chain(&txn.failure);
    operations.any(|operation| match &operation.request {
        Some(Request::RequestDeleteRange(_)) => true,
        Some(Request::RequestTxn(nested)) => has_delete(nested),
        _ => false,
    })
}

fn clear_ignore_flags(txn: &mut pb::TxnRequest) {
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut operation.request {
            Some(Request::RequestPut(put)) => {
                put.ignore_value = false;
                put.ignore_lease = false;
            }
            Some(Request::RequestTxn(nested)) => clear_ignore_flags(nested),
            _ => {}
        }
    }
}
