//! System calls of this library's own, which never come back to it.

use std::ffi::{CStr, CString, c_int};

use crate::real;

/// An error number of the system's.
pub(crate) type Errno = c_int;

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) links: u64,
    pub(crate) kind: libc::mode_t,
}

impl Stat {
    pub(crate) fn is_file(&self) -> bool {
        self.kind == libc::S_IFREG
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind == libc::S_IFDIR
    }
}

/// Ends the process with a message: what comes after would be judged by a wrong picture of the disk.
pub(crate) fn die(words: &str) -> ! {
    let line = format!("power-shim: {words}\n");
    // SAFETY: the pointer and the length are those of the line.
    unsafe { real::write(2, line.as_ptr().cast(), line.len()) };
    // SAFETY: it takes nothing and does not return.
    unsafe { libc::abort() }
}

pub(crate) fn errno() -> Errno {
    // SAFETY: the address is this thread's own error number.
    unsafe { *libc::__errno_location() }
}

/// Sets the error number that the caller of a libc function looks at.
pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: the address is this thread's own error number.
    unsafe { *libc::__errno_location() = errno };
}

/// A path as the system takes it.
pub(crate) fn path(bytes: impl Into<Vec<u8>>) -> CString {
    CString::new(bytes).unwrap_or_else(|_| die("a path with a zero byte"))
}

fn done(result: c_int) -> Result<(), Errno> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Dies when something fails that cannot fail unless the shadow is broken.
pub(crate) fn must<T>(result: Result<T, Errno>, what: &str, path: &CStr) -> T {
    result.unwrap_or_else(|errno| die(&format!("{what} {path:?}: error {errno}")))
}

#[allow(
    clippy::useless_conversion,
    reason = "the number of links has another width on other architectures"
)]
fn of(stat: &libc::stat64) -> Stat {
    Stat {
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        links: stat.st_nlink.into(),
        kind: stat.st_mode & libc::S_IFMT,
    }
}

pub(crate) fn stat_fd(fd: c_int) -> Option<Stat> {
    // SAFETY: zeros are a valid value of the plain struct.
    let mut stat: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is this function's own.
    let result = unsafe { libc::fstat64(fd, &raw mut stat) };
    (result == 0).then(|| of(&stat))
}

/// Of the name itself, not of what a symbolic link names.
pub(crate) fn stat(path: &CStr) -> Option<Stat> {
    // SAFETY: zeros are a valid value of the plain struct.
    let mut stat: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, the struct is this function's own.
    let result = unsafe { libc::lstat64(path.as_ptr(), &raw mut stat) };
    (result == 0).then(|| of(&stat))
}

pub(crate) fn open(path: &CStr, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: the path ends with a zero byte.
    let fd = unsafe { real::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) };
    done(fd).map(|()| fd)
}

pub(crate) fn close(fd: c_int) {
    // SAFETY: a descriptor that is not open is only an error.
    unsafe { real::close(fd) };
}

/// The path of an open file.
pub(crate) fn path_of_fd(fd: c_int) -> Option<Vec<u8>> {
    let link = path(format!("/proc/self/fd/{fd}"));
    let mut bytes = vec![0; libc::PATH_MAX as usize];
    // SAFETY: the buffer is as long as is said.
    let length = unsafe { libc::readlink(link.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes.truncate(usize::try_from(length).ok()?);
    Some(bytes)
}

/// The canonical path of a folder.
pub(crate) fn canonical(path: &CStr) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer has room for the longest path there is.
    let found = unsafe { libc::realpath(path.as_ptr(), bytes.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.truncate(end);
    Some(bytes)
}

pub(crate) fn link(old: &CStr, new: &CStr) -> Result<(), Errno> {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with a zero byte.
    done(unsafe { real::linkat(here, old.as_ptr(), here, new.as_ptr(), 0) })
}

pub(crate) fn symlink(content: &CStr, path: &CStr) -> Result<(), Errno> {
    // SAFETY: both texts end with a zero byte.
    done(unsafe { real::symlinkat(content.as_ptr(), libc::AT_FDCWD, path.as_ptr()) })
}

pub(crate) fn make_folder(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path ends with a zero byte.
    done(unsafe { real::mkdirat(libc::AT_FDCWD, path.as_ptr(), 0o700) })
}

pub(crate) fn unlink(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path ends with a zero byte.
    done(unsafe { real::unlinkat(libc::AT_FDCWD, path.as_ptr(), 0) })
}

pub(crate) fn rename(old: &CStr, new: &CStr, flags: libc::c_uint) -> Result<(), Errno> {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with a zero byte.
    done(unsafe { real::renameat2(here, old.as_ptr(), here, new.as_ptr(), flags) })
}

/// Removes a folder or file with everything in it, if it is there.
pub(crate) fn remove_all(path: &CStr) {
    let Some(found) = stat(path) else {
        return;
    };
    if !found.is_folder() {
        return must(unlink(path), "removing", path);
    }
    for name in list(path) {
        remove_all(&join(path.to_bytes(), &name));
    }
    // SAFETY: the path ends with a zero byte.
    let removed = unsafe { real::unlinkat(libc::AT_FDCWD, path.as_ptr(), libc::AT_REMOVEDIR) };
    must(done(removed), "removing", path);
}

pub(crate) fn join(folder: &[u8], name: &[u8]) -> CString {
    path([folder, b"/", name].concat())
}

/// The names in a folder; none if it is not there.
pub(crate) fn list(folder: &CStr) -> Vec<Vec<u8>> {
    // SAFETY: the path ends with a zero byte.
    let stream = unsafe { libc::opendir(folder.as_ptr()) };
    let mut names = Vec::new();
    if stream.is_null() {
        return names;
    }
    loop {
        // SAFETY: the stream is open and this thread's own.
        let entry = unsafe { libc::readdir64(stream) };
        if entry.is_null() {
            break;
        }
        // SAFETY: the entry is valid until the next call, and its name ends with a zero byte.
        let name = unsafe { CStr::from_ptr((&raw const (*entry).d_name).cast()) };
        let name = name.to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    // SAFETY: it was opened above and is not used any more.
    unsafe { libc::closedir(stream) };
    names
}

pub(crate) fn read_at(fd: c_int, bytes: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let offset = libc::off64_t::try_from(offset).unwrap_or(libc::off64_t::MAX);
    // SAFETY: the buffer is as long as is said.
    let read = unsafe { libc::pread64(fd, bytes.as_mut_ptr().cast(), bytes.len(), offset) };
    usize::try_from(read).map_err(|_negative| errno())
}

/// Writes everything.
pub(crate) fn write_at(fd: c_int, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let place = libc::off64_t::try_from(offset).unwrap_or(libc::off64_t::MAX);
        // SAFETY: the buffer is as long as is said.
        let written = unsafe { real::pwrite64(fd, bytes.as_ptr().cast(), bytes.len(), place) };
        let written = usize::try_from(written).map_err(|_negative| errno())?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

pub(crate) fn set_size(fd: c_int, size: u64) -> Result<(), Errno> {
    let size = libc::off64_t::try_from(size).unwrap_or(libc::off64_t::MAX);
    // SAFETY: a descriptor that is not open is only an error.
    done(unsafe { real::ftruncate64(fd, size) })
}

/// Where the next plain read or write of a descriptor begins.
pub(crate) fn position(fd: c_int) -> u64 {
    // SAFETY: a descriptor that is not open is only an error.
    let place = unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) };
    u64::try_from(place).unwrap_or(0)
}

/// Adds a line to a file, made if missing.
pub(crate) fn append(file: &CStr, line: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT;
    let fd = must(open(file, flags), "opening", file);
    // SAFETY: the buffer is as long as is said.
    let written = unsafe { real::write(fd, line.as_ptr().cast(), line.len()) };
    if usize::try_from(written) != Ok(line.len()) {
        die(&format!("writing {file:?}: error {}", errno()));
    }
    close(fd);
}

/// All of a small file; nothing if it is not there.
pub(crate) fn read(file: &CStr) -> Vec<u8> {
    let Ok(fd) = open(file, libc::O_RDONLY) else {
        return Vec::new();
    };
    let size = stat_fd(fd).map_or(0, |stat| stat.size);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = must(read_at(fd, &mut bytes, 0), "reading", file);
    bytes.truncate(read);
    close(fd);
    bytes
}
