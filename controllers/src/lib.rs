//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod conditions;
mod deployment;
mod events;
mod expectations;
mod hash;
mod owners;
mod patches;
mod pods;
mod replicaset;
mod selectors;
