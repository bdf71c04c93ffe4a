//! A namespace holds no more than its quotas allow, and the quotas know at once what was taken.

use std::collections::BTreeMap;

use objects::amounts::{self, Amounts};
use objects::quantity::Quantity;
use objects::quota;
use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use super::chain::Parts;
use super::{Operation, Review};
use crate::storage::Written;

/// How often a quota's status is written anew on top of somebody else's.
const CONFLICTS_MAX: usize = 8;
/// Takes what a new object needs out of the quotas of its namespace.
pub(super) async fn validate(
    parts: &Parts,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    let asked = review.attributes;
    let is_new = review.operation == Operation::Create && asked.subresource.is_empty();
    if !is_new || asked.namespace.is_empty() {
        return Ok(());
    }
    let usage = usage(&asked.group, &asked.resource, object);
    if usage.is_empty() {
        return Ok(());
    }
    for quota in parts
        .view
        .list("", "resourcequotas", Some(&asked.namespace))
    {
        if !quota::in_scope(&quota, &asked.group, &asked.resource, object) {
            continue;
        }
        let name = meta::name(&quota).to_owned();
        take(parts, review, object, &name, &usage).await?;
    }
    Ok(())
}

async fn take(
    parts: &Parts,
    review: &Review<'_>,
    object: &Value,
    name: &str,
    usage: &Amounts,
) -> Result<(), Status> {
    let namespace = &review.attributes.namespace;
    for _ in 0..CONFLICTS_MAX {
        let table = parts.resources.table();
        let Some(served) = table.any_version("", "resourcequotas") else {
            return Ok(());
        };
        let key = format!("{}{}", parts.prefix, served.key(namespace, name));
        let Some(stored) = parts.storage.get(key.as_bytes()).await?.0 else {
            return Ok(());
        };
        let mut quota = crate::registry::decode(&stored.value).map_err(Status::internal)?;
        let used = used_after(&quota, usage).map_err(|why| review.forbidden(Some(object), why))?;
        let Some(used) = used.filter(|_| !review.dry_run) else {
            return Ok(());
        };
        quota["status"]["used"] = used;
        let bytes = quota.to_string().into_bytes().into();
        let written = parts
            .storage
            .replace(key.as_bytes(), stored.revision, bytes, 0)
            .await?;
        if matches!(written, Written::At(_)) {
            return Ok(());
        }
    }
    let why = format!("exceeded quota: {name}, the quota is changed by others all the time");
    Err(review.forbidden(Some(object), why))
}

/// What a quota has used when this is taken too; none if it does not count it.
fn used_after(quota: &Value, usage: &Amounts) -> Result<Option<Value>, String> {
    let name = meta::name(quota);
    let hard = amounts::at(quota, &["status", "hard"]);
    let used = amounts::at(quota, &["status", "used"]);
    let requested: BTreeMap<&String, &Quantity> = usage
        .iter()
        .filter(|(kind, amount)| hard.contains_key(*kind) && !amount.is_zero())
        .collect();
    if requested.is_empty() {
        return Ok(None);
    }
    let unknown: Vec<&str> = requested
        .keys()
        .filter(|kind| !used.contains_key(**kind))
        .map(|kind| kind.as_str())
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "status unknown for quota: {name}, resources: {}",
            unknown.join(",")
        ));
    }
    let mut after = quota["status"]["used"].clone();
    let mut exceeded = [const { Vec::new() }; 3];
    for (kind, amount) in requested {
        let sum = used[kind].add(amount);
        if sum > hard[kind] {
            for (texts, amount) in exceeded.iter_mut().zip([amount, &used[kind], &hard[kind]]) {
                texts.push(format!("{kind}={amount}"));
            }
        }
        after[kind] = json!(sum.to_string());
    }
    let [requested, used, hard] = exceeded.map(|texts| texts.join(","));
    if !requested.is_empty() {
        return Err(format!(
            "exceeded quota: {name}, requested: {requested}, used: {used}, limited: {hard}"
        ));
    }
    Ok(Some(after))
}

/// What a new object takes, by the names that quotas count it under.
fn usage(group: &str, plural: &str, object: &Value) -> Amounts {
    if quota::is_ignored(group, plural) {
        return Amounts::new();
    }
    // A new object is not being deleted, so the time does not matter.
    let mut usage = quota::usage(group, plural, object, 0);
    usage.retain(|name, _| quota::counts(group, plural, name));
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_takes_its_part_of_a_quota_until_nothing_is_left() {
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "500m"}}}]}});
        let usage = usage("", "pods", &pod);
        let status = json!({"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": "1", "requests.cpu": "500m"}});
        let mut quota = json!({"metadata": {"name": "q"}, "status": status});
        let used = used_after(&quota, &usage).unwrap().unwrap();
        assert_eq!(used, json!({"pods": "2", "requests.cpu": "1"}));
        quota["status"]["used"] = used;
        assert_eq!(
            used_after(&quota, &usage).unwrap_err(),
            "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1"
        );
    }

    #[test]
    fn what_a_quota_does_not_count_leaves_it_alone() {
        let quota = json!({"metadata": {"name": "q"}, "status": {"hard": {"count/jobs.batch": "1"}, "used": {"count/jobs.batch": "1"}}});
        assert!(
            used_after(&quota, &usage("", "pods", &json!({})))
                .unwrap()
                .is_none()
        );
        assert!(used_after(&quota, &usage("batch", "jobs", &json!({}))).is_err());
    }
}
