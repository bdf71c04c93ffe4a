//! Measures the servers from outside: a light etcd load generator, and side-by-side runs of stores and of apiservers, and whole
//! control planes.

pub mod apiserver;
pub mod control_plane;
pub mod load;
pub mod side_by_side;
