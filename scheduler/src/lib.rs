//! Gives pods their nodes: a queue, filters and scores over a snapshot of the cluster, and binds in batches.
