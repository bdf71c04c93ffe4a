//! Breaks a cluster of etcd's kind on purpose, records what its clients saw, and has the history judged.

pub mod actor;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod failover;
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
pub mod schedule;
mod simulation;
pub mod summary;
pub mod target;
pub mod timeline;
pub mod verdict;
pub mod watcher;
pub mod workload;
