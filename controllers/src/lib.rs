//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod claims;
mod conditions;
mod context;
mod cronjob;
mod daemonset;
mod deployment;
mod events;
mod expectations;
mod hash;
mod job;
mod options;
mod owners;
mod patches;
mod pod_writes;
mod pods;
mod replicaset;
mod revisions;
mod selectors;
mod statefulset;
mod telling;
mod ttl_after_finished;
mod turns;
mod written;
