//! One replica of the replicated store.

pub mod grpc;
pub mod http;
pub mod metrics;
pub mod replica;
pub mod watch;
