//! Tests that look inside: the bytes on disk, watched disk operations, failures, a model to compare with.

mod damage;
mod failure;
mod golden;
pub(crate) mod model;
pub(crate) mod observer;
mod power;
mod random_operations;
