//! What Linux tells about this process, under the names that all programs tell it by.

use std::fs;

use crate::page::{Kind, Page};

/// Size of a page of memory where `/proc/self/statm` counts pages.
const PAGE_BYTES: u64 = 4096;
/// Linux counts the times of a process so.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes what is known; what the system does not tell is left out.
pub fn write(page: &mut Page) {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut sizes = statm.split_whitespace().map(|pages| {
        let pages: Option<u64> = pages.parse().ok();
        pages.map(|pages| pages * PAGE_BYTES)
    });
    let virtual_bytes = sizes.next().flatten();
    let resident_bytes = sizes.next().flatten();
    let times = times();
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            virtual_bytes,
        ),
        (
            "process_open_fds",
            "Number of open file descriptors.",
            open_files(),
        ),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            open_files_max(),
        ),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.single(name, help, Kind::Gauge, value);
        }
    }
    if let Some((started, computed)) = times {
        page.single(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            Kind::Gauge,
            started,
        );
        page.single(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            Kind::Counter,
            computed,
        );
    }
}

/// When this process began, in seconds since 1970, and how many seconds it has computed.
fn times() -> Option<(f64, f64)> {
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold anything; what follows its closing bracket is numbers, the third of all first.
    let numbers: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| numbers.get(field - 3)?.parse::<f64>().ok();
    let all = fs::read_to_string("/proc/stat").ok()?;
    let boot = all.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot_seconds: f64 = boot.trim().parse().ok()?;
    let started = boot_seconds + ticks(22)? / TICKS_PER_SECOND;
    Some((started, (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND))
}

fn open_files() -> Option<u64> {
    let files = fs::read_dir("/proc/self/fd").ok()?;
    Some(files.count() as u64)
}

fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_an_age_memory_and_files() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.into_text();
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap().split_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let age_seconds = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age_seconds), "{age_seconds}");
    }
}
