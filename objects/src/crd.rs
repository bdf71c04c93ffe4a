//! Kinds that a CustomResourceDefinition brings: its schema read, and objects pruned, defaulted and validated by it.
