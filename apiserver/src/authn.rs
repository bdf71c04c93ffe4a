//! Who somebody is: client certificates, tokens, and those who say nothing.

mod names;

pub use names::{service_account_groups, service_account_name, split_service_account_name};
