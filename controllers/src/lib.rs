//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod conditions;
mod cronjob;
mod daemonset;
mod events;
mod expectations;
mod hash;
mod job;
mod owners;
mod patches;
mod pods;
mod revisions;
mod selectors;
mod statefulset;
mod ttl_after_finished;
