//! Certificates made by a test, and connections that show them.

mod authority;
pub mod cluster;
mod connection;

pub use authority::{Authority, Encoding, Files, Holder, replace};
pub use connection::{Caller, Version};
