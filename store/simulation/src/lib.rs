//! Replicas on simulated time, network and disk.
