//! A controller with a kind of its own: every Greeting has a ConfigMap that says it.

use std::sync::Arc;

use client::{
    Client, Config, Error, Informer, Informers, Key, Next, Object, Patch, WorkQueue, work,
};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const DEFINITION: &str = include_str!("greetings.json");

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Greeting {
    pub metadata: ObjectMeta,
    pub spec: Value,
}
client::kind!(
    Greeting,
    "example.com",
    "v1",
    "Greeting",
    "greetings",
    namespaced
);

fn applied(object: Value) -> Patch {
    let manager = "greeter".to_owned();
    Patch::Apply {
        manager,
        force: true,
        object,
    }
}

/// What is to be written, if anything, for a greeting and the ConfigMap that there is.
fn decide(greeting: &Greeting, found: Option<&ConfigMap>) -> Option<Patch> {
    let text = format!("Hello, {}!", greeting.spec["to"].as_str()?);
    let said = found.and_then(|map| map.data.as_ref()?.get("text"));
    let (name, uid) = (&greeting.metadata.name, &greeting.metadata.uid);
    let owner = json!({"apiVersion": "example.com/v1", "kind": "Greeting", "name": name, "uid": uid, "controller": true});
    let metadata = json!({"name": name, "ownerReferences": [owner]});
    (said != Some(&text)).then(|| {
        applied(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}))
    })
}

/// Has the keys of objects that change looked at.
fn follow<K: Object>(informer: &Informer<K>, queue: &Arc<WorkQueue<Key>>) {
    let queue = queue.clone();
    informer.on_change(move |change| queue.add(change.object().key()));
}

pub async fn run(client: Client) -> Result<(), Error> {
    let definition = applied(serde_json::from_str(DEFINITION).expect("a file of ours"));
    let key = Key::new("", "greetings.example.com");
    client
        .patch::<CustomResourceDefinition>(&key, &definition)
        .await?;
    let informers = Informers::new(client.clone());
    let (greetings, maps) = (informers.of::<Greeting>(), informers.of::<ConfigMap>());
    let queue = Arc::new(WorkQueue::new());
    follow(&greetings, &queue);
    follow(&maps, &queue);
    let mut running = JoinSet::new();
    for (_, informer) in informers.run() {
        running.spawn(informer);
    }
    informers.synced().await;
    let sync = move |key: Key| {
        let (greeting, found) = (greetings.store().get(&key), maps.store().get(&key));
        let patch = greeting.and_then(|greeting| decide(&greeting, found.as_deref()));
        let client = client.clone();
        async move {
            if let Some(patch) = patch {
                client.patch::<ConfigMap>(&key, &patch).await?;
            }
            Ok::<_, Error>(Next::Done)
        }
    };
    work(queue, 4, sync).await;
    Ok(())
}

#[tokio::main]
#[allow(dead_code, reason = "a test runs all but this")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kubeconfig = std::env::args()
        .nth(1)
        .ok_or("usage: greetings KUBECONFIG")?;
    let config = Config::from_kubeconfig(kubeconfig)?.with_user_agent("greeter");
    Ok(run(Client::new(config)?).await?)
}
