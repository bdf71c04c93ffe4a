//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod claims;
mod conditions;
mod context;
mod deployment;
mod disruption;
mod events;
mod expectations;
mod hash;
mod hpa;
mod options;
mod owners;
mod patches;
mod pods;
mod replicaset;
mod scales;
mod selectors;
mod telling;
mod written;
