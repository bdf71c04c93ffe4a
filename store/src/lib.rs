//! One replica of the replicated store.

pub mod watch;
