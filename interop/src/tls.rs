//! Certificates made by a test, and connections that show them.

mod authority;
mod connection;

pub use authority::{Authority, Files, Holder, replace};
pub use connection::{Caller, Version};
