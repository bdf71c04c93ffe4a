//! What a request takes out of the quotas of its namespace, as far as the request and the scopes of the quotas say it.

use std::sync::Arc;

use objects::amounts::{self, Amounts};
use objects::status::Status;
use objects::{Value, meta, quota};

use super::super::{Operation, Review};
use crate::clock;

const PODS: &str = "pods";
const CLAIMS: &str = "persistentvolumeclaims";

/// What a request takes out of one quota.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Charge {
    pub(super) quota: String,
    /// What is more than nothing, also under names that the quota does not limit.
    pub(super) amounts: Amounts,
}

/// What a request takes.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) charges: Vec<Charge>,
    /// Whether it is counted and never refused: what somebody reports is so whether a quota allows it or not.
    pub(super) may_exceed: bool,
    pub(super) dry_run: bool,
}

/// What a request takes; none if that is nothing. Most requests cannot take anything, and the quotas are not looked up for them.
///
/// # Errors
///
/// If a quota wants a pod to say more.
pub(super) fn asked(
    review: &Review<'_>,
    object: &Value,
    quotas: impl FnOnce() -> Vec<Arc<Value>>,
) -> Result<Option<Asked>, Status> {
    let attributes = review.attributes;
    let (group, plural) = (attributes.group.as_str(), attributes.resource.as_str());
    if quota::is_ignored(group, plural) || !is_counted(review, object) {
        return Ok(None);
    }
    let quotas = quotas();
    if quotas.is_empty() {
        return Ok(None);
    }
    let now = clock::now_seconds();
    let usage = |object: &Value| {
        let mut usage = quota::usage(group, plural, object, now);
        usage.retain(|name, _| quota::counts(group, plural, name));
        usage
    };
    let (after, before) = (usage(object), review.old.map(usage));
    let mut charges = Vec::new();
    for found in quotas.iter().map(Arc::as_ref) {
        let hard = amounts::at(found, &["status", "hard"]);
        let mut limited = hard.keys().map(String::as_str);
        let selects = |object: &Value| quota::in_scope(found, group, plural, object);
        if !limited
            .clone()
            .any(|name| quota::counts(group, plural, name))
            || !selects(object)
        {
            continue;
        }
        if (group, plural) == ("", PODS)
            && let Some(why) = quota::unsaid(object, &mut limited)
        {
            let why = format!("failed quota: {}: {why}", meta::name(found));
            return Err(review.forbidden(Some(object), why));
        }
        // A quota that did not count the object before counts all of it now.
        let counted = before.as_ref().filter(|_| review.old.is_some_and(selects));
        let amounts = more(&after, counted);
        if !amounts.is_empty() {
            let quota = meta::name(found).to_owned();
            charges.push(Charge { quota, amounts });
        }
    }
    Ok((!charges.is_empty()).then(|| Asked {
        group: group.to_owned(),
        plural: plural.to_owned(),
        charges,
        may_exceed: attributes.subresource == "status",
        dry_run: review.dry_run,
    }))
}

/// Whether a request can change what an object takes.
fn is_counted(review: &Review<'_>, object: &Value) -> bool {
    let asked = review.attributes;
    let kind = match asked.group.as_str() {
        "" => asked.resource.as_str(),
        _ => "",
    };
    match (review.operation, kind, asked.subresource.as_str()) {
        (Operation::Create, _, "")
        | (Operation::Update, PODS, "resize")
        | (Operation::Update, "services", "")
        | (Operation::Update, CLAIMS, "" | "status") => true,
        // A deadline moves a pod from quotas of those without one to quotas of those with one.
        (Operation::Update, PODS, "") => review
            .old
            .is_some_and(|old| has_deadline(old) != has_deadline(object)),
        _ => false,
    }
}

fn has_deadline(pod: &Value) -> bool {
    let deadline = meta::at(pod, &["spec", "activeDeadlineSeconds"]).and_then(Value::as_i64);
    deadline.is_some_and(|seconds| seconds >= 0)
}

/// What an object takes beyond what it took. What it gives back is for the controller that counts.
fn more(after: &Amounts, before: Option<&Amounts>) -> Amounts {
    let more = after.iter().map(|(name, amount)| {
        let taken = before.and_then(|before| before.get(name));
        let amount = taken.map_or_else(|| amount.clone(), |taken| amount.sub(taken));
        (name.clone(), amount)
    });
    more.filter(|(_, amount)| amount.sign() > 0).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::Warnings;
    use crate::attributes::Attributes;
    use crate::served::Resources;

    /// What a request takes of the quota `q`: `name=amount` in order, or the refusal.
    fn told(what: &str, hard: &str, old: Option<&Value>, new: &Value) -> String {
        let (plural, part) = what.split_once('/').unwrap_or((what, ""));
        let attributes = Attributes {
            resource: plural.to_owned(),
            subresource: part.to_owned(),
            namespace: "shop".to_owned(),
            ..Attributes::default()
        };
        let table = Resources::default().table();
        let review = Review {
            operation: old.map_or(Operation::Create, |_| Operation::Update),
            attributes: &attributes,
            served: table.any_version("", plural).unwrap(),
            old,
            options: &Value::Null,
            dry_run: false,
            warnings: &Warnings::default(),
        };
        let (name, scope) = hard.split_once('@').unwrap_or((hard, ""));
        let scopes: Vec<&str> = scope.split(',').filter(|scope| !scope.is_empty()).collect();
        let quota = json!({"metadata": {"name": "q"}, "spec": {"scopes": scopes}, "status": {"hard": {name: "9"}}});
        match asked(&review, new, || vec![Arc::new(quota)]) {
            Ok(Some(asked)) => {
                let amounts = asked.charges[0].amounts.iter();
                let text = |(name, amount)| format!("{name}={amount}");
                let texts: Vec<String> = amounts.map(text).collect();
                let free = if asked.may_exceed { " freely" } else { "" };
                format!("{}{free}", texts.join(" "))
            }
            Ok(None) => String::new(),
            Err(status) => status.message,
        }
    }

    #[test]
    fn a_claim_or_a_service_that_grows_takes_what_is_more() {
        let claim =
            |storage: &str| json!({"spec": {"resources": {"requests": {"storage": storage}}}});
        let grows = |old: &str, new: &str, part: &str| {
            let what = format!("persistentvolumeclaims{part}");
            told(&what, "requests.storage", Some(&claim(old)), &claim(new))
        };
        assert_eq!(grows("1Gi", "3Gi", ""), "requests.storage=2Gi");
        assert_eq!(
            grows("1Gi", "3Gi", "/status"),
            "requests.storage=2Gi freely"
        );
        assert_eq!(grows("3Gi", "1Gi", ""), "");
        let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{}, {}]}});
        let becomes = |old: &str, new: &str| {
            told(
                "services",
                "services.nodeports",
                Some(&service(old)),
                &service(new),
            )
        };
        assert_eq!(becomes("ClusterIP", "NodePort"), "services.nodeports=2");
        assert_eq!(
            becomes("NodePort", "LoadBalancer"),
            "services.loadbalancers=1"
        );
        assert_eq!(becomes("NodePort", "NodePort"), "");
    }

    fn pod(cpu: &str) -> Value {
        json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[test]
    fn a_pod_takes_more_when_it_is_resized_or_comes_into_a_scope() {
        let (small, large) = (pod("1"), pod("3"));
        let resized = told("pods/resize", "requests.cpu", Some(&small), &large);
        assert_eq!(resized, "cpu=2 requests.cpu=2");
        // What changes elsewhere in a pod is nothing that a quota counts.
        assert_eq!(
            told("pods/status", "requests.cpu", Some(&small), &large),
            ""
        );
        assert_eq!(told("pods", "requests.cpu", Some(&small), &large), "");
        let mut ends = small.clone();
        ends["spec"]["activeDeadlineSeconds"] = json!(5);
        assert_eq!(told("pods", "pods", Some(&small), &ends), "");
        assert_eq!(
            told("pods", "pods@Terminating", Some(&small), &ends),
            "count/pods=1 cpu=1 pods=1 requests.cpu=1"
        );
        assert_eq!(told("pods", "pods@NotTerminating", Some(&small), &ends), "");
    }

    #[test]
    fn a_pod_says_what_a_quota_limits() {
        let silent = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
        assert_eq!(
            told("pods", "limits.cpu", None, &silent),
            "pods \"p\" is forbidden: failed quota: q: must specify limits.cpu for: c"
        );
        assert_eq!(told("pods", "pods", None, &silent), "count/pods=1 pods=1");
        assert_eq!(told("pods", "limits.cpu@NotBestEffort", None, &silent), "");
        assert_eq!(told("pods", "services", None, &silent), "");
    }
}
