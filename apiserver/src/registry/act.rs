//! What is asked by creating a part of an object: binding a pod, evicting it, a token.

use objects::invalid::Invalid;
use objects::path::Path;
use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use super::{Registry, Request, WriteOptions};
use crate::admission::{Operation, Review};
use crate::clock;

impl Registry {
    /// Does what a new part of an object stands for, and gives what the client is told.
    pub async fn act(
        &self,
        request: &Request,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let object = self
            .admit_part(request, Operation::Create, object, options.dry_run)
            .await?;
        match (
            request.served.resource.plural.as_str(),
            request.subresource.as_str(),
        ) {
            ("pods", "binding") => self.bind(request, &object, options).await,
            ("pods", "eviction") => self.evict(request, &object, options).await,
            _ => Err(Status::new(
                Reason::MethodNotAllowed,
                "the server does not allow this method on the requested resource",
            )),
        }
    }

    /// Asks admission about what is done to a part of an object that is stored nowhere by itself.
    pub(crate) async fn admit_part(
        &self,
        request: &Request,
        operation: Operation,
        object: Value,
        dry_run: bool,
    ) -> Result<Value, Status> {
        let verb = match operation {
            Operation::Connect => "connect",
            _ => "create",
        };
        let attributes = request.attributes(verb);
        let review = Review {
            operation,
            attributes: &attributes,
            served: &request.served,
            old: None,
            options: &Value::Null,
            dry_run,
            warnings: &request.warnings,
        };
        let mut under_review = Some(object);
        self.admission.mutate(&review, &mut under_review).await?;
        let object = under_review.unwrap_or(Value::Null);
        self.admission.validate(&review, Some(&object)).await?;
        Ok(object)
    }

    /// Gives a pod its node.
    pub async fn bind(
        &self,
        request: &Request,
        binding: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let node = meta::text(binding, &["target", "name"]);
        let kind = meta::text(binding, &["target", "kind"]);
        check_target(request, node, kind)?;
        let change = |pod: &Value| {
            let conflict = |why: String| Err(request.conflict(why));
            if meta::is_deleting(pod) {
                return conflict(format!(
                    "pod {} is being deleted, cannot be assigned to a host",
                    request.name
                ));
            }
            let bound = meta::text(pod, &["spec", "nodeName"]);
            if !bound.is_empty() {
                return conflict(format!(
                    "pod {} is already assigned to node \"{bound}\"",
                    request.name
                ));
            }
            let uid = meta::uid(binding);
            if !uid.is_empty() && uid != meta::uid(pod) {
                return conflict(format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    meta::uid(pod)
                ));
            }
            if !meta::list(pod, &["spec", "schedulingGates"]).is_empty() {
                return conflict(format!(
                    "pod {} has non-empty .spec.schedulingGates",
                    request.name
                ));
            }
            let mut pod = pod.clone();
            meta::fields_mut(&mut pod, "spec").insert("nodeName".to_owned(), node.into());
            for (key, value) in meta::map(binding, &["metadata", "annotations"])
                .into_iter()
                .flatten()
            {
                let annotations = meta::metadata_mut(&mut pod)
                    .entry("annotations")
                    .or_insert_with(|| json!({}));
                annotations[key] = value.clone();
            }
            scheduled(&mut pod);
            Ok(pod)
        };
        self.patch(request, &change, options).await?;
        Ok(
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        )
    }
}

fn check_target(request: &Request, node: &str, kind: &str) -> Result<(), Status> {
    let target = Path::new("target");
    let mut faults = Vec::new();
    if !matches!(kind, "" | "Node") {
        faults.push(Invalid::not_supported(
            &target.child("kind"),
            kind,
            &["Node", "<empty>"],
        ));
    }
    if node.is_empty() {
        faults.push(Invalid::required(&target.child("name"), ""));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid("", "Binding", &request.name, &faults))
    }
}

/// Says in a pod's conditions that it has a node. Where it was expected to go is told no more.
fn scheduled(pod: &mut Value) {
    let status = meta::fields_mut(pod, "status");
    status.remove("nominatedNodeName");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": clock::now(),
    }));
}
