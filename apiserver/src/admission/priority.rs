//! The priority of a pod is that of its class.

use std::sync::Arc;

use objects::status::Status;
use objects::{Value, meta};

use super::chain::Parts;
use super::{Operation, Review};
use crate::objects_view::ObjectsView;

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";
const PREEMPTS: &str = "PreemptLowerPriority";

pub(super) async fn mutate(
    parts: &Parts,
    review: &Review<'_>,
    pod: &mut Value,
) -> Result<(), Status> {
    if !review.is_of("", "pods") {
        return Ok(());
    }
    if review.operation == Operation::Update {
        keep(pod, review.old.unwrap_or(&Value::Null));
        return Ok(());
    }
    let name = meta::text(pod, &["spec", "priorityClassName"]).to_owned();
    let class = if name.is_empty() {
        default_class(parts.view.as_ref())
    } else {
        let found = parts.find((GROUP, CLASSES), "", &name).await?;
        if found.is_none() {
            let why = format!("no PriorityClass with name {name} was found");
            return Err(review.forbidden(Some(pod), why));
        }
        found
    };
    set(pod, class.as_deref()).map_err(|why| review.forbidden(Some(pod), why))
}

/// The default that counts where there are several: the lowest.
fn default_class(view: &dyn ObjectsView) -> Option<Arc<Value>> {
    view.list(GROUP, CLASSES, None)
        .into_iter()
        .filter(|class| class["globalDefault"] == true)
        .min_by_key(|class| class["value"].as_i64())
}

/// A client that does not know the fields leaves them as they are.
fn keep(pod: &mut Value, old: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        let own = meta::at(pod, &["spec", field]);
        if own.is_none_or(Value::is_null)
            && let Some(value) = meta::at(old, &["spec", field])
        {
            pod["spec"][field] = value.clone();
        }
    }
}

fn set(pod: &mut Value, class: Option<&Value>) -> Result<(), String> {
    let priority = class.map_or(0, |class| class["value"].as_i64().unwrap_or(0));
    let policy = match class {
        Some(class) => meta::text(class, &["preemptionPolicy"]),
        None => PREEMPTS,
    };
    let own = meta::at(pod, &["spec", "priority"]).and_then(Value::as_i64);
    if let Some(own) = own.filter(|own| *own != priority) {
        return Err(format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        ));
    }
    let own = meta::text(pod, &["spec", "preemptionPolicy"]);
    if !policy.is_empty() && !own.is_empty() && own != policy {
        return Err(format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    let spec = meta::fields_mut(pod, "spec");
    if let Some(class) = class {
        spec.insert("priorityClassName".to_owned(), meta::name(class).into());
    }
    spec.insert("priority".to_owned(), priority.into());
    if !policy.is_empty() {
        spec.insert("preemptionPolicy".to_owned(), policy.into());
    }
    Ok(())
}

/// There is one default class.
pub(super) fn validate(
    view: &dyn ObjectsView,
    review: &Review<'_>,
    class: &Value,
) -> Result<(), Status> {
    if !review.is_of(GROUP, CLASSES) || class["globalDefault"] != true {
        return Ok(());
    }
    let Some(default) = default_class(view) else {
        return Ok(());
    };
    let other = meta::name(&default);
    if review.operation == Operation::Create || other != meta::name(class) {
        let why = format!(
            "PriorityClass {other} is already marked as default. Only one default can exist"
        );
        return Err(review.forbidden(Some(class), why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_has_the_priority_of_its_class() {
        let class = json!({"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"});
        let mut pod = json!({"spec": {}});
        set(&mut pod, Some(&class)).unwrap();
        let expected =
            json!({"priorityClassName": "high", "priority": 7, "preemptionPolicy": "Never"});
        assert_eq!(pod["spec"], expected);
        let mut pod = json!({"spec": {"priority": 3}});
        assert_eq!(
            set(&mut pod, None).unwrap_err(),
            "the integer value of priority (3) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name"
        );
    }
}
