//! The state machine by scripts, goldens and random histories: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod auth;
mod generate;
mod golden;
mod import;
mod model;
mod permissions;
mod properties;
mod readers;
mod script;
mod scripts;
mod smoke;
mod tombstones;
