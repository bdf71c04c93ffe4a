//! A namespace holds no more than its quotas allow, and the quotas know at once what was taken.

mod asked;
mod ledger;
mod line;

use objects::Value;
use objects::status::Status;

pub(super) use self::line::Lines;
use super::Review;
use super::chain::Parts;

/// Takes what a new object needs, or a changed one needs more than before, out of the quotas of its namespace.
pub(super) async fn validate(
    parts: &Parts,
    lines: &Lines,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    let namespace = review.attributes.namespace.as_str();
    if namespace.is_empty() {
        return Ok(());
    }
    let quotas = || parts.view.list("", "resourcequotas", Some(namespace));
    let Some(asked) = asked::asked(review, object, quotas)? else {
        return Ok(());
    };
    let room = lines.take(parts, namespace, asked).await?;
    room.map_err(|why| review.forbidden(Some(object), why))
}
