//! A linearizability checker for etcd histories.

pub mod history;
