//! A pod of a runtime class has its overhead, node selector and tolerations.

use std::sync::Arc;

use objects::quantity::Quantity;
use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use super::chain::Parts;
use super::{Operation, Review};

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

pub(super) async fn mutate(
    parts: &Parts,
    review: &Review<'_>,
    pod: &mut Value,
) -> Result<(), Status> {
    let Some(class) = class_of(parts, review, pod).await? else {
        return Ok(());
    };
    apply(pod, &class).map_err(|why| review.forbidden(Some(pod), why))
}

pub(super) async fn validate(
    parts: &Parts,
    review: &Review<'_>,
    pod: &Value,
) -> Result<(), Status> {
    if review.operation != Operation::Create || !review.is_of("", "pods") {
        return Ok(());
    }
    let class = class_of(parts, review, pod).await?;
    judge(pod, class.as_deref()).map_err(|why| review.forbidden(Some(pod), why))
}

async fn class_of(
    parts: &Parts,
    review: &Review<'_>,
    pod: &Value,
) -> Result<Option<Arc<Value>>, Status> {
    let Some(name) = meta::at(pod, &["spec", "runtimeClassName"]).and_then(Value::as_str) else {
        return Ok(None);
    };
    if review.operation != Operation::Create || !review.is_of("", "pods") {
        return Ok(None);
    }
    let found = parts
        .find(("node.k8s.io", "runtimeclasses"), "", name)
        .await?;
    if found.is_none() {
        let why = format!("pod rejected: RuntimeClass \"{name}\" not found");
        return Err(review.forbidden(Some(pod), why));
    }
    Ok(found)
}

fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let amounts = |value: Option<&Value>| -> Vec<(String, Option<Quantity>)> {
        let fields = value.and_then(Value::as_object).into_iter().flatten();
        fields
            .map(|(name, amount)| (name.clone(), Quantity::from_value(amount).ok()))
            .collect()
    };
    amounts(one) == amounts(other)
}

fn apply(pod: &mut Value, class: &Value) -> Result<(), String> {
    if let Some(fixed) = meta::at(class, &["overhead", "podFixed"]) {
        let own = meta::map(pod, &["spec", "overhead"]);
        if own.is_some_and(|own| !own.is_empty())
            && !same(meta::at(pod, &["spec", "overhead"]), Some(fixed))
        {
            return Err(MISMATCH.to_owned());
        }
        pod["spec"]["overhead"] = fixed.clone();
    }
    for (key, wanted) in meta::map(class, &["scheduling", "nodeSelector"])
        .into_iter()
        .flatten()
    {
        let own = meta::at(pod, &["spec", "nodeSelector", key]);
        if let Some(own) = own.filter(|own| *own != wanted) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                wanted.as_str().unwrap_or_default(),
                own.as_str().unwrap_or_default()
            ));
        }
        if !pod["spec"]["nodeSelector"].is_object() {
            pod["spec"]["nodeSelector"] = json!({});
        }
        pod["spec"]["nodeSelector"][key] = wanted.clone();
    }
    for toleration in meta::list(class, &["scheduling", "tolerations"]) {
        if !meta::list(pod, &["spec", "tolerations"]).contains(toleration) {
            super::pods::push(&mut pod["spec"], "tolerations", toleration.clone());
        }
    }
    Ok(())
}

fn judge(pod: &Value, class: Option<&Value>) -> Result<(), &'static str> {
    let own = meta::at(pod, &["spec", "overhead"]).filter(|own| !own.is_null());
    match class.and_then(|class| meta::at(class, &["overhead", "podFixed"])) {
        Some(fixed) if !same(own, Some(fixed)) => Err(MISMATCH),
        None if own.is_some() => Err(
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_takes_what_its_class_says_and_must_not_contradict_it() {
        let class = json!({"overhead": {"podFixed": {"cpu": "1"}}, "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}]}});
        let mut pod = json!({"spec": {"overhead": {"cpu": "1000m"}}});
        apply(&mut pod, &class).unwrap();
        let expected = json!({"overhead": {"cpu": "1"}, "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}]});
        assert_eq!(pod["spec"], expected);
        let mut pod = json!({"spec": {"nodeSelector": {"a": "c"}}});
        assert_eq!(
            apply(&mut pod, &class).unwrap_err(),
            "conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c"
        );
        assert!(judge(&json!({"spec": {"overhead": {"cpu": "1"}}}), None).is_err());
    }
}
