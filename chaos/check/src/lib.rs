//! A linearizability checker for etcd histories.
//!
//! [`history`] has the records and their lines, [`check()`] judges a whole history, [`Checker`] one that is still written;
//! [`mutate`] damages histories as bugs would and [`simulate`] makes good ones.
#![doc = include_str!("../README.md")]

#[cfg(test)]
mod brute;
mod checker;
pub mod history;
mod model;
pub mod mutate;
pub mod simulate;
mod verdict;

pub use checker::{Checker, Settings, check};
pub use verdict::{Check, Involved, NOTES_MAX, Report, Tally, VIOLATIONS_MAX, Verdict, Violation};
