//! Gives pods their nodes: a queue, filters and scores over a snapshot of the cluster, and binds in batches.

pub mod cluster;
pub mod cycle;
pub mod engine;
pub mod framework;
pub mod node;
pub mod plugins;
pub mod pod;
pub mod profile;
pub mod query;
pub mod queue;
pub mod random;
pub mod resources;
pub mod selector;
pub mod taint;
