//! Black-box tests over running servers: ours and real etcd, started alike and asked alike.

pub mod alarm;
pub mod archive;
pub mod auth;
pub mod client;
pub mod cluster;
pub mod differential;
pub mod etcdctl;
pub mod http;
pub mod load;
pub mod migration;
pub mod random;
pub mod snapshots;
pub mod target;
pub mod text;
pub mod tls;
pub mod traffic;
