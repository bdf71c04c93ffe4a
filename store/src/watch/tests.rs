//! Tests of the hub against a history that is a plain list.
