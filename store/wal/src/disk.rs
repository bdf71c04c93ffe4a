//! The few file operations the log makes, in one place so that tests can watch them or make them fail.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

#[cfg(feature = "simulation")]
use crate::simulation::{SimulatedDisk, SimulatedFile};

/// A file of the log that is written in place.
#[derive(Debug)]
pub(crate) struct DiskFile {
    backing: Backing,
    #[cfg(test)]
    identity: u64,
}

#[derive(Debug)]
enum Backing {
    System(File),
    #[cfg(feature = "simulation")]
    Simulated(SimulatedFile),
}

/// Every look at the directory and every change of it goes through here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    #[cfg(feature = "simulation")]
    simulated: Option<SimulatedDisk>,
    #[cfg(test)]
    observer: Option<std::sync::Arc<crate::tests::observer::Observer>>,
}

#[cfg(feature = "simulation")]
impl Disk {
    /// A disk in memory.
    pub(crate) fn simulated(disk: SimulatedDisk) -> Disk {
        Disk {
            simulated: Some(disk),
            #[cfg(test)]
            observer: None,
        }
    }
}

#[cfg(feature = "simulation")]
impl DiskFile {
    fn simulated(file: SimulatedFile) -> DiskFile {
        DiskFile {
            backing: Backing::Simulated(file),
            #[cfg(test)]
            identity: 0,
        }
    }
}

impl Disk {
    #[cfg(test)]
    pub(crate) fn observed(observer: std::sync::Arc<crate::tests::observer::Observer>) -> Disk {
        Disk {
            #[cfg(feature = "simulation")]
            simulated: None,
            observer: Some(observer),
        }
    }

    /// Makes the directory when it is missing.
    pub(crate) fn make_directory(&self, directory: &Path) -> io::Result<()> {
        #[cfg(feature = "simulation")]
        if self.simulated.is_some() {
            return Ok(());
        }
        if directory.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(directory)?;
        match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_directory(parent),
            _ => Ok(()),
        }
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return disk.exists(path);
        }
        path.exists()
    }

    /// Every path in the directory.
    pub(crate) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return Ok(disk.list(directory));
        }
        let entries = fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<DiskFile> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return disk.create(path).map(DiskFile::simulated);
        }
        #[cfg(test)]
        let identity = self
            .observer
            .as_ref()
            .map_or(Ok(0), |observer| observer.create(path))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(DiskFile {
            backing: Backing::System(file),
            #[cfg(test)]
            identity,
        })
    }

    pub(crate) fn open(&self, path: &Path) -> io::Result<DiskFile> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return disk.open(path).map(DiskFile::simulated);
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(DiskFile {
            backing: Backing::System(file),
            #[cfg(test)]
            identity: self
                .observer
                .as_ref()
                .map_or(0, |observer| observer.open(path)),
        })
    }

    pub(crate) fn write_at(&self, file: &DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        self.observe(|observer| observer.write(file.identity, bytes, offset))?;
        match &file.backing {
            Backing::System(file) => file.write_all_at(bytes, offset),
            #[cfg(feature = "simulation")]
            Backing::Simulated(file) => file.write_at(bytes, offset),
        }
    }

    /// Data and size reach the disk. After an error the file must not be trusted or synced again.
    pub(crate) fn sync(&self, file: &DiskFile) -> io::Result<()> {
        #[cfg(test)]
        self.observe(|observer| observer.sync(file.identity))?;
        if planted::is_on(planted::Bug::SyncSkipped) {
            return Ok(());
        }
        match &file.backing {
            Backing::System(file) => file.sync_data(),
            #[cfg(feature = "simulation")]
            Backing::Simulated(file) => file.sync(),
        }
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return disk.rename(from, to);
        }
        #[cfg(test)]
        self.observe(|observer| observer.rename(from, to))?;
        fs::rename(from, to)
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            return disk.remove(path);
        }
        #[cfg(test)]
        self.observe(|observer| observer.remove(path))?;
        fs::remove_file(path)
    }

    /// Created, renamed and removed names reach the disk.
    pub(crate) fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = &self.simulated {
            disk.sync_directory();
            return Ok(());
        }
        #[cfg(test)]
        self.observe(|observer| observer.sync_directory())?;
        File::open(directory)?.sync_all()
    }

    #[cfg(test)]
    fn observe(
        &self,
        event: impl FnOnce(&crate::tests::observer::Observer) -> io::Result<()>,
    ) -> io::Result<()> {
        self.observer.as_deref().map_or(Ok(()), event)
    }
}

impl DiskFile {
    pub(crate) fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.backing {
            Backing::System(file) => file.read_exact_at(out, offset),
            #[cfg(feature = "simulation")]
            Backing::Simulated(file) => file.read_at(out, offset),
        }
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        match &self.backing {
            Backing::System(file) => Ok(file.metadata()?.len()),
            #[cfg(feature = "simulation")]
            Backing::Simulated(file) => Ok(file.len()),
        }
    }

    /// The whole content.
    pub(crate) fn content(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.len()?).map_err(io::Error::other)?;
        let mut out = vec![0; length];
        self.read_at(&mut out, 0)?;
        Ok(out)
    }
}

/// Names in the log's directory.
#[derive(Debug)]
pub(crate) struct Names {
    directory: PathBuf,
}

impl Names {
    pub(crate) fn new(directory: &Path) -> Names {
        Names {
            directory: directory.to_path_buf(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn segment(&self, sequence: u64) -> PathBuf {
        self.directory.join(format!("{sequence:016x}.wal"))
    }

    /// A purged segment that waits for reuse, under the sequence it had.
    pub(crate) fn spare(&self, sequence: u64) -> PathBuf {
        self.directory.join(format!("{sequence:016x}.spare"))
    }

    /// A file being filled; it is renamed once it is whole, and removed at the next open otherwise.
    pub(crate) fn unfinished(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.unfinished"))
    }

    pub(crate) fn mark(&self) -> PathBuf {
        self.directory.join("mark")
    }
}
