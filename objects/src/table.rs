//! Server-side tables: the columns that `kubectl get` shows of a kind.
