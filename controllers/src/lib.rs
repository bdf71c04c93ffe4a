//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod conditions;
mod endpoints;
mod endpointslice;
mod endpointslice_mirroring;
mod events;
mod expectations;
mod hash;
mod node_ipam;
mod node_lifecycle;
mod owners;
mod patches;
mod persistent_volumes;
mod pod_gc;
mod pods;
mod selectors;
mod services;
mod taint_eviction;
