//! Amounts of resources in objects that are checked.

use crate::{Value, quantity::Quantity};

/// The amount that a field says; none for a field that is not there, or that says no amount.
#[must_use]
pub(crate) fn read(value: &Value) -> Option<Quantity> {
    let present = !value.is_null();
    Quantity::from_value(value).ok().filter(|_| present)
}

/// Whether an amount is whole as far as upstream looks, which is to thousandths.
#[must_use]
pub(crate) fn is_whole(amount: &Quantity) -> bool {
    amount.milli_value() % 1000 == 0
}
