//! Breaks a cluster of etcd's kind on purpose, records what its clients saw, and has the history judged.
//!
//! Tests begin with [`Chaos`] or with [`macro@test`], and bring what their clients do as a [`Workload`].

pub mod actor;
pub mod attribute;
pub mod builder;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod control_plane;
pub mod failover;
pub mod faults;
pub mod findings;
pub mod judgement;
pub mod kubernetes;
pub mod liveness;
pub mod load;
pub mod nemesis;
pub mod net;
pub mod observe;
mod ports;
pub mod random;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod scene;
pub mod schedule;
pub mod selftest;
pub mod shim;
mod simulation;
pub mod summary;
pub mod target;
pub mod timeline;
pub mod verdict;
pub mod watcher;
pub mod workload;

pub use actor::{Actor, NoAnswer};
pub use builder::Chaos;
pub use chaos_macros::test;
pub use judgement::Judgement;
pub use schedule::{Aim, FaultKind, Way};
pub use target::Target;
pub use workload::{Stop, Workload};
