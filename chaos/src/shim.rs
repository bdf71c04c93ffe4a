//! Members behind a preloaded library that keeps what their disks hold, so that the power can be cut without privileges.
//!
//! The library is `power-shim` in `chaos/shim`, which describes the folder it keeps.

mod cut;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use cut::{Dropped, cut};

/// File name of the library.
const LIBRARY: &str = "libpower_shim.so";
/// Bytes of the page of numbers.
const CONTROL_BYTES: u64 = 4_096;

/// A number that the library looks at, by its place in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Not 0 while every write is refused with ENOSPC.
    Full = 0,
    /// Milliseconds that every sync takes longer.
    SyncDelayMs = 1,
    /// How many of the next syncs of files fail with EIO.
    SyncErrors = 2,
    /// Nanoseconds the wall clock is ahead, signed.
    ClockAheadNs = 3,
}

/// A number that the library counts, by its place in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Writes that were refused with ENOSPC.
    Refused = 8,
    /// Syncs that were delayed.
    Delayed = 9,
    /// Syncs that failed on demand.
    Failed = 10,
    /// Looks at the wall clock while it was ahead or behind.
    Shifted = 11,
    /// Syncs of files and directories.
    Syncs = 12,
}

/// One member's disk as the library sees it.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
    data: PathBuf,
    shadow: PathBuf,
    control: File,
}

impl Shim {
    /// Prepares a disk for a data folder, which is made if missing; what is in it counts as durable.
    ///
    /// # Errors
    /// When the library is not built, or a folder cannot be made.
    pub fn prepare(data: &Path, shadow: &Path) -> Result<Shim> {
        let library = library()?;
        fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
        for part in ["files", "dirs", "dead"] {
            let part = shadow.join(part);
            fs::create_dir_all(&part).with_context(|| format!("making {}", part.display()))?;
        }
        let control = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(shadow.join("control"))?;
        control.set_len(CONTROL_BYTES)?;
        Ok(Shim {
            library,
            // The library compares paths as the system gives them.
            data: data.canonicalize()?,
            shadow: shadow.canonicalize()?,
            control,
        })
    }

    /// What a process needs in its environment to run on this disk.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let text = |path: &Path| path.display().to_string();
        BTreeMap::from([
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("POWER_SHIM_FOLDER".to_owned(), text(&self.data)),
            ("POWER_SHIM_SHADOW".to_owned(), text(&self.shadow)),
        ])
    }

    /// Sets a number, for the process that runs and the ones that come after it.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn set(&self, setting: Setting, number: i64) -> Result<()> {
        let place = setting as u64 * 8;
        Ok(self.control.write_all_at(&number.to_ne_bytes(), place)?)
    }

    /// Reads a count.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub fn count(&self, counted: Counted) -> Result<u64> {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, counted as u64 * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Sets every number to 0: the disk is whole and the clock right.
    ///
    /// # Errors
    /// When the page cannot be written.
    pub fn heal(&self) -> Result<()> {
        for setting in [
            Setting::Full,
            Setting::SyncDelayMs,
            Setting::SyncErrors,
            Setting::ClockAheadNs,
        ] {
            self.set(setting, 0)?;
        }
        Ok(())
    }

    /// The files whose sync was made to fail, in their order.
    pub fn failed_files(&self) -> Vec<String> {
        self.events("failed")
    }

    /// The files that were synced again after an error, by the process that had been told of it.
    pub fn synced_again(&self) -> Vec<String> {
        self.events("again")
    }

    fn events(&self, kind: &str) -> Vec<String> {
        let events = fs::read_to_string(self.shadow.join("events")).unwrap_or_default();
        let pairs = events.lines().filter_map(|line| line.split_once('\t'));
        let paths = pairs.filter(|(one, _)| *one == kind);
        paths.map(|(_, path)| path.to_owned()).collect()
    }

    /// Where the data and what is durable of it lie.
    pub fn folders(&self) -> (PathBuf, PathBuf) {
        (self.data.clone(), self.shadow.clone())
    }
}

/// The library, which lies beside this program or in the folder of what it was built from.
fn library() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let mut looked = Vec::new();
    for folder in own.ancestors().skip(1).take(2) {
        for place in [folder.join(LIBRARY), folder.join("deps").join(LIBRARY)] {
            if place.is_file() {
                return Ok(place);
            }
            looked.push(place.display().to_string());
        }
    }
    bail!(
        "the library that stands between members and their disks is missing: build it with `cargo build --release -p \
         power-shim`, or put it beside this program; looked for at {}",
        looked.join(", ")
    )
}
