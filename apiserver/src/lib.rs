//! A thin Kubernetes apiserver: REST and gRPC over one registry, whose only state is that of an etcd-v3 store.

pub mod admission;
pub mod attributes;
pub mod authn;
pub mod authz;
pub mod cache;
pub mod clock;
pub mod objects_view;
pub mod registry;
pub mod rest;
pub mod served;
pub mod storage;
pub mod user;
