//! The object model held against what a kube-apiserver answered: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod apply;
mod apply_sets;
mod cel;
mod cel_random;
mod cel_rules;
mod crd;
mod discovery;
mod golden;
mod jsonpath;
mod openapi;
mod patches;
mod pod_resources;
mod tables;
mod validation;
mod validation_kinds;
