//! Bugs of writes.

use std::collections::HashSet;

use crate::history::{
    Answer, Blob, CompareTarget, DeleteRange, Deleted, EventKind, Operation, Outcome, Put, Record,
    Refusal, RefusalKind, Request, Response,
};
use crate::model::answer_writes;
use crate::verdict::Check;

use super::scene::Scene;
use super::{Mutator, bug};

pub(super) const ALL: &[Mutator] = &[
    bug(
        "lost write",
        "an answered write is gone after a change of leader, and its revision is another's",
        &[Check::AnsweredWrite, Check::RevisionUnique],
        lost_write,
    ),
    bug(
        "lost delete",
        "an answered delete is gone after a change of leader",
        &[Check::AnsweredWrite, Check::RevisionUnique],
        lost_delete,
    ),
    bug(
        "applied twice",
        "a write is sent again by the server and takes effect a second time",
        &[Check::AppliedOnce],
        applied_twice,
    ),
    bug(
        "revision reuse",
        "two writes are answered with one revision",
        &[Check::RevisionUnique, Check::AnsweredWrite],
        revision_reuse,
    ),
    bug(
        "revision gap",
        "the counter jumps over a revision",
        &[Check::Witness],
        revision_gap,
    ),
    bug(
        "phantom write",
        "a revision appears that nobody asked for",
        &[Check::Cause],
        phantom_write,
    ),
    bug(
        "refused write",
        "a write is refused and takes effect",
        &[Check::Cause],
        refused_write,
    ),
    bug(
        "write before its call",
        "a write shows before it was called",
        &[Check::RealTime],
        write_before_its_call,
    ),
    bug(
        "torn txn",
        "only some writes of a txn take effect",
        &[Check::AnsweredWrite, Check::TxnAnswer],
        torn_txn,
    ),
    bug(
        "compare on stale state",
        "a txn compares with an older state than it writes to",
        &[Check::TxnAnswer, Check::AnsweredWrite],
        compare_on_stale_state,
    ),
    bug(
        "wrong branch",
        "a txn answers for the list it did not do",
        &[Check::TxnAnswer],
        wrong_branch,
    ),
    bug(
        "wrong answer in txn",
        "a range in a txn does not see the state the txn works on",
        &[Check::TxnAnswer],
        wrong_answer_in_txn,
    ),
    bug(
        "wrong prev_kv",
        "a put answers with what was there before the last but one write",
        &[Check::WriteAnswer],
        wrong_prev_kv,
    ),
    bug(
        "wrong deleted",
        "a delete counts a key too many",
        &[Check::WriteAnswer],
        wrong_deleted,
    ),
    bug(
        "wrong value stored",
        "another value is stored than was written",
        &[Check::AnsweredWrite, Check::Cause],
        wrong_value_stored,
    ),
];

fn is_put(operation: &Operation) -> Option<&Put> {
    match &operation.request {
        Request::Put(put) if !put.ignore_value => Some(put),
        _ => None,
    }
}

/// An answered put, followed by enough others.
fn pick_put(scene: &mut Scene<'_>) -> Option<usize> {
    pick_put_of(scene, |_key| true)
}

fn pick_put_of(scene: &mut Scene<'_>, fits: impl Fn(&Blob) -> bool) -> Option<usize> {
    let top = scene.model.top();
    scene.pick_answered(|_, operation, response| {
        is_put(operation).is_some_and(|put| fits(&put.key))
            && response.revision > 10
            && response.revision + 10 < top
    })
}

fn lost_write(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    let mut lost = scene.operation(place).clone();
    lost.request = Request::Put(Put {
        key: "k0".into(),
        value: scene.fresh_value().into(),
        ..Put::default()
    });
    if let Outcome::Ok(response) = &mut lost.outcome {
        response.answer = Answer::Put { prev_kv: None };
    }
    scene.insert(lost);
    true
}

fn lost_delete(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    let mut lost = scene.operation(place).clone();
    let revision = scene.response(place).revision;
    let written = is_put(&lost).map(|put| put.key.clone());
    let alive: Vec<_> = (0..12)
        .map(|number| Blob::from(format!("k{number}")))
        .filter(|key| {
            Some(key) != written.as_ref() && scene.model.get(key.as_slice(), revision - 1).is_some()
        })
        .collect();
    if alive.is_empty() {
        return false;
    }
    let key = alive[scene.random.index(alive.len())].clone();
    lost.request = Request::DeleteRange(DeleteRange {
        key,
        ..DeleteRange::default()
    });
    lost.outcome = Outcome::Ok(Response {
        revision,
        answer: Answer::DeleteRange(Deleted {
            deleted: 1,
            prev_kvs: Vec::new(),
        }),
    });
    scene.insert(lost);
    true
}

/// Keys whose value an operation without an answer may have written again.
fn kept_in_doubt(scene: &Scene<'_>) -> HashSet<Blob> {
    fn collect(request: &Request, keys: &mut HashSet<Blob>) {
        match request {
            Request::Put(put) if put.ignore_value => {
                keys.insert(put.key.clone());
            }
            Request::Txn(txn) => {
                let requests = txn.success.iter().chain(&txn.failure);
                requests.for_each(|request| collect(request, keys));
            }
            _ => {}
        }
    }
    let mut keys = HashSet::new();
    for record in scene.records.iter() {
        if let Record::Op(operation) = record
            && matches!(operation.outcome, Outcome::Unknown { .. })
        {
            collect(&operation.request, &mut keys);
        }
    }
    keys
}

fn applied_twice(scene: &mut Scene<'_>) -> bool {
    let in_doubt = kept_in_doubt(scene);
    let Some(place) = pick_put_of(scene, |key| !in_doubt.contains(key)) else {
        return false;
    };
    let again = scene.operation(place).clone();
    let first = scene.response(place).revision;
    let later = scene.pick_answered(|_, operation, response| {
        is_put(operation).is_some() && response.revision > first
    });
    let (Some(later), Some(put)) = (later, is_put(&again)) else {
        return false;
    };
    let revision = scene.response(later).revision;
    scene.records.remove(later);
    scene.rewrite(revision, |events| {
        for event in events {
            event.kv.key = put.key.clone();
            event.kv.value = put.value.clone();
        }
    });
    true
}

fn revision_reuse(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        is_put(operation).is_some() && response.revision > 10
    });
    let Some(place) = place else {
        return false;
    };
    scene.response(place).revision -= 1;
    true
}

fn revision_gap(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    let revision = scene.response(place).revision;
    scene.records.remove(place);
    scene.rewrite(revision, Vec::clear);
    true
}

fn phantom_write(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    scene.records.remove(place);
    true
}

fn refused_write(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    scene.operation(place).outcome = Outcome::Failed(Refusal {
        kind: RefusalKind::Other,
        text: "too many requests".to_owned(),
    });
    true
}

fn write_before_its_call(scene: &mut Scene<'_>) -> bool {
    // Called only when a later revision had been answered already.
    let place = scene.pick_answered(|scene, operation, response| {
        let return_ns = operation.return_ns.unwrap_or(0);
        is_put(operation).is_some() && scene.newest_before(return_ns) >= response.revision
    });
    let Some(place) = place else {
        return false;
    };
    let operation = scene.operation(place);
    operation.call_ns = operation.return_ns.unwrap_or(operation.call_ns);
    true
}

fn torn_txn(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|scene, operation, response| {
        let entry = scene.model.revision(response.revision);
        matches!(operation.request, Request::Txn(_))
            && answer_writes(&response.answer)
            && entry.is_some_and(|entry| entry.events.len() > 1)
    });
    let Some(place) = place else {
        return false;
    };
    let revision = scene.response(place).revision;
    let key = scene
        .model
        .revision(revision)
        .map(|entry| entry.events[0].kv.key.clone());
    scene.rewrite(revision, |events| {
        events.retain(|event| Some(&event.kv.key) != key.as_ref());
    });
    true
}

fn compare_on_stale_state(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        let Request::Txn(txn) = &operation.request else {
            return false;
        };
        let compares = txn
            .compare
            .iter()
            .any(|compare| matches!(compare.target, CompareTarget::Mod(revision) if revision > 0));
        compares && matches!(&response.answer, Answer::Txn(answer) if answer.succeeded)
    });
    let Some(place) = place else {
        return false;
    };
    if let Request::Txn(txn) = &mut scene.operation(place).request {
        for compare in &mut txn.compare {
            if let CompareTarget::Mod(revision) = &mut compare.target {
                *revision -= 1;
            }
        }
    }
    true
}

fn wrong_branch(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        matches!(operation.request, Request::Txn(_))
            && matches!(&response.answer, Answer::Txn(answer) if !answer.succeeded)
            && !answer_writes(&response.answer)
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::Txn(answer) = &mut scene.response(place).answer {
        answer.succeeded = true;
    }
    true
}

fn wrong_answer_in_txn(scene: &mut Scene<'_>) -> bool {
    let has_keys = |answer: &Answer| match answer {
        Answer::Txn(txn) => txn
            .answers
            .iter()
            .position(|answer| matches!(answer, Answer::Range(ranged) if !ranged.kvs.is_empty())),
        _ => None,
    };
    let place = scene.pick_answered(|_, _, response| has_keys(&response.answer).is_some());
    let Some(place) = place else {
        return false;
    };
    let answer = &mut scene.response(place).answer;
    if let (Some(index), Answer::Txn(txn)) = (has_keys(answer), answer)
        && let Answer::Range(ranged) = &mut txn.answers[index]
    {
        ranged.kvs.pop();
        ranged.count -= 1;
    }
    true
}

fn wrong_prev_kv(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        is_put(operation).is_some() && matches!(&response.answer, Answer::Put { prev_kv: Some(_) })
    });
    let Some(place) = place else {
        return false;
    };
    let Answer::Put {
        prev_kv: Some(before),
    } = scene.response(place).answer.clone()
    else {
        return false;
    };
    let older = scene
        .model
        .get(before.key.as_slice(), before.mod_revision - 1)
        .cloned();
    scene.response(place).answer = Answer::Put { prev_kv: older };
    true
}

fn wrong_deleted(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, _, response| {
        matches!(&response.answer, Answer::DeleteRange(deleted) if deleted.deleted > 0)
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::DeleteRange(deleted) = &mut scene.response(place).answer {
        deleted.deleted += 1;
    }
    true
}

fn wrong_value_stored(scene: &mut Scene<'_>) -> bool {
    let Some(place) = pick_put(scene) else {
        return false;
    };
    let revision = scene.response(place).revision;
    let value = scene.fresh_value();
    scene.rewrite(revision, |events| {
        for event in events {
            if event.kind == EventKind::Put {
                event.kv.value = value.as_str().into();
            }
        }
    });
    true
}
