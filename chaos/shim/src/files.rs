//! Calls on open files: opened, written, made longer or shorter, synced, closed.

#![allow(
    clippy::too_many_arguments,
    reason = "the signatures are those of libc"
)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::time::Duration;

use libc::{iovec, mode_t, off64_t, size_t, ssize_t};

use crate::control::Place as Number;
use crate::real;
use crate::shadow::lock;
use crate::state::{State, before, state};
use crate::sys::{self, Errno};

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

fn or_errno(result: Result<c_int, Errno>) -> c_int {
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

/// Syncs a file or directory below the folder.
fn sync_with(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(state) = state() else {
        return call();
    };
    // A descriptor that came by an unseen way is known from here on, and compared whole.
    let Some(object) = state.object(fd).or_else(|| state.opened(fd)) else {
        return call();
    };
    state.control.count(Number::Syncs);
    let delay = state.control.get(Number::SyncDelayMs);
    if delay > 0 {
        state.control.count(Number::Delayed);
        std::thread::sleep(Duration::from_millis(delay));
    }
    let synced = if object.folder {
        let path = sys::path_of_fd(fd).unwrap_or_default();
        let mut objects = lock(&state.objects);
        objects.sync_folder(&state.shadow, &object, &path, || of_result(call()))
    } else {
        let synced = object.sync_file(&state.shadow, fd, || fail_or(state, fd, call));
        if object.look_for_retry(synced.is_err()) {
            let path = sys::path_of_fd(fd).unwrap_or_default();
            state.shadow.event("again", &path);
        }
        synced
    };
    or_errno(synced.map(|()| 0))
}

fn of_result(result: c_int) -> Result<(), Errno> {
    if result == 0 {
        Ok(())
    } else {
        Err(sys::errno())
    }
}

/// Fails when a failure is wanted, else calls.
fn fail_or(state: &State, fd: c_int, call: impl FnOnce() -> c_int) -> Result<(), Errno> {
    if state.control.take(Number::SyncErrors) {
        state.control.count(Number::Failed);
        state
            .shadow
            .event("failed", &sys::path_of_fd(fd).unwrap_or_default());
        return Err(libc::EIO);
    }
    of_result(call())
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    sync_with(fd, || unsafe { real::fsync(fd) })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    sync_with(fd, || unsafe { real::fdatasync(fd) })
}

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
