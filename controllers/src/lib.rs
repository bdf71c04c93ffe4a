//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.

mod amounts;
mod conditions;
mod endpoints;
mod endpointslice;
mod endpointslice_mirroring;
mod events;
mod expectations;
mod hash;
mod node_lifecycle;
mod owners;
mod patches;
mod pods;
mod selectors;
mod services;
