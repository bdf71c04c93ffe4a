//! Kubernetes' dialect of CEL: parsing, checking against a schema, estimated and spent cost, evaluation.
