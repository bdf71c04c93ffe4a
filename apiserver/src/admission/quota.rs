//! A namespace holds no more than its quotas allow, and the quotas know at once what was taken.

mod asked;
mod ledger;
mod line;

use std::sync::Arc;

use objects::Value;
use objects::status::Status;

pub(super) use self::line::Lines;
use super::chain::Parts;
use super::{Operation, Review};

/// Takes what a new object needs, or a changed one needs more than before, out of the quotas of its namespace.
pub(super) async fn validate(
    parts: &Parts,
    lines: &Lines,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    let namespace = review.attributes.namespace.as_str();
    let changes = matches!(review.operation, Operation::Create | Operation::Update);
    if namespace.is_empty() || !changes {
        return Ok(());
    }
    let quotas = parts.view.list("", "resourcequotas", Some(namespace));
    let quotas = quotas.iter().map(Arc::as_ref);
    let Some(asked) = asked::asked(review, object, quotas)? else {
        return Ok(());
    };
    let room = lines.take(parts, namespace, asked).await?;
    room.map_err(|why| review.forbidden(Some(object), why))
}
