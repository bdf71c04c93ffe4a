//! A whole control plane that is broken while workloads roll, and the judge of everything that was written to its store.

mod end;
mod fields;
pub mod history;
pub mod judge;
mod look;
mod read;
mod run;
mod script;
mod settled;
mod summary;
mod user;
mod wire;

pub use run::run;
pub use summary::judge_stored;

/// Name of the history of a control plane in a run's folder.
pub const HISTORY_FILE: &str = "control-plane.jsonl";
