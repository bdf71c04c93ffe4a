//! Strategies of the kinds that run nothing.

use super::Strategy;

pub(super) const STRATEGIES: &[Strategy] = &[];
