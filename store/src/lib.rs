//! One replica of the replicated store: etcd's v3 API outside, raft and a deterministic state machine inside.

pub mod archive;
mod authn;
pub mod backup;
mod batch;
mod blocking;
mod compactor;
pub mod config;
mod consistency;
mod data_folder;
pub mod grpc;
pub mod http;
mod lessor;
pub mod metrics;
mod raft;
pub mod replica;
mod server;
mod space;
mod spans;
pub mod tls;
mod waiters;
pub mod watch;

pub use config::{Config, SERVER_VERSION};
#[cfg(feature = "simulation")]
pub use server::simulation;
pub use server::{run, serve};
