//! Clients and informers of apiservers on a cluster that is broken, and the judge of what they saw.

pub(crate) mod client;
pub mod history;
pub mod judge;
mod load;
mod record;
mod run;
mod summary;
mod user;
mod watcher;
mod wire;

pub(crate) use load::wait_ready;
pub use run::run;
pub use summary::judge_stored;

/// Name of the history of apiservers in a run's folder.
pub const HISTORY_FILE: &str = "kubernetes.jsonl";
