//! Bugs of leases.

use std::collections::{HashMap, HashSet};

use crate::history::{
    Answer, EventKind, LeaseKeepAlive, LeaseTime, Operation, Outcome, Record, Refusal, RefusalKind,
    Request, Response,
};
use crate::model::{Ending, answer_writes};
use crate::verdict::Check;

use super::scene::Scene;
use super::{Mutator, bug};

/// What only keys with a lease of their own begin with.
const OF_LEASES: &[u8] = b"l";
const NS_PER_SECOND: u64 = 1_000_000_000;

pub(super) const ALL: &[Mutator] = &[
    bug(
        "lease expired early",
        "a lease runs out although it had just been renewed",
        &[Check::LeaseEarly],
        expired_early,
    ),
    bug(
        "lease expired in part",
        "some keys of a lease stay when it runs out",
        &[Check::LeaseAtomic],
        expired_in_part,
    ),
    bug(
        "lease renewed after its end",
        "a leader that was cut off renews a lease that is over",
        &[Check::LeaseAnswer, Check::LeaseEarly],
        renewed_after_its_end,
    ),
    bug(
        "lease denied",
        "a member does not know a lease that lives",
        &[Check::LeaseAnswer],
        denied,
    ),
    bug(
        "lease time wrong",
        "a lease is said to have been granted for another time",
        &[Check::LeaseAnswer],
        wrong_time,
    ),
    bug(
        "lease answered after its revoke",
        "a member still knows a lease that was revoked",
        &[Check::LeaseAnswer],
        answered_after_revoke,
    ),
    bug(
        "lease grant refused",
        "a grant is refused because of a lease that never was",
        &[Check::LeaseAnswer],
        grant_refused,
    ),
];

/// Revisions that end a lease by its time, with it and the time a watch first saw them, in nanoseconds.
fn ends(scene: &Scene<'_>) -> Vec<(i64, i64, u64)> {
    let mut seen: HashMap<i64, u64> = HashMap::new();
    let mut revoked = HashSet::new();
    let mut written = HashSet::new();
    for record in scene.records.iter() {
        match record {
            Record::Watch(response) => {
                for event in &response.events {
                    seen.entry(event.kv.mod_revision)
                        .or_insert(response.time_ns);
                }
            }
            Record::Op(operation) => {
                if let Request::LeaseRevoke(revoke) = &operation.request {
                    revoked.insert(revoke.id);
                }
                if let Outcome::Ok(response) = &operation.outcome
                    && answer_writes(&response.answer)
                {
                    written.insert(response.revision);
                }
            }
            _ => {}
        }
    }
    // Keys that clients delete as well may have been deleted by an operation without an answer.
    let by_time = |revision: &i64| {
        let events = scene.model.revision(*revision).map(|entry| &entry.events);
        let own = events.into_iter().flatten();
        let own = own.filter(|event| event.kv.key.as_slice().starts_with(OF_LEASES));
        !written.contains(revision) && own.count() > 1
    };
    (scene.model.first()..=scene.model.top())
        .filter(by_time)
        .filter_map(|revision| match scene.model.revision(revision)?.ending {
            Ending::Whole(lease) if !revoked.contains(&lease) => {
                Some((revision, lease, *seen.get(&revision)?))
            }
            _ => None,
        })
        .collect()
}

fn pick<T: Copy>(scene: &mut Scene<'_>, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[scene.random.index(of.len())])
}

/// A keep-alive that found the lease.
fn renewal(scene: &Scene<'_>, lease: i64, call_ns: u64) -> Operation {
    Operation {
        id: 0,
        client: 0,
        member: 0,
        call_ns,
        return_ns: Some(call_ns + 1),
        request: Request::LeaseKeepAlive(LeaseKeepAlive { id: lease }),
        outcome: Outcome::Ok(Response {
            revision: scene.newest_before(call_ns),
            answer: Answer::LeaseKeepAlive(LeaseTime {
                id: lease,
                ttl: 2,
                ..LeaseTime::default()
            }),
        }),
    }
}

fn expired_early(scene: &mut Scene<'_>) -> bool {
    let ends = ends(scene);
    let Some((_, lease, seen_ns)) = pick(scene, &ends) else {
        return false;
    };
    let call_ns = seen_ns.saturating_sub(NS_PER_SECOND);
    let renewal = renewal(scene, lease, call_ns);
    scene.insert(renewal);
    true
}

fn expired_in_part(scene: &mut Scene<'_>) -> bool {
    let ends = ends(scene);
    let Some((revision, _, _)) = pick(scene, &ends) else {
        return false;
    };
    let key = scene
        .model
        .revision(revision)
        .map(|entry| entry.events[0].kv.key.clone());
    scene.rewrite(revision, |events| {
        events
            .retain(|event| event.kind != EventKind::Delete || Some(&event.kv.key) != key.as_ref());
    });
    true
}

fn renewed_after_its_end(scene: &mut Scene<'_>) -> bool {
    let ends = ends(scene);
    let Some((_, lease, seen_ns)) = pick(scene, &ends) else {
        return false;
    };
    let renewal = renewal(scene, lease, seen_ns + 2);
    scene.insert(renewal);
    true
}

/// Until when leases live at least, by what was answered; revoked ones left out.
fn lives(scene: &Scene<'_>) -> HashMap<i64, (u64, u64)> {
    let mut lives: HashMap<i64, (u64, u64)> = HashMap::new();
    let mut revoked = Vec::new();
    for record in scene.records.iter() {
        let Record::Op(operation) = record else {
            continue;
        };
        if let Request::LeaseRevoke(revoke) = &operation.request {
            revoked.push(revoke.id);
        }
        let (Outcome::Ok(response), Some(return_ns)) = (&operation.outcome, operation.return_ns)
        else {
            continue;
        };
        let until_ns =
            |ttl: i64| operation.call_ns + u64::try_from(ttl).unwrap_or(0) * NS_PER_SECOND;
        match &response.answer {
            Answer::LeaseGrant(lease) => {
                lives.insert(lease.id, (return_ns, until_ns(lease.ttl)));
            }
            Answer::LeaseKeepAlive(lease) => {
                if let Some((_, until)) = lives.get_mut(&lease.id) {
                    *until = (*until).max(until_ns(lease.ttl));
                }
            }
            _ => {}
        }
    }
    for id in revoked {
        lives.remove(&id);
    }
    lives
}

fn denied(scene: &mut Scene<'_>) -> bool {
    let lives = lives(scene);
    let place = scene.pick_answered(|_, operation, response| {
        let Answer::LeaseTimeToLive(lease) = &response.answer else {
            return false;
        };
        let return_ns = operation.return_ns.unwrap_or(u64::MAX);
        lives.get(&lease.id).is_some_and(|(granted_ns, until_ns)| {
            *granted_ns < operation.call_ns && return_ns < *until_ns
        })
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::LeaseTimeToLive(lease) = &mut scene.response(place).answer {
        *lease = LeaseTime {
            id: lease.id,
            ttl: -1,
            ..LeaseTime::default()
        };
    }
    true
}

fn wrong_time(scene: &mut Scene<'_>) -> bool {
    let lives = lives(scene);
    let place = scene.pick_answered(|_, _, response| {
        matches!(&response.answer, Answer::LeaseTimeToLive(lease)
            if lease.ttl >= 0 && lives.contains_key(&lease.id))
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::LeaseTimeToLive(lease) = &mut scene.response(place).answer {
        lease.granted_ttl += 1;
    }
    true
}

fn answered_after_revoke(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|_, _, response| response.answer == Answer::LeaseRevoke);
    let Some(place) = place else {
        return false;
    };
    let revoke = scene.operation(place).clone();
    let Request::LeaseRevoke(request) = &revoke.request else {
        return false;
    };
    let call_ns = revoke.return_ns.unwrap_or(revoke.call_ns) + 1;
    let renewal = renewal(scene, request.id, call_ns);
    scene.insert(renewal);
    true
}

fn grant_refused(scene: &mut Scene<'_>) -> bool {
    let attached: HashSet<i64> = scene
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Op(operation) => match &operation.request {
                Request::Put(put) if put.lease != 0 => Some(put.lease),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let place = scene.pick_answered(|_, _, response| {
        matches!(&response.answer, Answer::LeaseGrant(lease) if !attached.contains(&lease.id))
    });
    // A lease that keys were attached to shows a second fault, which does not matter.
    let place = place.or_else(|| {
        scene.pick_answered(|_, _, response| matches!(response.answer, Answer::LeaseGrant(_)))
    });
    let Some(place) = place else {
        return false;
    };
    scene.operation(place).outcome = Outcome::Failed(Refusal {
        kind: RefusalKind::LeaseExists,
        text: String::new(),
    });
    true
}
