//! A controller with a kind of our own, whose objects' children and status follow it, until its last word.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Api, Client, CustomResource, CustomResourceExt as _, Resource as _, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Failure;
use crate::faults::{awaited, calling, creating, deleting, fault, refused};

const MANAGER: &str = "gadgets";
const LAST_WORD: &str = "kube.clients.example.com/last-word";
const DEFINITION: &str = "gadgets.kube.clients.example.com";
const RETRY_AFTER: Duration = Duration::from_millis(200);
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(60);

/// What is wanted of a gadget.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "kube.clients.example.com",
    version = "v1",
    kind = "Gadget",
    namespaced,
    status = "GadgetStatus"
)]
#[kube(selectable = ".spec.color", shortname = "gg", schema = "derived")]
pub struct GadgetSpec {
    #[schemars(range(min = 0))]
    size: i64,
    #[serde(default = "blue")]
    color: String,
}

/// What there is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
pub struct GadgetStatus {
    size: i64,
}

fn blue() -> String {
    "blue".to_owned()
}

/// The errors of a reconciler and of its finalizer.
type Problem = Box<finalizer::Error<kube::Error>>;

async fn reconcile(gadget: Arc<Gadget>, client: Arc<Client>) -> Result<Action, Problem> {
    let namespace = gadget.namespace().unwrap_or_default();
    let gadgets: Api<Gadget> = Api::namespaced(Client::clone(&client), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(Client::clone(&client), &namespace);
    let step = async |event| match event {
        finalizer::Event::Apply(gadget) => follow(&gadget, &gadgets, &maps).await,
        finalizer::Event::Cleanup(_) => Ok(Action::await_change()),
    };
    finalizer(&gadgets, LAST_WORD, gadget, step)
        .await
        .map_err(Box::new)
}

async fn follow(
    gadget: &Gadget,
    gadgets: &Api<Gadget>,
    maps: &Api<ConfigMap>,
) -> kube::Result<Action> {
    let name = gadget.name_any();
    let child = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [gadget.controller_owner_ref(&())]},
        "data": {"size": gadget.spec.size.to_string()},
    });
    let params = PatchParams::apply(MANAGER).force();
    maps.patch(&name, &params, &Patch::Apply(child)).await?;
    let status = json!({"status": GadgetStatus { size: gadget.spec.size }});
    gadgets
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(Action::await_change())
}

pub async fn all_of(client: &Client, namespace: &str) -> Result<(), Failure> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    creating(async || {
        definitions
            .create(&PostParams::default(), &Gadget::crd())
            .await
    })
    .await?;
    let established = await_condition(
        definitions.clone(),
        DEFINITION,
        conditions::is_crd_established(),
    );
    tokio::time::timeout(ESTABLISH_TIMEOUT, established).await??;
    let gadgets: Api<Gadget> = Api::namespaced(client.clone(), namespace);
    // Another server may learn of the kind a moment later.
    awaited("the kind", async || {
        match gadgets.list(&ListParams::default()).await {
            Err(error) if crate::faults::code(&error) == Some(404) => Ok(None),
            other => other.map(Some),
        }
    })
    .await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let controller = Controller::new(gadgets.clone(), watcher::Config::default())
        .owns(maps.clone(), watcher::Config::default())
        .run(
            reconcile,
            |_, _: &Problem, _| Action::requeue(RETRY_AFTER),
            Arc::new(client.clone()),
        )
        .for_each(async |_| ());
    tokio::select! {
        () = controller => return Err("the controller ended".into()),
        outcome = tell(&gadgets, &maps) => outcome?,
    }
    deleting(async || {
        definitions
            .delete(DEFINITION, &DeleteParams::default())
            .await
    })
    .await?;
    Ok(())
}

/// Changes a gadget and what belongs to it, and waits each time until the controller has followed.
async fn tell(gadgets: &Api<Gadget>, maps: &Api<ConfigMap>) -> Result<(), Failure> {
    let post = PostParams::default();
    let gadget = Gadget::new(
        "g",
        GadgetSpec {
            size: 1,
            color: blue(),
        },
    );
    creating(async || gadgets.create(&post, &gadget).await).await?;
    follows(gadgets, maps, 1).await?;
    for (turn, what) in ["cut", "kill"].into_iter().enumerate() {
        fault(what)?;
        let size = i64::try_from(turn)? + 2;
        let resize = Patch::Merge(json!({"spec": {"size": size}}));
        calling(async || gadgets.patch("g", &PatchParams::default(), &resize).await).await?;
        follows(gadgets, maps, size).await?;
    }
    // What the controller owns is made anew.
    deleting(async || maps.delete("g", &DeleteParams::default()).await).await?;
    follows(gadgets, maps, 3).await?;
    let wrong = Gadget::new(
        "wrong",
        GadgetSpec {
            size: -1,
            color: blue(),
        },
    );
    let refusal = refused(async || gadgets.create(&post, &wrong).await).await?;
    assert!(
        refusal.code == 422 && refusal.message.contains("spec.size"),
        "{refusal:?}"
    );
    for (color, count) in [("blue", 1), ("red", 0)] {
        let params = ListParams::default().fields(&format!("spec.color={color}"));
        assert_eq!(
            calling(async || gadgets.list(&params).await)
                .await?
                .items
                .len(),
            count
        );
    }
    deleting(async || gadgets.delete("g", &DeleteParams::default()).await).await?;
    let gone = async || Ok(gadgets.get_opt("g").await?.is_none().then_some(()));
    awaited("the end after the last word", gone).await
}

async fn follows(gadgets: &Api<Gadget>, maps: &Api<ConfigMap>, size: i64) -> Result<(), Failure> {
    awaited(&format!("size {size}"), async || {
        let (gadget, map) = (gadgets.get("g").await?, maps.get_opt("g").await?);
        let text = map.and_then(|map| map.data?.get("size").cloned());
        let is = gadget.status == Some(GadgetStatus { size }) && text == Some(size.to_string());
        Ok(is.then_some(()))
    })
    .await
}
