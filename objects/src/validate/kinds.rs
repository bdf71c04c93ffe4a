//! Rules of the kinds that run nothing.

use super::Rules;

pub(super) const RULES: &[Rules] = &[];
