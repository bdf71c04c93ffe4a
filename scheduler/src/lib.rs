//! Gives pods their nodes: a queue, filters and scores over a snapshot of the cluster, and binds in batches.

mod carrier;
pub mod cluster;
pub mod config;
pub mod cycle;
pub mod engine;
pub mod explain;
mod feed;
mod figures;
pub mod framework;
mod inbox;
mod lane;
pub mod node;
mod options;
pub mod plugins;
pub mod pod;
pub mod profile;
pub mod query;
pub mod queue;
pub mod random;
pub mod resources;
mod run;
pub mod selector;
pub mod taint;
mod writes;

pub use options::Options;
pub use run::{run, serve};
