//! Tests that need to look inside: watched disk operations, golden bytes, failures.

pub(crate) mod observer;
