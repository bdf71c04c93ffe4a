//! The loops that make the cluster what its objects say: each sees, decides by a pure function, and writes.
