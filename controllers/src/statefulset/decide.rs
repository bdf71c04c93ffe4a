//! What a StatefulSet needs next: pods made in order, deleted from the end, and renewed from the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use super::claims::{self, Owners};
use super::identity;
use crate::amounts::{self, Round};
use crate::events::Event;
use crate::patches::count;
use crate::pods::{self, phase};

/// The most pods that one turn of a parallel set makes.
const CREATES_PER_TURN_MAX: usize = 500;

/// A template with the name of its revision.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) template: PodTemplateSpec,
}

/// Everything a decision about a StatefulSet rests on.
pub(super) struct Seen<'a> {
    pub(super) set: &'a StatefulSet,
    /// The pods that the set controls.
    pub(super) pods: &'a [Arc<Pod>],
    /// The claims of the namespace that belong to the set's pods, by name.
    pub(super) claims: &'a BTreeMap<String, Arc<PersistentVolumeClaim>>,
    pub(super) current: &'a Revision,
    pub(super) update: &'a Revision,
    pub(super) collisions: i32,
    pub(super) now: Timestamp,
}

/// One write. Writes are carried out one after the other, and the first that fails ends the turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    CreateClaim {
        pod: String,
        claim: Box<PersistentVolumeClaim>,
    },
    CreatePod(Box<Pod>),
    DeletePod {
        name: String,
        uid: String,
    },
    /// A merge patch of a pod that has lost its labels.
    LabelPod {
        name: String,
        uid: String,
        patch: Value,
    },
    OwnClaim {
        name: String,
        uid: String,
        version: String,
        owners: Vec<OwnerReference>,
    },
}

/// What is to be written. The status is written even when an action fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    pub(super) status: StatefulSetStatus,
    pub(super) events: Vec<Event>,
    /// When a pod that is ready becomes available.
    pub(super) next: Option<std::time::Duration>,
}

pub(super) fn decide(seen: &Seen<'_>) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &seen.set.spec else {
        return plan;
    };
    let view = View::of(seen, spec);
    let renewed = if seen.set.metadata.deletion_timestamp.is_none() {
        view.act(&mut plan)
    } else {
        0
    };
    plan.status = view.status(renewed);
    plan.next = pods::next_available(
        seen.pods.iter().map(|pod| &**pod),
        view.min_ready_seconds,
        seen.now,
    );
    plan
}

/// Whether the rest of a turn goes on after a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Wait,
}

struct View<'a> {
    seen: &'a Seen<'a>,
    spec: &'a StatefulSetSpec,
    start: i32,
    wanted: i32,
    /// By their place from the start ordinal on.
    replicas: BTreeMap<i32, &'a Pod>,
    /// Those outside of the ordinals, the highest first.
    condemned: Vec<&'a Pod>,
    is_ordered: bool,
    min_ready_seconds: i32,
}

impl<'a> View<'a> {
    fn of(seen: &'a Seen<'a>, spec: &'a StatefulSetSpec) -> View<'a> {
        let start = spec
            .ordinals
            .as_ref()
            .and_then(|ordinals| ordinals.start)
            .unwrap_or(0);
        let wanted = spec.replicas.unwrap_or(1);
        let mut replicas: BTreeMap<i32, &Pod> = BTreeMap::new();
        let mut condemned: Vec<(i32, &Pod)> = Vec::new();
        for pod in seen.pods.iter().map(|pod| &**pod) {
            let Some(ordinal) = identity::ordinal(seen.set, pod) else {
                continue;
            };
            match ordinal
                .checked_sub(start)
                .filter(|place| (0..wanted).contains(place))
            {
                Some(place) => drop(replicas.insert(place, pod)),
                None => condemned.push((ordinal, pod)),
            }
        }
        condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        View {
            seen,
            spec,
            start,
            wanted,
            replicas,
            condemned: condemned.into_iter().map(|(_, pod)| pod).collect(),
            is_ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
        }
    }

    fn is_up(&self, pod: &Pod) -> bool {
        phase(pod) == "Running" && pods::is_available(pod, self.min_ready_seconds, self.seen.now)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pod.metadata.deletion_timestamp.is_none()
            && pods::is_available(pod, self.min_ready_seconds, self.seen.now)
    }

    /// Adds the actions, and says how many pods of the current revision they renew.
    fn act(&self, plan: &mut Plan) -> i32 {
        let mut created = 0;
        for place in 0..self.wanted {
            let Some(pod) = self.replicas.get(&place) else {
                self.create(self.start.saturating_add(place), plan);
                created += 1;
                if self.is_ordered || created == CREATES_PER_TURN_MAX {
                    return 0;
                }
                continue;
            };
            if self.replica(pod, self.start.saturating_add(place), plan) == Then::Wait
                && self.is_ordered
            {
                return 0;
            }
        }
        for pod in &self.condemned {
            let ordinal = identity::ordinal(self.seen.set, pod).unwrap_or_default();
            self.own_claims(pod, ordinal, true, plan);
        }
        let unhealthy = self.first_unhealthy();
        for pod in &self.condemned {
            if self.condemn(pod, unhealthy, plan) == Then::Wait && self.is_ordered {
                return 0;
            }
        }
        self.renew(plan)
    }

    fn replica(&self, pod: &Pod, ordinal: i32, plan: &mut Plan) -> Then {
        if pods::is_terminal(pod) {
            if pod.metadata.deletion_timestamp.is_none() {
                plan.actions.push(delete(pod));
            }
            return Then::Wait;
        }
        let is_pending = phase(pod) == "Pending";
        if is_pending {
            self.create_claims(ordinal, plan);
            self.own_claims(pod, ordinal, false, plan);
        }
        let is_going = pod.metadata.deletion_timestamp.is_some();
        if self.is_ordered && (is_going || !self.is_up(pod)) {
            return Then::Wait;
        }
        if !identity::is_labelled(pod) {
            let (name, uid) = id(pod);
            plan.actions.push(Action::LabelPod {
                name,
                uid,
                patch: identity::labels(pod, ordinal),
            });
        }
        if !is_pending {
            self.own_claims(pod, ordinal, false, plan);
        }
        Then::GoOn
    }

    fn create(&self, ordinal: i32, plan: &mut Plan) {
        let revision = if self.stays_behind(ordinal) {
            self.seen.current
        } else {
            self.seen.update
        };
        let pod = identity::pod(self.seen.set, ordinal, &revision.template, &revision.name);
        let claims = identity::claims(self.seen.set, ordinal);
        let found = claims.iter().filter_map(|(_, claim)| self.claim(claim));
        let mut found = found.collect::<Vec<_>>().into_iter();
        if found.any(|claim| claims::awaits_deletion(claim, self.seen.set, &pod)) {
            return;
        }
        if self.create_claims(ordinal, plan) {
            plan.actions.push(Action::CreatePod(Box::new(pod)));
        }
    }

    /// Whether a pod of this ordinal is still made of the current revision.
    fn stays_behind(&self, ordinal: i32) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let is_rolling = strategy
            .and_then(|strategy| strategy.type_.as_deref())
            .unwrap_or("RollingUpdate");
        let status = self.seen.set.status.as_ref();
        let behind = match rolling {
            Some(rolling) => rolling.partition.unwrap_or(0),
            None if is_rolling == "RollingUpdate" => status
                .and_then(|status| status.current_replicas)
                .unwrap_or(0),
            None => 0,
        };
        ordinal < self.start.saturating_add(behind)
    }

    fn claim(&self, claim: &PersistentVolumeClaim) -> Option<&'a PersistentVolumeClaim> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        self.seen.claims.get(name).map(|claim| &**claim)
    }

    /// Adds the claims that are missing, and says whether those that are there stay.
    fn create_claims(&self, ordinal: i32, plan: &mut Plan) -> bool {
        let pod = identity::pod_name(self.seen.set, ordinal);
        let mut stay = true;
        for (_, claim) in identity::claims(self.seen.set, ordinal) {
            match self.claim(&claim) {
                None => plan.actions.push(Action::CreateClaim {
                    pod: pod.clone(),
                    claim: Box::new(claim),
                }),
                Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
                    let name = claim.metadata.name.as_deref().unwrap_or_default();
                    let set = self.seen.set.metadata.name.as_deref().unwrap_or_default();
                    let message = format!(
                        "Create Pod {pod} in StatefulSet {set} failed error: pvc {name} is being deleted"
                    );
                    plan.events.push(Event::warning("FailedCreate", message));
                    stay = false;
                }
                Some(_) => {}
            }
        }
        stay
    }

    fn own_claims(&self, pod: &Pod, ordinal: i32, is_surplus: bool, plan: &mut Plan) {
        for (_, claim) in identity::claims(self.seen.set, ordinal) {
            let Some(claim) = self.claim(&claim) else {
                continue;
            };
            let Owners::Become(owners) = claims::owners(claim, self.seen.set, pod, is_surplus)
            else {
                continue;
            };
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            let name = text(&claim.metadata.name);
            if claims::is_contested(claim, self.seen.set, pod) {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, \
                     the retention policy is ignored for this claim"
                );
                plan.events
                    .push(Event::warning("ConflictingController", message));
            }
            let (uid, version) = (
                text(&claim.metadata.uid),
                text(&claim.metadata.resource_version),
            );
            plan.actions.push(Action::OwnClaim {
                name,
                uid,
                version,
                owners,
            });
        }
    }

    /// The unavailable pod with the lowest ordinal: those that stay come before those that go.
    fn first_unhealthy(&self) -> Option<&'a Pod> {
        let all = self.replicas.values().chain(self.condemned.iter().rev());
        all.copied().find(|pod| !self.is_available(pod))
    }

    fn condemn(&self, pod: &Pod, unhealthy: Option<&Pod>, plan: &mut Plan) -> Then {
        if pod.metadata.deletion_timestamp.is_some() {
            return Then::Wait;
        }
        let is_first = unhealthy.is_some_and(|first| first.metadata.uid == pod.metadata.uid);
        if !self.is_ordered || self.is_up(pod) || is_first {
            plan.actions.push(delete(pod));
        }
        Then::Wait
    }

    /// Deletes pods of an old revision from the end, as the strategy allows.
    fn renew(&self, plan: &mut Plan) -> i32 {
        let strategy = self.spec.update_strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return 0;
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
        let most = rolling
            .and_then(|rolling| rolling.max_unavailable.as_ref())
            .map(|most| {
                amounts::scaled(most, self.wanted, Round::Down)
                    .unwrap_or(1)
                    .max(1)
            });
        let available = self
            .replicas
            .values()
            .filter(|pod| self.is_available(pod))
            .count();
        let unavailable = self
            .wanted
            .saturating_sub(i32::try_from(available).unwrap_or(i32::MAX));
        let mut free = most.map_or(1, |most| most.saturating_sub(unavailable));
        let mut renewed = 0;
        let mut expected = self.wanted;
        for (place, pod) in self.replicas.range(partition..).rev() {
            expected -= 1;
            let is_after_gap = *place != expected;
            if free <= 0 || (most.is_none() && is_after_gap) {
                break;
            }
            let is_old = identity::revision(pod) != self.seen.update.name;
            if is_old && pod.metadata.deletion_timestamp.is_none() {
                plan.actions.push(delete(pod));
                renewed += i32::from(identity::revision(pod) == self.seen.current.name);
                free -= 1;
            } else if most.is_none() && !self.is_available(pod) {
                break;
            }
        }
        renewed
    }

    fn status(&self, renewed: i32) -> StatefulSetStatus {
        let number = |wanted: &dyn Fn(&Pod) -> bool| {
            let pods = self.replicas.values().chain(&self.condemned);
            i32::try_from(pods.filter(|pod| wanted(pod)).count()).unwrap_or(i32::MAX)
        };
        let is_ready = |pod: &Pod| phase(pod) == "Running" && pods::is_ready(pod);
        let is_of = |pod: &Pod, revision: &Revision| {
            pod.metadata.deletion_timestamp.is_none() && identity::revision(pod) == revision.name
        };
        let (replicas, ready) = (number(&|pod| !phase(pod).is_empty()), number(&is_ready));
        let updated = number(&|pod| is_of(pod, self.seen.update));
        let mut current = number(&|pod| is_of(pod, self.seen.current)) - renewed;
        let mut current_name = &self.seen.current.name;
        let wanted = self.wanted;
        let strategy = self
            .spec
            .update_strategy
            .as_ref()
            .and_then(|strategy| strategy.type_.as_deref());
        let is_done = replicas == wanted && ready == wanted && updated == wanted;
        if strategy != Some("OnDelete") && is_done {
            (current, current_name) = (updated, &self.seen.update.name);
        }
        StatefulSetStatus {
            available_replicas: Some(number(&|pod| is_ready(pod) && self.is_up(pod))),
            collision_count: Some(self.seen.collisions),
            conditions: self
                .seen
                .set
                .status
                .as_ref()
                .and_then(|status| status.conditions.clone()),
            current_replicas: count(current),
            current_revision: Some(current_name.clone()),
            observed_generation: self.seen.set.metadata.generation,
            ready_replicas: count(ready),
            replicas,
            update_revision: Some(self.seen.update.name.clone()),
            updated_replicas: count(updated),
        }
    }
}

/// The names of the revisions that pods are made of.
pub(super) fn used_revisions(pods: &[Arc<Pod>]) -> BTreeSet<&str> {
    pods.iter().map(|pod| identity::revision(pod)).collect()
}

fn id(pod: &Pod) -> (String, String) {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (text(&pod.metadata.name), text(&pod.metadata.uid))
}

fn delete(pod: &Pod) -> Action {
    let (name, uid) = id(pod);
    Action::DeletePod { name, uid }
}

#[cfg(test)]
mod tests;
