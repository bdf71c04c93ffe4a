//! Evicting pods: a deletion that the disruption budget of a pod has to allow.

use objects::selector::label::Selector;
use objects::status::{Cause, Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use super::delete::check_preconditions;
use super::{DeleteOptions, ListOptions, Registry, Request, WriteOptions};
use crate::clock;

/// Pods that a budget counts as about to go, before its controller has confirmed them.
const DISRUPTED_PODS_MAX: usize = 2_000;

/// Upstream's name of the condition of pods that are deleted for another reason than their own end.
const DISRUPTION_TARGET: &str = "DisruptionTarget";

impl Registry {
    /// Deletes a pod, unless a disruption budget forbids that now.
    pub(super) async fn evict(
        &self,
        request: &Request,
        eviction: &Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        if meta::name(eviction) != request.name {
            return Err(Status::bad_request(
                "name in URL does not match name in Eviction object",
            ));
        }
        let mut deletion = DeleteOptions::from_body(&eviction["deleteOptions"])?;
        deletion.dry_run |= options.dry_run;
        let pod = self.get(request, "").await?;
        let judged_as_it_is = if is_beyond_budgets(&pod) {
            meta::text(&pod, &["status", "phase"]) == "Pending" && !meta::is_deleting(&pod)
        } else {
            self.take_from_budget(request, &pod, deletion.dry_run)
                .await?
        };
        if judged_as_it_is && deletion.resource_version.is_none() {
            deletion.resource_version = Some(meta::resource_version(&pod).to_owned());
        }
        if !deletion.dry_run {
            let told = self.tell_of_eviction(request, &deletion).await?;
            // Only its own write came between.
            let is_asked = deletion.resource_version.is_some();
            deletion.resource_version = is_asked.then(|| meta::resource_version(&told).to_owned());
        }
        self.delete(request, &deletion).await?;
        Ok(
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        )
    }

    /// Says in a pod's conditions why it is deleted, by which jobs tell it from a failure.
    async fn tell_of_eviction(
        &self,
        request: &Request,
        deletion: &DeleteOptions,
    ) -> Result<Value, Status> {
        let own = Request {
            subresource: "status".to_owned(),
            ..Request::own(
                &request.served,
                &request.namespace,
                &request.name,
                &request.agent,
            )
        };
        let tell = |pod: &Value| {
            check_preconditions(request, pod, deletion)?;
            Ok(evicted(pod))
        };
        self.patch(&own, &tell, &WriteOptions::default()).await
    }

    /// Counts a pod against its budget. Tells whether it may go for what it is now, at no cost.
    async fn take_from_budget(
        &self,
        request: &Request,
        pod: &Value,
        dry_run: bool,
    ) -> Result<bool, Status> {
        let mut budget_request = self.budgets(request)?;
        let list = self
            .list(&budget_request, &ListOptions::default())
            .await?
            .values(&budget_request.served)
            .await?;
        let mut own = list.iter().filter(|budget| {
            let selector = budget["spec"].get("selector").unwrap_or(&Value::Null);
            Selector::from_object(selector).is_ok_and(|selector| selector.selects(pod))
        });
        let Some(budget) = own.next() else {
            return Ok(false);
        };
        if own.next().is_some() {
            let mut status = Status::new(
                Reason::Unknown,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            );
            status.code = 500;
            return Err(status);
        }
        if !is_ready(pod) && lets_unhealthy_go(budget) {
            return Ok(true);
        }
        budget_request.name = meta::name(budget).to_owned();
        "status".clone_into(&mut budget_request.subresource);
        let take = |budget: &Value| take(budget, &request.name);
        let options = WriteOptions {
            dry_run,
            ..WriteOptions::default()
        };
        self.patch(&budget_request, &take, &options).await?;
        Ok(false)
    }

    fn budgets(&self, request: &Request) -> Result<Request, Status> {
        let table = self.resources.table();
        let served = table
            .any_version("policy", "poddisruptionbudgets")
            .ok_or_else(|| Status::internal("poddisruptionbudgets are not served"))?;
        Ok(Request::own(served, &request.namespace, "", &request.agent))
    }
}

/// Whether the end of a pod disrupts nothing: it does not run.
fn is_beyond_budgets(pod: &Value) -> bool {
    let phase = meta::text(pod, &["status", "phase"]);
    matches!(phase, "Succeeded" | "Failed" | "Pending") || meta::is_deleting(pod)
}

/// The pod with the condition that it is evicted.
fn evicted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let status = meta::fields_mut(&mut pod, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if conditions.is_null() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else {
        return pod;
    };
    let told = conditions
        .iter()
        .position(|condition| condition["type"] == DISRUPTION_TARGET);
    let since = told
        .map(|told| conditions.remove(told))
        .filter(|told| told["status"] == "True")
        .map_or_else(
            || clock::now().into(),
            |told| told["lastTransitionTime"].clone(),
        );
    conditions.push(json!({
        "type": DISRUPTION_TARGET, "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": since,
    }));
    pod
}

fn is_ready(pod: &Value) -> bool {
    meta::list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn number(object: &Value, path: &[&str]) -> i64 {
    meta::at(object, path).and_then(Value::as_i64).unwrap_or(0)
}

fn lets_unhealthy_go(budget: &Value) -> bool {
    let current = number(budget, &["status", "currentHealthy"]);
    let desired = number(budget, &["status", "desiredHealthy"]);
    meta::text(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow"
        || (current >= desired && desired > 0)
}

/// The budget with one disruption less, and the pod among those that are about to go.
fn take(budget: &Value, pod: &str) -> Result<Value, Status> {
    let name = meta::name(budget);
    let allowed = number(budget, &["status", "disruptionsAllowed"]);
    let disrupted = meta::map(budget, &["status", "disruptedPods"]).map_or(0, |pods| pods.len());
    let forbidden = |why: &str| {
        Err(Status::forbidden(
            "policy",
            "poddisruptionbudget",
            name,
            why,
        ))
    };
    if number(budget, &["status", "observedGeneration"])
        < number(budget, &["metadata", "generation"])
    {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        let mut status = refused(why);
        status.retry_after_seconds = 10;
        return Err(status);
    }
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    if disrupted > DISRUPTED_PODS_MAX {
        return forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        );
    }
    if allowed == 0 {
        return Err(refused(reason(budget)));
    }
    let mut budget = budget.clone();
    let status = meta::fields_mut(&mut budget, "status");
    status.insert("disruptionsAllowed".to_owned(), json!(allowed - 1));
    let pods = status.entry("disruptedPods").or_insert_with(|| json!({}));
    if pods.is_null() {
        *pods = json!({});
    }
    pods[pod] = clock::now().into();
    if allowed == 1 {
        exhausted(&mut budget);
    }
    Ok(budget)
}

/// Says in a budget's conditions that it allows nothing more.
fn exhausted(budget: &mut Value) {
    let generation = number(budget, &["status", "observedGeneration"]);
    let status = meta::fields_mut(budget, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    conditions.retain(|condition| condition["type"] != "DisruptionAllowed");
    conditions.push(json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": generation, "lastTransitionTime": clock::now(),
    }));
}

fn refused(why: String) -> Status {
    let mut status = Status::new(
        Reason::TooManyRequests,
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    status.causes.push(Cause {
        reason: "DisruptionBudget".to_owned(),
        message: why,
        field: String::new(),
    });
    status
}

/// Why a budget allows nothing.
fn reason(budget: &Value) -> String {
    let name = meta::name(budget);
    let conditions = meta::list(budget, &["status", "conditions"]);
    let told = conditions
        .iter()
        .find(|condition| condition["type"] == "DisruptionAllowed")
        .filter(|condition| condition["status"] == "False")
        .map(|condition| {
            (
                meta::text(condition, &["reason"]),
                meta::text(condition, &["message"]),
            )
        })
        .filter(|(_, message)| !message.is_empty());
    let current = number(budget, &["status", "currentHealthy"]);
    let desired = number(budget, &["status", "desiredHealthy"]);
    match told {
        Some(("SyncFailed", message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
        ),
        _ if current <= desired => format!(
            "The disruption budget {name} needs {desired} healthy pods and has {current} currently"
        ),
        Some((reason, message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently ({reason}): {message}"
        ),
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

#[cfg(test)]
mod tests {
    use objects::Value;
    use serde_json::json;

    use super::{evicted, take};

    fn budget(allowed: i64) -> Value {
        json!({"metadata": {"name": "b", "generation": 1}, "status": {
            "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3,
        }})
    }

    #[test]
    fn an_eviction_takes_one_from_the_budget_and_the_last_one_says_so() {
        let taken = take(&budget(2), "p").unwrap();
        assert_eq!(taken["status"]["disruptionsAllowed"], 1);
        assert!(taken["status"]["disruptedPods"]["p"].is_string());
        assert!(taken["status"].get("conditions").is_none());
        let last = take(&taken, "q").unwrap();
        assert_eq!(
            last["status"]["conditions"][0]["reason"],
            "InsufficientPods"
        );
    }

    #[test]
    fn an_evicted_pod_says_so_once_and_since_when() {
        let old =
            json!({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "then"});
        let pod = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, old]}});
        let told = evicted(&pod)["status"]["conditions"].clone();
        assert_eq!(told.as_array().unwrap().len(), 2);
        assert_eq!(told[1]["reason"], "EvictionByEvictionAPI");
        assert_eq!(told[1]["lastTransitionTime"], "then");
        let first = evicted(&json!({}))["status"]["conditions"][0].clone();
        assert!(first["lastTransitionTime"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_budget_that_is_used_up_or_not_counted_yet_refuses() {
        let status = take(&budget(0), "p").unwrap_err();
        assert_eq!(status.code, 429);
        assert_eq!(
            status.causes[0].message,
            "The disruption budget b needs 3 healthy pods and has 3 currently"
        );
        let mut young = budget(1);
        young["metadata"]["generation"] = json!(2);
        assert_eq!(take(&young, "p").unwrap_err().retry_after_seconds, 10);
    }
}
