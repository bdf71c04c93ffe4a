//! Calls that change files in ways that are not modelled: they end the process.

#![allow(
    clippy::too_many_arguments,
    reason = "the signatures are those of libc"
)]

use std::ffi::{c_int, c_long, c_uint, c_void};

use libc::{off64_t, size_t, ssize_t};

use crate::real;
use crate::state::state;
use crate::sys;

fn refuse(fd: c_int, what: &str) {
    if state().is_some_and(|state| state.object(fd).is_some()) {
        sys::die(&format!("{what} is not modelled"));
    }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn syncfs(fd: c_int) -> c_int {
    refuse(fd, "syncfs");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::syncfs(fd) }
}

fn map(
    address: *mut c_void,
    length: size_t,
    access: (c_int, c_int),
    fd: c_int,
    offset: off64_t,
) -> *mut c_void {
    let (protection, flags) = access;
    let shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE;
    if shared && flags & libc::MAP_ANONYMOUS == 0 && protection & libc::PROT_WRITE != 0 {
        refuse(fd, "writing through shared memory");
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::mmap64(address, length, protection, flags, fd, offset) }
}

macro_rules! maps {
    ($($name:ident)*) => {$(
        /// # Safety
        /// As for libc's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            address: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off64_t,
        ) -> *mut c_void {
            map(address, length, (protection, flags), fd, offset)
        }
    )*};
}

maps! { mmap mmap64 }

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    refuse(to, "splice");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::splice(from, from_offset, to, to_offset, length, flags) }
}

/// System calls that change files and are not made through the functions above.
const CHANGES: [c_long; 15] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_copy_file_range,
    libc::SYS_io_uring_setup,
];

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if CHANGES.contains(&number) && state().is_some() {
        sys::die(&format!(
            "system call {number} made directly is not modelled"
        ));
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::syscall(number, a, b, c, d, e, f) }
}
