//! Files that are written, made longer or shorter.

#![allow(
    clippy::too_many_arguments,
    reason = "the signatures are those of libc"
)]

use std::ffi::{c_int, c_uint, c_void};

use libc::{iovec, off64_t, size_t, ssize_t};

use crate::real;
use crate::state::state;
use crate::sys::{self, Errno};

/// A write; `offset` is where it goes, or nothing for where the descriptor stands.
fn write_with(fd: c_int, offset: Option<off64_t>, call: impl FnOnce() -> ssize_t) -> ssize_t {
    let Some((state, object)) = state().and_then(|state| Some((state, state.file(fd)?))) else {
        return call();
    };
    if state.is_full() {
        sys::set_errno(libc::ENOSPC);
        return -1;
    }
    let written = call();
    if let Ok(count) = u64::try_from(written) {
        let start = match offset {
            Some(offset) => u64::try_from(offset).unwrap_or(0),
            None => sys::position(fd).saturating_sub(count),
        };
        object.wrote(start, start + count);
    }
    written
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    // SAFETY: the caller's arguments, passed on.
    write_with(fd, None, || unsafe { real::write(fd, bytes, count) })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's arguments, passed on.
    write_with(fd, None, || unsafe { real::writev(fd, pieces, count) })
}

macro_rules! writes_at {
    ($($name:ident($bytes:ty, $count:ty) is $real:ident;)*) => {$(
        /// # Safety
        /// As for libc's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(fd: c_int, bytes: $bytes, count: $count, offset: off64_t) -> ssize_t {
            // SAFETY: the caller's arguments, passed on.
            write_with(fd, Some(offset), || unsafe { real::$real(fd, bytes, count, offset) })
        }
    )*};
}

writes_at! {
    pwrite(*const c_void, size_t) is pwrite64;
    pwrite64(*const c_void, size_t) is pwrite64;
    pwritev(*const iovec, c_int) is pwritev64;
    pwritev64(*const iovec, c_int) is pwritev64;
}

/// A change of a file's size or blocks; `grows` if it may take space. The bytes from `start` to `end` differ then.
fn resize_with(fd: c_int, grows: bool, call: impl FnOnce() -> c_int) -> Result<c_int, Errno> {
    let Some((state, object)) = state().and_then(|state| Some((state, state.file(fd)?))) else {
        return Ok(call());
    };
    if grows && state.is_full() {
        return Err(libc::ENOSPC);
    }
    let size = || sys::stat_fd(fd).map_or(0, |stat| stat.size);
    let old = size();
    let result = call();
    let new = size();
    object.wrote(old.min(new), old.max(new));
    Ok(result)
}

pub(crate) fn or_errno(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|errno| {
        sys::set_errno(errno);
        -1
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ftruncate(fd: c_int, length: off64_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    or_errno(resize_with(fd, false, || unsafe {
        real::ftruncate64(fd, length)
    }))
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ftruncate64(fd: c_int, length: off64_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    or_errno(resize_with(fd, false, || unsafe {
        real::ftruncate64(fd, length)
    }))
}

fn allocate(fd: c_int, mode: c_int, offset: off64_t, length: off64_t) -> c_int {
    // Punching and shifting change bytes; keeping the size is only a reservation.
    if mode & !libc::FALLOC_FL_KEEP_SIZE != 0
        && let Some(object) = state().and_then(|state| state.file(fd))
    {
        object.changed_unseen();
    }
    let call = || {
        // SAFETY: the caller's arguments, passed on.
        unsafe { real::fallocate64(fd, mode, offset, length) }
    };
    or_errno(resize_with(fd, true, call))
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fallocate(
    fd: c_int,
    mode: c_int,
    offset: off64_t,
    length: off64_t,
) -> c_int {
    allocate(fd, mode, offset, length)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fallocate64(
    fd: c_int,
    mode: c_int,
    offset: off64_t,
    length: off64_t,
) -> c_int {
    allocate(fd, mode, offset, length)
}

fn allocate_posix(fd: c_int, offset: off64_t, length: off64_t) -> c_int {
    let call = || {
        // SAFETY: the caller's arguments, passed on.
        unsafe { real::posix_fallocate64(fd, offset, length) }
    };
    // This one returns its error.
    resize_with(fd, true, call).unwrap_or_else(|errno| errno)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn posix_fallocate(
    fd: c_int,
    offset: off64_t,
    length: off64_t,
) -> c_int {
    allocate_posix(fd, offset, length)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn posix_fallocate64(
    fd: c_int,
    offset: off64_t,
    length: off64_t,
) -> c_int {
    allocate_posix(fd, offset, length)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut off64_t,
    to: c_int,
    to_offset: *mut off64_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller gives a place with an offset, or none.
    let offset = unsafe { to_offset.as_ref() }.copied();
    // SAFETY: the caller's arguments, passed on.
    write_with(to, offset, || unsafe {
        real::copy_file_range(from, from_offset, to, to_offset, length, flags)
    })
}

fn send(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t {
    // SAFETY: the caller's arguments, passed on.
    write_with(to, None, || unsafe {
        real::sendfile64(to, from, offset, count)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: size_t,
) -> ssize_t {
    send(to, from, offset, count)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: size_t,
) -> ssize_t {
    send(to, from, offset, count)
}
