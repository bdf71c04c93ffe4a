//! The wall clock, which the harness can set ahead or behind; the monotonic one is left alone.

use std::ffi::{c_int, c_void};

use libc::{clockid_t, time_t, timespec, timeval};

use crate::control::Place;
use crate::real;
use crate::state::state;

const NANOS: i128 = 1_000_000_000;

/// The true time since 1970, in nanoseconds.
pub(crate) fn nanos() -> u64 {
    let mut now = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the struct is this function's own.
    unsafe { real::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    u64::try_from(i128::from(now.tv_sec) * NANOS + i128::from(now.tv_nsec)).unwrap_or(0)
}

/// Nanoseconds the wall clock is ahead.
fn ahead() -> i64 {
    let Some(state) = state() else {
        return 0;
    };
    let ahead = state.control.get(Place::ClockAheadNs).cast_signed();
    if ahead != 0 {
        state.control.count(Place::Shifted);
    }
    ahead
}

/// Seconds and nanoseconds with the shift.
fn shift(seconds: i64, nanos: i64) -> (i64, i64) {
    let total = i128::from(seconds) * NANOS + i128::from(nanos) + i128::from(ahead());
    let part = |number: i128| i64::try_from(number).unwrap_or(0);
    (part(total.div_euclid(NANOS)), part(total.rem_euclid(NANOS)))
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real::clock_gettime(clock, time) };
    let wall = clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE;
    if result == 0 && wall && !time.is_null() {
        // SAFETY: libc has just filled the struct.
        let time = unsafe { &mut *time };
        (time.tv_sec, time.tv_nsec) = shift(time.tv_sec, time.tv_nsec);
    }
    result
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { real::gettimeofday(time, zone) };
    if result == 0 && !time.is_null() {
        // SAFETY: libc has just filled the struct.
        let time = unsafe { &mut *time };
        let (seconds, nanos) = shift(time.tv_sec, time.tv_usec * 1_000);
        (time.tv_sec, time.tv_usec) = (seconds, nanos / 1_000);
    }
    result
}

/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn time(out: *mut time_t) -> time_t {
    let (seconds, _) = shift(i64::try_from(nanos() / 1_000_000_000).unwrap_or(0), 0);
    if !out.is_null() {
        // SAFETY: the caller gives a place for the time.
        unsafe { *out = seconds };
    }
    seconds
}
