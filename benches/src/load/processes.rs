//! What the measured processes used: processor time, memory and bytes written, from /proc.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

/// Length of one tick of /proc/PID/stat; USER_HZ is 100 on Linux.
const TICK_MILLIS: u64 = 10;
const TICK: Duration = Duration::from_millis(TICK_MILLIS);

/// Counters of a process since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_bytes: u64,
    pub written_bytes: u64,
}

/// Reads the counters of a process.
pub fn usage(pid: u32) -> Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let stat = read("stat")?;
    // The second field is the command in brackets and may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("malformed stat")?;
    let ticks = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u32>);
    let ticks: u32 = ticks.sum::<Result<u32, _>>().context("malformed stat")?;
    Ok(Usage {
        cpu: TICK * ticks,
        resident_bytes: line(&read("status")?, "VmRSS:").unwrap_or(0) * 1024,
        written_bytes: line(&read("io")?, "write_bytes:").unwrap_or(0),
    })
}

/// Memory of a process in which what several share is divided among them.
pub fn proportional_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kilobytes = line(&text, "Pss:").with_context(|| format!("{path} has no Pss"))?;
    Ok(kilobytes * 1024)
}

/// Processes that the first thread of a process started.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let children = text.split_ascii_whitespace().map(str::parse);
    Ok(children.collect::<Result<_, _>>()?)
}

/// Processor time that the whole machine has been busy for since it started, what it was denied by others on its host included.
pub fn machine_cpu() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let fields = text.lines().next().context("malformed stat")?;
    let ticks = fields.split_ascii_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    let &[
        user,
        nice,
        system,
        _idle,
        _waiting,
        interrupts,
        soft,
        stolen,
    ] = ticks.as_slice()
    else {
        bail!("malformed stat");
    };
    let busy = user + nice + system + interrupts + soft + stolen;
    Ok(Duration::from_millis(busy * TICK_MILLIS))
}

fn line(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Bytes written so far to the device that holds `path`, by whomever. Unlike a process's own count this is what reached
/// the device: that one counts whole folios of the page cache, a megabyte for a small write into a preallocated file.
pub fn device_written_bytes(path: &Path) -> Result<u64> {
    const SECTOR: u64 = 512;
    const SECTORS_WRITTEN: usize = 6;
    let device = fs::metadata(path)
        .with_context(|| format!("no {}", path.display()))?
        .dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = format!("/sys/dev/block/{major}:{minor}/stat");
    let text = fs::read_to_string(&stat).with_context(|| format!("cannot read {stat}"))?;
    let sectors = text
        .split_ascii_whitespace()
        .nth(SECTORS_WRITTEN)
        .context("malformed stat")?;
    Ok(sectors.parse::<u64>().context("malformed stat")? * SECTOR)
}

/// Processor time of the calling thread; the generator has only one.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_busier_than_the_own_process() {
        let own = usage(std::process::id()).unwrap().cpu;
        assert!(machine_cpu().unwrap() > own);
    }

    #[test]
    fn the_own_process_uses_memory() {
        assert!(usage(std::process::id()).unwrap().resident_bytes > 100_000);
        assert!(usage(u32::MAX).is_err());
    }
}
