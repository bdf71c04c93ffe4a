//! Stock clients and a stock etcd as judges: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod archive;
mod auth;
mod auth_advisories;
mod auth_cluster;
mod auth_names;
mod auth_tokens;
mod availability;
mod bad_input;
mod clients;
mod control_plane;
mod corrupt_alarm;
mod corruption;
mod crash;
mod ctl;
mod ctl_sessions;
mod ctl_tools;
mod differential;
mod downgrade;
mod drop_in;
mod etcdctl;
mod etcdctl_table;
mod gateway;
mod http;
mod kubernetes;
mod leases;
mod limits;
mod locks;
mod membership;
mod metrics;
mod migrate;
mod pipeline;
mod snapshots;
mod spans;
mod tls;
mod tls_peers;
