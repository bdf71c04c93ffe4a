//! Carries out what is decided for budgets, and for pods that were chosen to go and stay.

mod workloads;

use std::sync::Arc;

use client::{Change, Client, Error, Key, Next, Patch, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::{asks_for_workloads, decide, failed, not_disrupted, stale_after};
use crate::context::Context;
use crate::events::Event;
use crate::telling::Teller;
use crate::written::Written;
use crate::{patches, selectors};
use workloads::Finder;

const NAME: &str = "disruption-controller";

/// Budgets, and pods, that are seen to at the same time.
const WORKERS: usize = 1;

/// Starts the controller of budgets.
pub(crate) fn start(context: &Context) {
    let budgets = context.informers.of::<PodDisruptionBudget>();
    let pods = context.informers.of::<Pod>();
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "controllermanager"),
        budgets: budgets.store(),
        pods: pods.store(),
        finder: Finder::new(context),
        queue: context.queue("disruption"),
        stale: context.queue("stale_pod_disruption"),
        written: Written::default(),
    });
    let queue = controller.queue.clone();
    budgets.on_change(move |change| queue.add(Key::of(change.object().as_ref())));
    let of_pods = controller.clone();
    pods.on_change(move |change| of_pods.pod_changed(change));
    let (queue, stale) = (controller.queue.clone(), controller.stale.clone());
    let of_budgets = controller.clone();
    context.work((NAME, WORKERS), queue, context.synced(), move |key: Key| {
        let controller = of_budgets.clone();
        async move { controller.sync(&key).await }
    });
    context.work(
        ("disruption-controller pods", WORKERS),
        stale,
        context.synced(),
        move |key: Key| {
            let controller = controller.clone();
            async move { controller.sync_stale(&key).await }
        },
    );
}

struct Controller {
    client: Client,
    teller: Teller,
    budgets: Store<PodDisruptionBudget>,
    pods: Store<Pod>,
    finder: Finder,
    queue: Arc<WorkQueue<Key>>,
    /// Pods with a condition that says that they go.
    stale: Arc<WorkQueue<Key>>,
    written: Written<Key>,
}

impl Controller {
    fn pod_changed(&self, change: &Change<Pod>) {
        let pod = change.object();
        self.add_budgets_of(pod);
        match change {
            // A budget that selected it has one pod fewer.
            Change::Modified { old, .. } if old.metadata.labels != pod.metadata.labels => {
                self.add_budgets_of(old);
            }
            Change::Deleted(_) => return,
            _ => {}
        }
        if let Some(after) = stale_after(pod, Timestamp::now()) {
            self.stale.add_after(Key::of(pod.as_ref()), after);
        }
    }

    fn add_budgets_of(&self, pod: &Pod) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut selecting = self.budgets.in_namespace(namespace);
        selecting.retain(|budget| {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            selectors::read(selector)
                .is_ok_and(|selector| selectors::selects(&selector, &pod.metadata))
        });
        if let [first, _, ..] = &selecting[..] {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let chosen = first.metadata.name.as_deref().unwrap_or_default();
            let message = format!(
                "Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {chosen:?} arbitrarily."
            );
            self.teller.tell(
                pod,
                &Event::warning("MultiplePodDisruptionBudgets", message),
            );
        }
        for budget in selecting {
            self.queue.add(Key::of(budget.as_ref()));
        }
    }

    async fn sync(&self, key: &Key) -> Result<Next, Error> {
        let Some(budget) = self.budgets.get(key) else {
            self.written.forget(key);
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, &budget.metadata) {
            return Ok(Next::Done);
        }
        let now = Timestamp::now();
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let selector = match selectors::read(selector) {
            Ok(selector) => selector,
            Err(fault) => {
                let message = format!("Failed to get pods: {fault}");
                self.teller
                    .tell(budget.as_ref(), &Event::warning("NoPods", message));
                self.write(&budget, &failed(&budget, &fault, now)).await?;
                return Ok(Next::Done);
            }
        };
        let mut selected = self.pods.in_namespace(&key.namespace);
        selected.retain(|pod| selectors::selects(&selector, &pod.metadata));
        let selected: Vec<&Pod> = selected.iter().map(Arc::as_ref).collect();
        let workloads = match asks_for_workloads(&budget) {
            true => self.finder.of_pods(&selected).await,
            false => super::Workloads::new(),
        };
        let plan = decide(&budget, &selected, &workloads, now);
        for event in &plan.events {
            self.teller.tell(budget.as_ref(), event);
        }
        for name in &plan.not_deleted {
            let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            let overdue = selected
                .iter()
                .find(|pod| pod.metadata.name.as_ref() == Some(name));
            if let Some(pod) = overdue {
                self.teller
                    .tell(*pod, &Event::warning("NotDeleted", message));
            }
        }
        self.write(&budget, &plan.status).await?;
        Ok(plan.next_turn.map_or(Next::Done, Next::After))
    }

    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: &PodDisruptionBudgetStatus,
    ) -> Result<(), Error> {
        let old = budget.status.clone().unwrap_or_default();
        if let Some(patch) = patches::status(&budget.metadata, &old, status) {
            let key = Key::of(budget);
            let patch = Patch::Merge(patch);
            let written = self
                .client
                .patch_status::<PodDisruptionBudget>(&key, &patch)
                .await?;
            self.written.note(key, &written.metadata);
        }
        Ok(())
    }

    async fn sync_stale(&self, key: &Key) -> Result<Next, Error> {
        let now = Timestamp::now();
        let Some(pod) = self.pods.get(key) else {
            return Ok(Next::Done);
        };
        match stale_after(&pod, now) {
            None => Ok(Next::Done),
            Some(after) if !after.is_zero() => Ok(Next::After(after)),
            Some(_) => {
                let patch = Patch::Strategic(not_disrupted(&pod, now));
                self.client.patch_status::<Pod>(key, &patch).await?;
                Ok(Next::Done)
            }
        }
    }
}
