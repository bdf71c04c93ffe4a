//! Stands between a server and libc, so that a power cut, a full or slow disk and a jumping clock can be played without
//! privileges.
//!
//! Preloaded into a process (`LD_PRELOAD`), it watches file calls below one folder (`POWER_SHIM_FOLDER`) and keeps in a
//! second one (`POWER_SHIM_SHADOW`) what a disk would hold if the power went now: of each file what was synced, of each
//! directory the names that were synced. Whoever cuts the power kills the process and makes the first folder from the
//! second. Without the variables every call passes through.
//!
//! The layout of the shadow:
//!
//! ```text
//! files/INODE.NUMBER            what of a file is durable
//! dirs/INODE.NUMBER/entries/    durable names: hard links to files, symbolic links that name directories
//! dirs/INODE.NUMBER/pending     changes of names since then, one a line, in their order
//! dead/                         files and directories that have no name any more, until that is durable
//! control                       numbers that the harness sets and reads, see `control`
//! events                        one line for each error that was made up
//! ```
//!
//! A call that changes files in a way that is not modelled ends the process with a message. Nothing here may use
//! `std::fs`: its calls would come back here.

#![allow(
    unsafe_code,
    reason = "functions of libc are replaced by ones of the same signature, and called with what the caller gave"
)]

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!(
    "variadic functions are taken over as plain ones, which holds on Linux for x86-64 and AArch64 alone"
);

mod dirty;

// The tests of this library must not run on replaced functions.
#[cfg(not(test))]
mod clock;
#[cfg(not(test))]
mod control;
#[cfg(not(test))]
mod files;
#[cfg(not(test))]
mod names;
#[cfg(not(test))]
mod real;
#[cfg(not(test))]
mod shadow;
#[cfg(not(test))]
mod state;
#[cfg(not(test))]
mod sys;
