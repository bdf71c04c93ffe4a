//! The binary as its users run it: all tests are one program, so that what they share is linked once.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod names;
mod one_process;
mod planted;
mod running;
mod up;
mod why_pending;
