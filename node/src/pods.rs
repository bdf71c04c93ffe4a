//! Carries out what becomes of the pods on our nodes.

use std::sync::Arc;
use std::time::Duration;

use client::{
    Change, Client, DeleteOptions, EventType, Informer, Key, Patch, Recorder, Store, Write,
    reference,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::Instant;

use crate::agenda::Agenda;
use crate::fleet::Fleet;
use crate::register;
use crate::stages::{Place, Step, has_ended, step};

/// Most writes under way at a time.
const WRITES_MAX: usize = 512;
/// Pause before a write that failed is thought of again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Pods by the node that they are bound to.
const BY_NODE: &str = "node";

/// The pods on our nodes.
pub(crate) struct Pods {
    client: Client,
    pods: Store<Pod>,
    fleet: Arc<Fleet>,
    agenda: Agenda<Key>,
    recorder: Option<Recorder>,
}

/// A write, and what is told when it is done.
struct Deed {
    pod: Arc<Pod>,
    write: Write,
    events: Vec<crate::stages::Event>,
}

impl Pods {
    /// Pods of an informer, which are looked at whenever they or their nodes change.
    pub(crate) fn new(
        client: Client,
        (pods, nodes): (&Informer<Pod>, &Informer<Node>),
        fleet: Arc<Fleet>,
        recorder: Option<Recorder>,
    ) -> Arc<Pods> {
        pods.index(BY_NODE, |pod| vec![node_name(pod).to_owned()]);
        let this = Arc::new(Pods {
            client,
            pods: pods.store(),
            fleet,
            agenda: Agenda::new(),
            recorder,
        });
        let changed = this.clone();
        pods.on_change(move |change| changed.pod_changed(change));
        let changed = this.clone();
        nodes.on_change(move |change| changed.node_changed(change));
        this
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let pod = change.object();
        let is_gone = matches!(change, Change::Deleted(_));
        if is_gone || has_ended(pod) {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            self.fleet.forget_pod(node_name(pod), uid);
        }
        if !is_gone && self.fleet.node(node_name(pod)).is_some() {
            self.agenda.add(Key::of(&**pod), Instant::now());
        }
    }

    /// A node that works again has its pods to look after; what others say of it is no matter.
    fn node_changed(&self, change: &Change<Node>) {
        let (node, concerns_pods) = match change {
            Change::Added(node) => (node, true),
            Change::Modified { old, new } => {
                (new, register::has_failed(old) != register::has_failed(new))
            }
            Change::Deleted(node) => {
                self.fleet
                    .forget(node.metadata.name.as_deref().unwrap_or_default());
                return;
            }
        };
        let name = node.metadata.name.as_deref().unwrap_or_default();
        for pod in self
            .pods
            .by_index(BY_NODE, name)
            .into_iter()
            .filter(|_| concerns_pods)
        {
            self.agenda.add(Key::of(&*pod), Instant::now());
        }
    }

    /// Pods of a node.
    pub(crate) fn on(&self, node: &str) -> Vec<Arc<Pod>> {
        self.pods.by_index(BY_NODE, node)
    }

    /// A pod as the apiserver has it now; none if there is none, or nobody can tell.
    pub(crate) async fn live(&self, key: &Key) -> Option<Arc<Pod>> {
        self.client.get::<Pod>(key).await.ok().map(Arc::new)
    }

    /// Does what is due, for as long as it is not dropped. Begins when all pods are known.
    pub(crate) async fn run(self: Arc<Pods>) {
        self.keep_addresses();
        loop {
            let due = self.agenda.due(WRITES_MAX).await;
            let deeds: Vec<Deed> = due.iter().filter_map(|key| self.decide(key)).collect();
            if deeds.is_empty() {
                continue;
            }
            let writes = deeds.iter().map(|deed| deed.write.clone()).collect();
            match self.client.batch(writes).await {
                Ok(outcomes) => {
                    for (deed, outcome) in deeds.into_iter().zip(outcomes) {
                        self.done(&deed, outcome);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "pods could not be written");
                    for deed in deeds {
                        self.again(&deed.pod);
                    }
                }
            }
        }
    }

    /// Takes the addresses that pods have, before another pod is given one.
    fn keep_addresses(&self) {
        for pod in self.pods.all() {
            let has_address = pod.status.iter().any(|status| status.pod_ip.is_some());
            if let Some(node) = self.fleet.node(node_name(&pod)).filter(|_| has_address) {
                let number = self.fleet.number(&node);
                self.fleet.pod_address(&node, number, &pod);
            }
        }
    }

    fn decide(&self, key: &Key) -> Option<Deed> {
        let pod = self.pods.get(key)?;
        let node = self.fleet.node(node_name(&pod))?;
        if register::has_failed(&node) {
            return None;
        }
        let number = self.fleet.number(&node);
        let node_address = register::address(number).to_string();
        let pod_address = self.fleet.pod_address(&node, number, &pod);
        let place = Place {
            node_address: &node_address,
            pod_address: &pod_address.map_or_else(|| node_address.clone(), |own| own.to_string()),
            now: Timestamp::now(),
        };
        let (write, events) = match step(&pod, &place) {
            Step::Nothing => return None,
            Step::Wait(at) => {
                let left = Duration::try_from(at.duration_since(place.now)).unwrap_or_default();
                self.agenda.add(key.clone(), Instant::now() + left);
                return None;
            }
            Step::Status { patch, events } => (
                Write::patch_status::<Pod>(key, Patch::Strategic(patch)),
                events,
            ),
            Step::Delete => {
                let options = DeleteOptions {
                    grace_seconds: Some(0),
                    ..DeleteOptions::of_uid(pod.metadata.uid.clone().unwrap_or_default())
                };
                (Write::delete::<Pod>(key, options), Vec::new())
            }
        };
        Some(Deed { pod, write, events })
    }

    fn done(&self, deed: &Deed, outcome: Result<client::Written, client::Failure>) {
        match outcome {
            Ok(_) => self.tell(deed),
            // Another pod has its name, or none.
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => {
                tracing::debug!(pod = %Key::of(&*deed.pod), %failure, "a pod could not be written");
                self.again(&deed.pod);
            }
        }
    }

    fn tell(&self, deed: &Deed) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let recorder = recorder.on_host("kubelet", node_name(&deed.pod));
        for event in &deed.events {
            let kind = if event.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            };
            let mut about = reference(&*deed.pod);
            let container = event.container.as_ref();
            about.field_path = container.map(|name| format!("spec.containers{{{name}}}"));
            recorder.event(&about, kind, event.reason, event.message.clone());
        }
    }

    fn again(&self, pod: &Pod) {
        self.agenda.add(Key::of(pod), Instant::now() + RETRY_PAUSE);
    }
}

pub(crate) fn node_name(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.node_name.as_deref())
        .unwrap_or_default()
}
