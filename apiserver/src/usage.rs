//! What nodes and pods use now (metrics.k8s.io), measured by the agents of nodes and told to whoever asks. Nothing of it is stored.

mod agents;
mod elsewhere;
mod kinds;
mod summary;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use objects::Value;
use objects::selector::selectable;
use objects::status::{Reason, Status};

pub(crate) use self::agents::Agents;
use self::kinds::{GROUP, VERSION};
pub(crate) use self::kinds::{served, table};
use self::summary::Summary;
use crate::cache::Object;
use crate::registry::{ListOptions, Request};
use crate::rest::{Front, not_served};

/// What one node or pod uses.
///
/// # Errors
///
/// If it is not there, or nobody told what it uses.
pub(crate) async fn get(front: &Front, request: &Request) -> Result<Value, Status> {
    if let Some(service) = front.apiservices.find(GROUP, VERSION) {
        return elsewhere::get(front, request, &service).await;
    }
    let own = measured(front, request)?;
    let found = front.registry.get(&own, "").await;
    let object = found.map_err(|status| match status.reason {
        Reason::NotFound => unknown(request),
        _ => status,
    })?;
    let objects = [Arc::new(Object::new(object, 0))];
    let told = measure(front, request, &objects).await;
    told.into_iter().next().ok_or_else(|| untold(request))
}

/// What the nodes or pods use that selectors choose. Those of which nobody told it are not among them.
///
/// # Errors
///
/// If they cannot be chosen so.
pub(crate) async fn list(
    front: &Front,
    request: &Request,
    options: &ListOptions,
) -> Result<Vec<Value>, Status> {
    if let Some(service) = front.apiservices.find(GROUP, VERSION) {
        return elsewhere::list(front, request, options, &service).await;
    }
    let kind = &request.served.resource.kind;
    // A pod that is measured is chosen by less than a pod itself.
    selectable::parse(GROUP, VERSION, kind, &options.field_selector)
        .map_err(Status::bad_request)?;
    let own = measured(front, request)?;
    let options = ListOptions {
        label_selector: options.label_selector.clone(),
        field_selector: options.field_selector.clone(),
        ..ListOptions::default()
    };
    let chosen = front.registry.list(&own, &options).await?.items;
    Ok(measure(front, request, &chosen).await)
}

/// The request for the objects that are measured. Whoever may know what they use need not be allowed to read them.
fn measured(front: &Front, request: &Request) -> Result<Request, Status> {
    let table = front.registry.resources.table();
    let plural = &request.served.resource.plural;
    let served = table.any_version("", plural).ok_or_else(not_served)?;
    Ok(request.derived(served, &request.namespace, &request.name))
}

/// What objects use, as far as it is told.
async fn measure(front: &Front, request: &Request, objects: &[Arc<Object>]) -> Vec<Value> {
    let node_of: fn(&Object) -> String = if is_of_pods(request) {
        |pod| pod.field("spec.nodeName")
    } else {
        |node| node.name.to_string()
    };
    let nodes: BTreeSet<String> = objects
        .iter()
        .map(|object| node_of(object))
        .filter(|name| !name.is_empty())
        .collect();
    let told: HashMap<String, Arc<Summary>> = front.agents.ask(&nodes).await;
    let one = |object: &Arc<Object>| {
        let summary = told.get(&node_of(object))?;
        if is_of_pods(request) {
            let containers = summary.pod(&object.namespace, &object.name)?;
            kinds::pod(object, containers)
        } else {
            Some(kinds::node(object, summary.node.as_ref()?))
        }
    };
    objects.iter().filter_map(one).collect()
}

fn is_of_pods(request: &Request) -> bool {
    request.served.resource.namespaced
}

/// The answer for an object that is not there, as upstream names it.
fn unknown(request: &Request) -> Status {
    let resource = if is_of_pods(request) { "pods" } else { "node" };
    Status::not_found("", resource, &request.name)
}

/// The answer for an object of which nobody tells what it uses.
fn untold(request: &Request) -> Status {
    if is_of_pods(request) {
        let name = format!("{}/{}", request.namespace, request.name);
        return Status::not_found(GROUP, "podmetrics", &name);
    }
    Status::not_found(GROUP, "nodemetrics", &request.name)
}
