//! Simulated nodes: heartbeats, capacity, and pods that walk through their stages.
//!
//! To the rest of the cluster they are nodes: they have leases and conditions, run the pods that are bound to them, and can fail. What a
//! kubelet would find out from containers is told by annotations of the pods, which [`behaviour`] names.

mod agenda;
mod agent;
mod behaviour;
mod fleet;
mod heartbeats;
mod logs;
mod options;
mod pods;
mod register;
mod run;
mod stages;

pub use options::Options;
pub use register::address as agent_address;
pub use run::{run, serve};
