//! A linearizability checker for etcd histories.

mod checker;
pub mod history;
mod model;
pub mod mutate;
pub mod simulate;
mod verdict;

pub use checker::{Checker, Settings, check};
pub use verdict::{Check, Involved, NOTES_MAX, Report, Tally, VIOLATIONS_MAX, Verdict, Violation};
