//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod bootstrap_tokens;
mod certificates;
mod claims;
mod conditions;
mod context;
mod deployment;
mod der;
mod disruption;
mod events;
mod expectations;
mod garbage_collector;
mod hash;
mod list;
mod material;
mod monitors;
mod namespace;
mod options;
mod owners;
mod page;
mod patches;
mod pods;
mod quota;
mod replicaset;
mod resources;
mod root_ca;
mod run;
mod selectors;
mod service_account_tokens;
mod service_accounts;
mod signing_key;
mod telling;
mod tokens;
mod written;

pub use options::Options;
pub use run::run;
