//! The functions of libc that this library stands in front of.

#![allow(
    clippy::too_many_arguments,
    reason = "the signatures are those of libc"
)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{iovec, mode_t, off64_t, size_t, ssize_t, timespec, timeval};

/// Where the next function of a name is; it is looked up once.
fn look_up(found: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let known = found.load(Ordering::Acquire);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends with a zero byte.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if address.is_null() {
        crate::sys::die(&format!("libc has no {}", name.to_string_lossy()));
    }
    found.store(address, Ordering::Release);
    address
}

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {$(
        /// libc's own.
        ///
        /// # Safety
        /// As for libc's.
        pub(crate) unsafe fn $name($($arg: $kind),*) -> $out {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without zero bytes"),
            };
            static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
            let found = look_up(&FOUND, NAME);
            // SAFETY: it is libc's function of that name, and the signature is libc's. A variadic function reads its
            // arguments where a plain one does on the architectures this is built for.
            let function: unsafe extern "C" fn($($kind),*) -> $out = unsafe { std::mem::transmute(found) };
            // SAFETY: the caller vouches for the arguments.
            unsafe { function($($arg),*) }
        }
    )*};
}

functions! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE;
    fn close(fd: c_int) -> c_int;
    fn dup(fd: c_int) -> c_int;
    fn dup2(fd: c_int, wanted: c_int) -> c_int;
    fn dup3(fd: c_int, wanted: c_int, flags: c_int) -> c_int;
    fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int;
    fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t;
    fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
    fn pwrite64(fd: c_int, bytes: *const c_void, count: size_t, offset: off64_t) -> ssize_t;
    fn pwritev64(fd: c_int, pieces: *const iovec, count: c_int, offset: off64_t) -> ssize_t;
    fn ftruncate64(fd: c_int, length: off64_t) -> c_int;
    fn truncate64(path: *const c_char, length: off64_t) -> c_int;
    fn fallocate64(fd: c_int, mode: c_int, offset: off64_t, length: off64_t) -> c_int;
    fn posix_fallocate64(fd: c_int, offset: off64_t, length: off64_t) -> c_int;
    fn fsync(fd: c_int) -> c_int;
    fn fdatasync(fd: c_int) -> c_int;
    fn syncfs(fd: c_int) -> c_int;
    fn mmap64(address: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off64_t) -> *mut c_void;
    fn copy_file_range(from: c_int, from_offset: *mut off64_t, to: c_int, to_offset: *mut off64_t, length: size_t, flags: c_uint) -> ssize_t;
    fn sendfile64(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t;
    fn splice(from: c_int, from_offset: *mut off64_t, to: c_int, to_offset: *mut off64_t, length: size_t, flags: c_uint) -> ssize_t;
    fn syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long;
    fn renameat(old_folder: c_int, old: *const c_char, new_folder: c_int, new: *const c_char) -> c_int;
    fn renameat2(old_folder: c_int, old: *const c_char, new_folder: c_int, new: *const c_char, flags: c_uint) -> c_int;
    fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int;
    fn linkat(old_folder: c_int, old: *const c_char, new_folder: c_int, new: *const c_char, flags: c_int) -> c_int;
    fn symlinkat(content: *const c_char, folder: c_int, path: *const c_char) -> c_int;
    fn mknodat(folder: c_int, path: *const c_char, mode: mode_t, device: libc::dev_t) -> c_int;
    fn clock_gettime(clock: libc::clockid_t, time: *mut timespec) -> c_int;
    fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int;
}
