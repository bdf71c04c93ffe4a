//! What Linux tells about this process.

/// Size of a page of memory where `/proc/self/statm` counts pages.
const PAGE_BYTES: u64 = 4096;

/// Linux counts the times of a process so.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory that is in RAM.
pub(super) fn resident_bytes() -> Option<u64> {
    memory_bytes(1)
}

/// Memory that has addresses.
pub(super) fn virtual_bytes() -> Option<u64> {
    memory_bytes(0)
}

fn memory_bytes(place: usize) -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(place)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// When this process began, and how long it has computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Since 1970.
    pub(super) start_seconds: f64,
    pub(super) on_processors_seconds: f64,
}

pub(super) fn times() -> Option<Times> {
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold anything; what follows its closing bracket is numbers, the third of all first.
    let numbers: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| numbers.get(field - 3)?.parse::<f64>().ok();
    let all = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = all.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot_seconds: f64 = boot.trim().parse().ok()?;
    Some(Times {
        start_seconds: boot_seconds + ticks(22)? / TICKS_PER_SECOND,
        on_processors_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
    })
}

/// Open file descriptors.
pub(super) fn open_files() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_files() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > PAGE_BYTES));
        assert!(open_files().is_some_and(|files| files >= 3));
        assert!(daemon::open_files_max() >= open_files());
        assert!(virtual_bytes() > resident_bytes());
        let started = times().expect("Linux tells").start_seconds;
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .expect("it is later than 1970");
        let age_seconds = now.as_secs_f64() - started;
        assert!((-2.0..3600.0).contains(&age_seconds), "{age_seconds}");
    }
}
