//! Defaults of the kinds that run nothing.

use super::Defaults;

pub(super) const DEFAULTS: &[Defaults] = &[];
