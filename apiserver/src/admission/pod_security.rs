//! Pods keep to the standards that the labels of their namespace name.

mod checks;
mod policy;

use objects::status::Status;
use objects::{Value, meta};

use self::policy::{Policy, Standard};
use super::chain::Parts;
use super::{Operation, Review};

/// Parts of pods whose changes do not change what they may do.
const IGNORED_PARTS: [&str; 8] = [
    "exec",
    "attach",
    "binding",
    "eviction",
    "log",
    "portforward",
    "proxy",
    "status",
];

/// What the audit log says of a pod: the standard that it had to keep to, and the one that it does not keep to.
const ENFORCED: &str = "pod-security.kubernetes.io/enforce-policy";
const VIOLATED: &str = "pod-security.kubernetes.io/audit-violations";

pub(super) async fn validate(
    parts: &Parts,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    let asked = review.attributes;
    if asked.group.is_empty() && asked.resource == "namespaces" {
        return if asked.subresource.is_empty() {
            judge_namespace(review, object)
        } else {
            Ok(())
        };
    }
    let is_pod = asked.group.is_empty() && asked.resource == "pods";
    let ignored = if is_pod {
        IGNORED_PARTS.contains(&asked.subresource.as_str())
    } else {
        !asked.subresource.is_empty()
    };
    let Some(template) = template(review, object).filter(|_| !ignored) else {
        return Ok(());
    };
    let found = parts.find(("", "namespaces"), "", &asked.namespace).await?;
    let Some(namespace) = found else {
        return Ok(());
    };
    let (policy, _) = Policy::of(&namespace);
    if is_pod {
        if review.old.is_some_and(|old| !changes_much(object, old)) {
            return Ok(());
        }
        review
            .warnings
            .annotate(ENFORCED, policy.enforce.to_string());
        if let Some(why) = violation(&policy.enforce, template, "violates") {
            return Err(review.forbidden(Some(object), why));
        }
    }
    if let Some(noted) = violation(&policy.audit, template, "would violate") {
        review.warnings.annotate(VIOLATED, noted);
    }
    if let Some(warning) = violation(&policy.warn, template, "would violate") {
        review.warnings.add(warning);
    }
    Ok(())
}

/// The pod in an object, or the one that it makes.
fn template<'a>(review: &Review<'_>, object: &'a Value) -> Option<&'a Value> {
    let asked = review.attributes;
    match (asked.group.as_str(), asked.resource.as_str()) {
        ("", "pods") => Some(object),
        ("", "podtemplates") => object.get("template"),
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => meta::at(object, &["spec", "template"]),
        ("batch", "cronjobs") => meta::at(object, &["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

fn violation(standard: &Standard, pod: &Value, verb: &str) -> Option<String> {
    let found = checks::run(standard, pod);
    if found.is_empty() {
        return None;
    }
    let details: Vec<String> = found.iter().map(checks::Violation::detail).collect();
    Some(format!(
        "{verb} PodSecurity \"{standard}\": {}",
        details.join(", ")
    ))
}

fn judge_namespace(review: &Review<'_>, namespace: &Value) -> Result<(), Status> {
    let (_, faults) = Policy::of(namespace);
    let before = review.old.map(|old| Policy::of(old).1).unwrap_or_default();
    let is_new = review.operation == Operation::Create;
    if faults.is_empty() || (!is_new && faults == before) {
        return Ok(());
    }
    Err(Status::invalid(
        "",
        "Namespace",
        meta::name(namespace),
        &faults,
    ))
}

/// Whether an update changes images, or which containers there are.
fn changes_much(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, field| -> Vec<String> {
        meta::list(pod, &["spec", field])
            .iter()
            .map(|container| meta::text(container, &["image"]).to_owned())
            .collect()
    };
    ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .any(|field| images(new, field) != images(old, field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standard(labels: Value) -> Standard {
        Policy::of(&json!({"metadata": {"labels": labels}}))
            .0
            .enforce
    }

    #[test]
    fn a_plain_pod_is_not_restricted() {
        let pod = json!({"spec": {"containers": [{"name": "a", "image": "i"}]}});
        let standard = standard(json!({"pod-security.kubernetes.io/enforce": "restricted"}));
        assert_eq!(
            violation(&standard, &pod, "violates").unwrap(),
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"a\" must set \
             securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"a\" must set \
             securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"a\" must set \
             securityContext.runAsNonRoot=true), seccompProfile (pod or container \"a\" must set \
             securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
    }

    #[test]
    fn what_a_pod_does_to_its_host_is_named() {
        let pod = json!({"spec": {
            "hostNetwork": true,
            "containers": [{"name": "a", "securityContext": {"privileged": true}, "ports": [{"hostPort": 80}]}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        }});
        let standard = standard(json!({"pod-security.kubernetes.io/enforce": "baseline"}));
        assert_eq!(
            violation(&standard, &pod, "violates").unwrap(),
            "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), \
             hostPort (container \"a\" uses hostPort 80), privileged (container \"a\" must not set securityContext.privileged=true)"
        );
    }

    #[test]
    fn only_new_images_make_an_update_worth_a_check() {
        let pod = |image: &str| json!({"spec": {"containers": [{"image": image}]}});
        assert!(changes_much(&pod("a"), &pod("b")) && !changes_much(&pod("a"), &pod("a")));
    }
}
