//! What a request takes out of the quotas of its namespace, as far as the request and the scopes of the quotas say it.

use objects::amounts::{self, Amounts};
use objects::status::Status;
use objects::{Value, meta, quota};

use super::super::{Operation, Review};
use crate::clock;

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

/// What a request takes; none if that is nothing.
///
/// # Errors
///
/// If a quota wants a pod to say more.
pub(super) fn asked<'a>(
    review: &Review<'_>,
    object: &Value,
    quotas: impl Iterator<Item = &'a Value>,
) -> Result<Option<Asked>, Status> {
    let attributes = review.attributes;
    let (group, plural) = (attributes.group.as_str(), attributes.resource.as_str());
    if quota::is_ignored(group, plural) || !is_counted(review) {
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
    for found in quotas {
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
fn is_counted(review: &Review<'_>) -> bool {
    review.operation == Operation::Create && review.attributes.subresource.is_empty()
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
