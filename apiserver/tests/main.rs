//! Running apiservers on a stock etcd: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod clients;
mod cluster;
mod fairness;
mod flags;
mod grpc;
mod kubectl;
mod nodes;
mod policies;
mod ports;
mod relay;
mod rest;
mod sdk;
mod stock;
mod webhooks;
