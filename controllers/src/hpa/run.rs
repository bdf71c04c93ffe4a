//! Carries out what is decided for autoscalers, each of which has a turn now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, Error, Key, Next, Patch, Resource, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use k8s_openapi::api::core::v1::Pod;
use objects::selector::label::Selector;
use parking_lot::Mutex;

use super::measuring::Measuring;
use super::{
    History, Plan, Rescale, Rules, State, after_rescale, decide, needs_samples, without_scale,
};
use crate::context::Context;
use crate::events::Event;
use crate::scales::{NoScale, Scale, Scales, group_of};
use crate::telling::Teller;
use crate::written::Written;
use crate::{patches, selectors};

const NAME: &str = "horizontal-pod-autoscaler-controller";

/// Starts the controller of autoscalers.
pub(crate) fn start(context: &Context) {
    let autoscalers = context.informers.of::<HorizontalPodAutoscaler>();
    let options = &context.options.autoscaling;
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "horizontal-pod-autoscaler"),
        autoscalers: autoscalers.store(),
        pods: context.informers.of::<Pod>().store(),
        scales: Scales::new(context.client.clone()),
        queue: context.queue("horizontalpodautoscaler"),
        written: Written::default(),
        known: Mutex::default(),
        period: options.horizontal_pod_autoscaler_sync_period,
        rules: Rules {
            tolerance: options.horizontal_pod_autoscaler_tolerance,
            downscale_stabilization: options.horizontal_pod_autoscaler_downscale_stabilization,
            cpu_initialization: options.horizontal_pod_autoscaler_cpu_initialization_period,
            initial_readiness_delay: options.horizontal_pod_autoscaler_initial_readiness_delay,
        },
    });
    let of_changes = controller.clone();
    autoscalers.on_change(move |change| of_changes.changed(change));
    let queue = controller.queue.clone();
    let workers = context
        .options
        .workers
        .concurrent_horizontal_pod_autoscaler_syncs;
    context.work((NAME, workers), queue, context.synced(), move |key: Key| {
        let controller = controller.clone();
        async move { Ok::<_, Error>(controller.sync(&key).await) }
    });
}

/// What is remembered of autoscalers.
#[derive(Debug, Default)]
struct Known {
    histories: HashMap<Key, History>,
    /// What the workloads of autoscalers select.
    selectors: BTreeMap<Key, Selector>,
}

struct Controller {
    client: Client,
    teller: Teller,
    autoscalers: Store<HorizontalPodAutoscaler>,
    pods: Store<Pod>,
    scales: Scales,
    queue: Arc<WorkQueue<Key>>,
    written: Written<Key>,
    known: Mutex<Known>,
    period: Duration,
    rules: Rules,
}

/// A workload, and its size.
struct Target {
    resource: Resource,
    key: Key,
    scale: Scale,
}

impl Controller {
    /// What is no news of the spec waits for the next turn.
    fn changed(&self, change: &Change<HorizontalPodAutoscaler>) {
        let key = Key::of(change.object().as_ref());
        match change {
            Change::Modified { old, new } if old.spec == new.spec => {}
            Change::Added(_) | Change::Modified { .. } => self.queue.add(key),
            Change::Deleted(_) => self.forget(&key),
        }
    }

    fn forget(&self, key: &Key) {
        let mut known = self.known.lock();
        known.histories.remove(key);
        known.selectors.remove(key);
        self.written.forget(key);
    }

    /// A turn that fails is told, and the next one comes as it would anyway.
    async fn sync(&self, key: &Key) -> Next {
        let Some(hpa) = self.autoscalers.get(key) else {
            // A turn that was under way when it was deleted may have noted it again, as a rival of others.
            self.forget(key);
            return Next::Done;
        };
        if self.written.is_seen(key, &hpa.metadata)
            && let Err(error) = self.turn(key, &hpa).await
        {
            tracing::warn!(%key, %error, "an autoscaler's turn failed");
            let message = error.to_string();
            self.teller
                .tell(hpa.as_ref(), &Event::warning("FailedUpdateStatus", message));
        }
        Next::After(self.period)
    }

    async fn turn(&self, key: &Key, hpa: &HorizontalPodAutoscaler) -> Result<(), Error> {
        let target = match self.target(key, hpa).await {
            Ok(target) => target,
            Err(fault) => {
                let plan = without_scale(hpa, &fault.to_string(), Timestamp::now());
                self.tell(hpa, &plan);
                return self.write(hpa, &plan.status).await;
            }
        };
        let scale = &target.scale;
        let selected = self.selected(key, scale);
        let pods: Vec<&Pod> = selected.iter().map(Arc::as_ref).collect();
        let measured = if needs_samples(hpa, scale) {
            let measuring = Measuring {
                client: &self.client,
                scales: &self.scales,
                hpa,
                scale,
            };
            measuring.all().await
        } else {
            Vec::new()
        };
        let rivals = self.rivals(key, &pods);
        let now = Timestamp::now();
        let state = State {
            hpa,
            scale,
            pods: &pods,
            rivals: &rivals,
            measured: &measured,
            rules: &self.rules,
            now,
        };
        let mut history = self
            .known
            .lock()
            .histories
            .get(key)
            .cloned()
            .unwrap_or_default();
        let plan = decide(state, &mut history);
        self.tell(hpa, &plan);
        let status = match &plan.rescale {
            None => plan.status.clone(),
            Some(rescale) => {
                let outcome = self.rescale(&target, rescale).await;
                if outcome.is_ok() {
                    history.rescaled(rescale, now);
                }
                let outcome = outcome.map_err(|error| error.to_string());
                let (status, event) = after_rescale(&plan, rescale, outcome, now);
                self.teller.tell(hpa, &event);
                status
            }
        };
        self.known.lock().histories.insert(key.clone(), history);
        self.write(hpa, &status).await
    }

    fn tell(&self, hpa: &HorizontalPodAutoscaler, plan: &Plan) {
        for event in &plan.events {
            self.teller.tell(hpa, event);
        }
    }

    async fn target(&self, key: &Key, hpa: &HorizontalPodAutoscaler) -> Result<Target, NoScale> {
        let reference = &hpa.spec.scale_target_ref;
        let group = group_of(reference.api_version.as_deref().unwrap_or_default());
        let resource = self.scales.resource(group, &reference.kind).await?;
        let key = Key::new(key.namespace.clone(), reference.name.clone());
        let scale = self.scales.get(&resource, &key).await?;
        Ok(Target {
            resource,
            key,
            scale,
        })
    }

    /// Somebody may have changed the workload since it was read; if its size is the same, that does not matter.
    async fn rescale(&self, target: &Target, rescale: &Rescale) -> Result<(), Error> {
        let Target {
            resource,
            key,
            scale,
        } = target;
        match self.scales.set(resource, key, scale, rescale.to).await {
            Err(error) if error.is_conflict() => {
                let fresh = self.scales.get(resource, key).await?;
                if fresh.uid != scale.uid || fresh.replicas != scale.replicas {
                    return Err(error);
                }
                self.scales.set(resource, key, &fresh, rescale.to).await
            }
            outcome => outcome,
        }
    }

    /// The pods that the workload selects, which are from now on this autoscaler's.
    fn selected(&self, key: &Key, scale: &Scale) -> Vec<Arc<Pod>> {
        let selector = Selector::parse(&scale.selector).ok();
        let selector = selector.filter(|selector| !selector.is_everything());
        let mut known = self.known.lock();
        let Some(selector) = selector else {
            known.selectors.remove(key);
            return Vec::new();
        };
        known.selectors.insert(key.clone(), selector.clone());
        drop(known);
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selectors::selects(&selector, &pod.metadata));
        pods
    }

    /// All autoscalers of the namespace whose workloads select one of the pods.
    fn rivals(&self, key: &Key, pods: &[&Pod]) -> Vec<String> {
        let known = self.known.lock();
        let in_namespace = known
            .selectors
            .iter()
            .filter(|(other, _)| other.namespace == key.namespace);
        let selecting = in_namespace.filter(|(_, selector)| {
            pods.iter()
                .any(|pod| selectors::selects(selector, &pod.metadata))
        });
        selecting
            .map(|(Key { namespace, name }, _)| format!("{{{name} {namespace}}}"))
            .collect()
    }

    async fn write(
        &self,
        hpa: &HorizontalPodAutoscaler,
        status: &HorizontalPodAutoscalerStatus,
    ) -> Result<(), Error> {
        let old = hpa.status.clone().unwrap_or_default();
        if let Some(patch) = patches::status(&hpa.metadata, &old, status) {
            let key = Key::of(hpa);
            let patch = Patch::Merge(patch);
            let written = self
                .client
                .patch_status::<HorizontalPodAutoscaler>(&key, &patch)
                .await?;
            self.written.note(key, &written.metadata);
        }
        Ok(())
    }
}
