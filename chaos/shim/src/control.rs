//! The numbers that the harness sets and reads while the process runs: a page of memory shared through a file.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// Places in the page; each number has 8 bytes in the machine's order.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum Place {
    /// Set: not 0 while every write is refused with ENOSPC.
    Full = 0,
    /// Set: milliseconds that every sync takes longer.
    SyncDelayMs = 1,
    /// Set: how many of the next syncs of files fail with EIO.
    SyncErrors = 2,
    /// Set: nanoseconds the wall clock is ahead, signed.
    ClockAheadNs = 3,
    /// Counted: writes that were refused.
    Refused = 8,
    /// Counted: syncs that were delayed.
    Delayed = 9,
    /// Counted: syncs that failed on demand.
    Failed = 10,
    /// Counted: looks at the wall clock while it was ahead or behind.
    Shifted = 11,
    /// Counted: syncs of files and directories.
    Syncs = 12,
}

/// Bytes of the page.
const PAGE_BYTES: usize = 4_096;

/// The page.
#[derive(Debug)]
pub(crate) struct Control {
    numbers: &'static [AtomicU64; PAGE_BYTES / 8],
}

impl Control {
    /// Maps the file, which the harness has made.
    pub(crate) fn open(file: &CStr) -> Control {
        let fd = sys::must(sys::open(file, libc::O_RDWR), "opening", file);
        if sys::stat_fd(fd).is_none_or(|stat| stat.size < PAGE_BYTES as u64) {
            sys::die("the control file is too short");
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address the system chooses, of a file that is long enough.
        let page = unsafe {
            crate::real::mmap64(
                std::ptr::null_mut(),
                PAGE_BYTES,
                access,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            sys::die("the control file cannot be mapped");
        }
        sys::close(fd);
        // SAFETY: the page is mapped for as long as the process lives, and aligned; others change it only as a whole
        // number at a time.
        let numbers = unsafe { &*page.cast::<[AtomicU64; PAGE_BYTES / 8]>() };
        Control { numbers }
    }

    pub(crate) fn get(&self, place: Place) -> u64 {
        self.numbers[place as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, place: Place) {
        self.numbers[place as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one of a number of things to be done; false when there is none left.
    pub(crate) fn take(&self, place: Place) -> bool {
        let less = |number: u64| number.checked_sub(1);
        self.numbers[place as usize]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
