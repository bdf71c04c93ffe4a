//! The scheduler by its doors: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod configuration;
mod engine;
mod explain;
mod process;
mod snapshot;
