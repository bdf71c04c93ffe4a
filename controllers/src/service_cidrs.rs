//! Protects the address ranges of services from going while services have addresses of them, and says that they are ready.

use std::sync::Arc;

use anyhow::Result;
use client::{Change, Client, Key, Next, Patch, Store};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use crate::context::Context;
use crate::events::Event;
use crate::node_ipam::Cidr;
use crate::patches;
use crate::telling::Teller;

const CONTROLLER: &str = "service-cidr-controller";
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
const READY: &str = "Ready";
const WORKERS: usize = 5;
/// Time in which allocators learn that a range goes, before it is gone.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

struct Controller {
    client: Client,
    ranges: Store<ServiceCIDR>,
    addresses: Store<IPAddress>,
    teller: Teller,
}

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let ranges = context.informers.of::<ServiceCIDR>();
    let addresses = context.informers.of::<IPAddress>();
    let queue = context.queue("ipaddresses");
    let (added, known) = (queue.clone(), ranges.store());
    ranges.on_change(move |change| {
        let range = change.object();
        added.add(Key::of(&**range));
        // A range that comes or goes may let another one go.
        if !matches!(change, Change::Modified { .. }) {
            let parts = parts(range);
            let overlaps = |other: &ServiceCIDR| {
                let mut others = self::parts(other).into_iter();
                others.any(|other| parts.iter().any(|part| part.overlaps(other)))
            };
            for other in known.all().iter().filter(|other| overlaps(other)) {
                added.add(Key::of(&**other));
            }
        }
    });
    let (added, known) = (queue.clone(), ranges.store());
    addresses.on_change(move |change| {
        if let Some(address) = allocated(change.object())
            && !matches!(change, Change::Modified { .. })
        {
            for range in known.all().iter().filter(|range| holds(range, address)) {
                added.add(Key::of(&**range));
            }
        }
    });
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        ranges: ranges.store(),
        addresses: addresses.store(),
        teller: Teller::new(context, CONTROLLER),
    });
    context.work(
        (CONTROLLER, WORKERS),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = controller.clone();
            async move { controller.sync(&key).await }
        },
    );
}

fn parts(range: &ServiceCIDR) -> Vec<Cidr> {
    let texts = range
        .spec
        .iter()
        .flat_map(|spec| spec.cidrs.iter().flatten());
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// An address that the apiserver gave to a service, as a range of one.
fn allocated(address: &IPAddress) -> Option<Cidr> {
    let labels = address.metadata.labels.as_ref()?;
    let is_managed = labels.get(MANAGED_BY).is_some_and(|by| by == ALLOCATOR);
    let text = address.metadata.name.as_deref().filter(|_| is_managed)?;
    text.parse().ok().map(Cidr::of_address)
}

/// Whether services can have the address from the range.
fn holds(range: &ServiceCIDR, address: Cidr) -> bool {
    parts(range)
        .iter()
        .any(|part| part.contains(address) && !part.is_end(address))
}

/// What is to be done about a range.
#[derive(Debug, PartialEq)]
enum Step {
    /// It is as it should be.
    Nothing,
    /// It gets its finalizer, and is ready.
    Protect,
    Tell(Condition),
    /// It may go after a time.
    Wait(SignedDuration),
    Release,
}

/// Decides on a range by all ranges that there are and all addresses that were given to services.
fn decide(
    range: &ServiceCIDR,
    all: &[Arc<ServiceCIDR>],
    addresses: &[Cidr],
    now: Timestamp,
) -> Step {
    let finalizers = range.metadata.finalizers.iter().flatten();
    let is_protected = finalizers.clone().any(|known| known == FINALIZER);
    if let Some(deleted) = &range.metadata.deletion_timestamp {
        if !may_go(range, all, addresses) {
            let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
            return tell(range, ("False", "Terminating", message), now);
        }
        let left = GRACE - now.duration_since(deleted.0);
        return match is_protected {
            false => Step::Nothing,
            true if left.is_positive() => Step::Wait(left),
            true => Step::Release,
        };
    }
    if !is_protected {
        return Step::Protect;
    }
    tell(range, ("True", "", "Kubernetes Service CIDR is ready"), now)
}

/// Whether another range has all its addresses, or nobody needs those that only it has.
fn may_go(range: &ServiceCIDR, all: &[Arc<ServiceCIDR>], addresses: &[Cidr]) -> bool {
    let others = all
        .iter()
        .filter(|other| other.metadata.name != range.metadata.name);
    let other_parts: Vec<Cidr> = others.clone().flat_map(|other| parts(other)).collect();
    let has_parents = parts(range)
        .iter()
        .all(|part| other_parts.iter().any(|other| other.contains(*part)));
    has_parents
        || !addresses.iter().any(|&address| {
            holds(range, address) && !others.clone().any(|other| holds(other, address))
        })
}

/// Sets the condition, if it does not say this yet.
fn tell(
    range: &ServiceCIDR,
    (status, reason, message): (&str, &str, &str),
    now: Timestamp,
) -> Step {
    let conditions = range
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == READY);
    let is_told = ready.next().is_some_and(|known| {
        known.status == status && known.reason == reason && known.message == message
    });
    if is_told {
        return Step::Nothing;
    }
    Step::Tell(Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: patches::time(now),
        observed_generation: None,
    })
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(range) = self.ranges.get(key) else {
            return Ok(Next::Done);
        };
        let addresses: Vec<Cidr> = if range.metadata.deletion_timestamp.is_some() {
            let all = self.addresses.all();
            all.iter()
                .filter_map(|address| allocated(address))
                .collect()
        } else {
            Vec::new()
        };
        match decide(&range, &self.ranges.all(), &addresses, Timestamp::now()) {
            Step::Nothing => {}
            Step::Wait(left) => return Ok(Next::After(left.unsigned_abs())),
            Step::Protect => {
                let patch =
                    json!({"metadata": {"finalizers": [FINALIZER], "uid": range.metadata.uid}});
                self.patch(key, patch).await?;
            }
            Step::Release => {
                let patch = json!({"metadata": {
                    "$deleteFromPrimitiveList/finalizers": [FINALIZER], "uid": range.metadata.uid,
                }});
                self.patch(key, patch).await?;
            }
            Step::Tell(condition) => {
                let is_ready = condition.status == "True";
                let told = self.apply(key, &range, &condition).await;
                if told.is_err() && is_ready {
                    let message = "The ServiceCIDR Status can not be set to Ready=True";
                    let event = Event::warning("KubernetesServiceCIDRError", message);
                    self.teller.tell(&*range, &event);
                }
                told?;
            }
        }
        Ok(Next::Done)
    }

    async fn patch(&self, key: &Key, patch: Value) -> Result<()> {
        let patched = self
            .client
            .patch::<ServiceCIDR>(key, &Patch::Strategic(patch))
            .await;
        match patched {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn apply(&self, key: &Key, range: &ServiceCIDR, condition: &Condition) -> Result<()> {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": key.name, "uid": range.metadata.uid},
            "status": {"conditions": [condition]},
        });
        let patch = Patch::Apply {
            manager: CONTROLLER.to_owned(),
            force: true,
            object,
        };
        self.client.patch_status::<ServiceCIDR>(key, &patch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
