//! What Linux tells about this process.

/// Size of a page of memory where `/proc/self/statm` counts pages.
const PAGE_BYTES: u64 = 4096;

/// Memory that is in RAM.
pub(super) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// Open file descriptors.
pub(super) fn open_files() -> Option<u64> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as u64)
}

/// Most file descriptors that may be open.
pub(super) fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_files() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > PAGE_BYTES));
        assert!(open_files().is_some_and(|files| files >= 3));
        assert!(open_files_max() >= open_files());
    }
}
