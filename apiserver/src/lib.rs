//! A thin Kubernetes apiserver: REST and gRPC over one registry, whose only state is that of an etcd-v3 store.

pub mod admission;
mod advertise;
mod aggregation;
mod api_services;
mod apiservices;
pub mod attributes;
pub mod audit;
pub mod authn;
pub mod authz;
mod bootstrap;
pub mod cache;
pub mod cached_objects;
pub mod clock;
mod compaction;
pub mod config;
pub mod conversion;
mod crd;
pub mod dial;
pub mod fairness;
pub mod grpc;
mod kubelets;
pub mod objects_view;
mod port;
pub mod registry;
mod relay;
pub mod rest;
mod run;
pub mod served;
pub mod server;
pub mod storage;
mod tls;
pub mod user;
pub mod webhook;

pub use config::Config;
pub use run::run;
pub use server::Server;
