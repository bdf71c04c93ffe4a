//! Certificates made by a test, and connections that show them.

mod authority;
pub mod cluster;
mod connection;

pub use authority::{Authority, Files, Holder, replace};
pub use connection::{Caller, Version};
