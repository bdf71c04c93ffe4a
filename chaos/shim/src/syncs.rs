//! Files and directories that are synced.

use std::ffi::c_int;
use std::time::Duration;

use crate::control::Place as Number;
use crate::real;
use crate::shadow::lock;
use crate::state::{State, state};
use crate::sys::{self, Errno};
use crate::writes::or_errno;

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
