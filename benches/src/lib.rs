//! Measures the store from outside: a light etcd load generator and a side-by-side runner on top of it.

pub mod load;
