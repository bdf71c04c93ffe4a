//! Measures the store from outside: a light etcd load generator and a side-by-side runner on top of it.

pub mod load;
pub mod side_by_side;
