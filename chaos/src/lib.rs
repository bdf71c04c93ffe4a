//! Breaks a cluster of etcd's kind on purpose, records what its clients saw, and has the history judged.

pub mod clock;
pub mod net;
mod ports;
pub mod random;
