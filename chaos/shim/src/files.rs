//! Files that are opened and closed, and descriptors that are copied.

use std::ffi::{CStr, c_char, c_int, c_long};

use libc::mode_t;

use crate::real;
use crate::shadow::lock;
use crate::state::{before, state};
use crate::sys;

/// Opens, and takes note of what was opened or made below the folder.
fn open_with(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let Some(state) = state() else {
        return call();
    };
    let place = if flags & (libc::O_CREAT | libc::O_TRUNC) != 0
        || flags & libc::O_TMPFILE == libc::O_TMPFILE
    {
        state.place(folder, path)
    } else {
        None
    };
    let Some(place) = place else {
        let fd = call();
        if fd >= 0 {
            state.opened(fd);
        }
        return fd;
    };
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        sys::die("a file without a name is not modelled");
    }
    let mut objects = lock(&state.objects);
    let found = before(&place);
    if found.is_none() && state.is_full() {
        sys::set_errno(libc::ENOSPC);
        return -1;
    }
    let fd = call();
    if fd < 0 {
        return fd;
    }
    if found.is_none()
        && let Some(stat) = sys::stat_fd(fd)
    {
        objects.created(&state.shadow, &place, stat);
    }
    drop(objects);
    if let Some(object) = state.opened(fd)
        && let Some(found) = found
        && flags & libc::O_TRUNC != 0
    {
        object.wrote(0, found.size);
    }
    fd
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::open(path, flags, mode) };
    open_with(libc::AT_FDCWD, path, flags, call)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::open(path, flags, mode) };
    open_with(libc::AT_FDCWD, path, flags, call)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn openat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::openat(folder, path, flags, mode) };
    open_with(folder, path, flags, call)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::openat(folder, path, flags, mode) };
    open_with(folder, path, flags, call)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::open(path, flags, mode) };
    open_with(libc::AT_FDCWD, path, flags, call)
}

/// A stream writes inside libc, where it is not seen: its file is compared whole with each sync.
fn open_stream(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real::fopen(path, mode) };
    let Some(state) = state() else {
        return call();
    };
    // SAFETY: whoever opens a stream gives a mode that ends with a zero byte.
    let letters = unsafe { CStr::from_ptr(mode) }.to_bytes();
    let writes = letters.iter().any(|letter| b"wa+".contains(letter));
    let place = state.place(libc::AT_FDCWD, path).filter(|_| writes);
    let mut objects = lock(&state.objects);
    let found = place.as_ref().and_then(before);
    let stream = call();
    if stream.is_null() {
        return stream;
    }
    // SAFETY: libc has just opened the stream.
    let fd = unsafe { libc::fileno(stream) };
    if let (Some(place), None, Some(stat)) = (&place, found, sys::stat_fd(fd)) {
        objects.created(&state.shadow, place, stat);
    }
    drop(objects);
    if writes && let Some(object) = state.opened(fd) {
        object.changed_unseen();
    }
    stream
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    open_stream(path, mode)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fopen64(
    path: *const c_char,
    mode: *const c_char,
) -> *mut libc::FILE {
    open_stream(path, mode)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn close(fd: c_int) -> c_int {
    if let Some(state) = state() {
        // Before the call: afterwards the number may be somebody else's.
        state.closed(fd);
    }
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::close(fd) }
}

fn duplicated(old: c_int, new: c_int) -> c_int {
    if new >= 0
        && let Some(state) = state()
    {
        state.duplicated(old, new);
    }
    new
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    duplicated(fd, unsafe { real::dup(fd) })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup2(fd: c_int, wanted: c_int) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    duplicated(fd, unsafe { real::dup2(fd, wanted) })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup3(fd: c_int, wanted: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    duplicated(fd, unsafe { real::dup3(fd, wanted, flags) })
}

fn control(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real::fcntl(fd, command, argument) };
    if command == libc::F_DUPFD || command == libc::F_DUPFD_CLOEXEC {
        duplicated(fd, result);
    }
    result
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    control(fd, command, argument)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int {
    control(fd, command, argument)
}
