//! Randomness and wall clock of the simulation's thread: drawn from the seed, and simulated. Other threads keep the
//! system's, and so does the monotonic clock: RocksDB's rate limiter hands times of it from thread to thread.
#![allow(
    unsafe_code,
    reason = "the two functions of libc through which libraries get randomness and time are answered here"
)]

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// For the program's own thread.
pub(crate) const SURROUNDINGS: simulation::Surroundings = simulation::Surroundings {
    simulate,
    set_clock,
};
/// Where the simulated clock begins, in nanoseconds after 1970.
const CLOCK_START_NANOSECONDS: u64 = 1_000_000_000_000_000;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
/// The number of the wall clock.
const CLOCK_REALTIME: c_int = 0;

#[cfg(target_arch = "x86_64")]
const SYS_GETRANDOM: c_long = 318;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_GETRANDOM: c_long = 278;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;

thread_local! {
    /// State of the generator; None on threads that are not simulated.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

static NOW_NANOSECONDS: AtomicU64 = AtomicU64::new(CLOCK_START_NANOSECONDS);

/// libc's `timespec` on 64-bit Linux.
#[repr(C)]
pub(crate) struct TimeSpec {
    seconds: i64,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// From here on this thread's randomness comes from the seed, and its wall clock stands until it is set.
pub(crate) fn simulate(seed: u64) {
    SEEDED.set(Some(seed));
}

/// Moves the wall clock to this simulated time.
pub(crate) fn set_clock(now: Duration) {
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
    NOW_NANOSECONDS.store(CLOCK_START_NANOSECONDS + nanoseconds, Ordering::Relaxed);
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// libc's function.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn getrandom(out: *mut c_void, length: usize, flags: c_uint) -> isize {
    let Some(mut state) = SEEDED.get() else {
        // SAFETY: the arguments are passed on as the caller gave them, with the call's own types.
        return unsafe { syscall(SYS_GETRANDOM, out, length, flags) } as isize;
    };
    let out = out.cast::<u8>();
    for at in 0..length {
        // SAFETY: the caller gives `length` writable bytes from `out` on.
        unsafe { out.add(at).write(next(&mut state) as u8) };
    }
    SEEDED.set(Some(state));
    length as isize
}

/// libc's function.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn getentropy(out: *mut c_void, length: usize) -> c_int {
    if getrandom(out, length, 0) == length as isize {
        0
    } else {
        -1
    }
}

/// libc's function.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn clock_gettime(clock: c_int, out: *mut TimeSpec) -> c_int {
    if SEEDED.get().is_none() || clock != CLOCK_REALTIME {
        // SAFETY: the arguments are passed on as the caller gave them, with the call's own types.
        return unsafe { syscall(SYS_CLOCK_GETTIME, c_long::from(clock), out) } as c_int;
    }
    let now = NOW_NANOSECONDS.load(Ordering::Relaxed);
    let time = TimeSpec {
        seconds: (now / NANOSECONDS_PER_SECOND) as i64,
        nanoseconds: (now % NANOSECONDS_PER_SECOND) as c_long,
    };
    // SAFETY: the caller gives a place for one `timespec`.
    unsafe { out.write(time) };
    0
}
