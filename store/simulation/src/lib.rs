//! Replicas on simulated time, network and disk: a cluster, clients, faults and checks, all drawn from one seed.

mod clients;
mod history;
mod member;
mod nemesis;
mod network;
mod program;
mod random;
mod run;
mod trace;

pub use program::{Surroundings, main};
