//! Objects into bytes and back: JSON, YAML, and Kubernetes' protobuf.
