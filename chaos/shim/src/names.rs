//! Calls that change names: made, removed, renamed, linked.

use std::ffi::{c_char, c_int, c_uint};

use libc::mode_t;

use crate::real;
use crate::shadow::lock;
use crate::state::{before, state};
use crate::sys;

/// A name and the directory descriptor it is relative to.
type Name = (c_int, *const c_char);

fn here(path: *const c_char) -> Name {
    (libc::AT_FDCWD, path)
}

fn no_space() -> c_int {
    sys::set_errno(libc::ENOSPC);
    -1
}

/// Removes the name of a file or directory.
fn remove_with((folder, path): Name, call: impl FnOnce() -> c_int) -> c_int {
    let Some((state, place)) = state().and_then(|state| Some((state, state.place(folder, path)?)))
    else {
        return call();
    };
    let mut objects = lock(&state.objects);
    let found = before(&place);
    let result = call();
    if result == 0
        && let Some(found) = found
    {
        objects.removed(&state.shadow, &place, found);
    }
    result
}

/// Makes a directory, or another name for a file.
fn make_with((folder, path): Name, call: impl FnOnce() -> c_int) -> c_int {
    let Some((state, place)) = state().and_then(|state| Some((state, state.place(folder, path)?)))
    else {
        return call();
    };
    let mut objects = lock(&state.objects);
    if before(&place).is_none() && state.is_full() {
        return no_space();
    }
    let result = call();
    if result == 0
        && let Some(stat) = before(&place)
    {
        if stat.is_folder() {
            objects.created(&state.shadow, &place, stat);
        } else {
            objects.linked(&state.shadow, &place, stat);
        }
    }
    result
}

fn rename_with(old: Name, new: Name, flags: c_uint) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe {
        if flags == 0 {
            real::renameat(old.0, old.1, new.0, new.1)
        } else {
            real::renameat2(old.0, old.1, new.0, new.1, flags)
        }
    };
    let Some(state) = state() else {
        return call();
    };
    let (from, to) = match (state.place(old.0, old.1), state.place(new.0, new.1)) {
        (None, None) => return call(),
        (Some(from), Some(to)) => (from, to),
        _ => sys::die("a rename into the folder or out of it is not modelled"),
    };
    if flags & !libc::RENAME_NOREPLACE != 0 {
        sys::die("an exchange of names is not modelled");
    }
    let mut objects = lock(&state.objects);
    let moved = before(&from);
    let replaced = before(&to);
    let result = call();
    // Of two names for one file, neither goes.
    let same = moved
        .zip(replaced)
        .is_some_and(|(one, other)| one.inode == other.inode);
    if result == 0 && !same {
        objects.renamed(&state.shadow, &from, &to, replaced);
    }
    result
}

fn refuse_with((folder, path): Name, what: &str) {
    if state().is_some_and(|state| state.place(folder, path).is_some()) {
        sys::die(&format!("{what} is not modelled"));
    }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    remove_with(here(path), || unsafe {
        real::unlinkat(libc::AT_FDCWD, path, 0)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unlinkat(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    remove_with((folder, path), || unsafe {
        real::unlinkat(folder, path, flags)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    remove_with(here(path), || unsafe {
        real::unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn remove(path: *const c_char) -> c_int {
    remove_with(here(path), || {
        // SAFETY: the caller's arguments, passed on.
        let result = unsafe { real::unlinkat(libc::AT_FDCWD, path, 0) };
        if result != 0 && sys::errno() == libc::EISDIR {
            // SAFETY: the caller's arguments, passed on.
            return unsafe { real::unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) };
        }
        result
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    make_with(here(path), || unsafe {
        real::mkdirat(libc::AT_FDCWD, path, mode)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    make_with((folder, path), || unsafe {
        real::mkdirat(folder, path, mode)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn link(old: *const c_char, new: *const c_char) -> c_int {
    let current = libc::AT_FDCWD;
    // SAFETY: the caller's arguments, passed on.
    make_with(here(new), || unsafe {
        real::linkat(current, old, current, new, 0)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn linkat(
    old_folder: c_int,
    old: *const c_char,
    new_folder: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    make_with((new_folder, new), || unsafe {
        real::linkat(old_folder, old, new_folder, new, flags)
    })
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rename(old: *const c_char, new: *const c_char) -> c_int {
    rename_with(here(old), here(new), 0)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn renameat(
    old_folder: c_int,
    old: *const c_char,
    new_folder: c_int,
    new: *const c_char,
) -> c_int {
    rename_with((old_folder, old), (new_folder, new), 0)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn renameat2(
    old_folder: c_int,
    old: *const c_char,
    new_folder: c_int,
    new: *const c_char,
    flags: c_uint,
) -> c_int {
    rename_with((old_folder, old), (new_folder, new), flags)
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn symlink(content: *const c_char, path: *const c_char) -> c_int {
    refuse_with(here(path), "a symbolic link");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::symlinkat(content, libc::AT_FDCWD, path) }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn symlinkat(
    content: *const c_char,
    folder: c_int,
    path: *const c_char,
) -> c_int {
    refuse_with((folder, path), "a symbolic link");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::symlinkat(content, folder, path) }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mknodat(
    folder: c_int,
    path: *const c_char,
    mode: mode_t,
    device: libc::dev_t,
) -> c_int {
    refuse_with((folder, path), "a special file");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::mknodat(folder, path, mode, device) }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn truncate(path: *const c_char, length: libc::off64_t) -> c_int {
    refuse_with(here(path), "truncating by name");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::truncate64(path, length) }
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn truncate64(path: *const c_char, length: libc::off64_t) -> c_int {
    refuse_with(here(path), "truncating by name");
    // SAFETY: the caller's arguments, passed on.
    unsafe { real::truncate64(path, length) }
}
