//! A disk in memory: it forgets or tears what was not synced when the power fails, and fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::Names;
use crate::format::{MARK_SLOT_BYTES, MarkSlot};

/// Writes reach the disk in pieces of this size, each whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Where the second slot of the high-water mark begins.
const SLOT_STRIDE_BYTES: usize = 4096;

/// A disk of one member. Clones are the same disk; it outlives the logs that were opened on it.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Model>>);

/// A file, whatever it is called by now.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedFile {
    disk: SimulatedDisk,
    number: u64,
}

/// What a power failure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerFailure {
    /// Unsynced sectors that are gone.
    pub lost_sectors: u64,
    /// Unsynced sectors that had reached the disk.
    pub kept_sectors: u64,
    /// Unsynced writes of which a part is kept.
    pub torn_writes: u64,
    /// Creations, renames and removals undone.
    pub lost_names: u64,
}

/// Names and contents as programs see them and as they are surely on disk, and what lies between.
#[derive(Debug, Default)]
struct Model {
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    full: bool,
    failing_syncs: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn change(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    match change {
        NameChange::Link(path, file) => drop(names.insert(path.clone(), *file)),
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        NameChange::Unlink(path) => drop(names.remove(path)),
    }
}

impl SimulatedDisk {
    fn lock(&self) -> MutexGuard<'_, Model> {
        self.0.lock().expect("no code under this lock panics")
    }

    /// While it is full, nothing can be made or grow.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// While set, every sync fails, and what it was for stays unsynced.
    pub fn set_failing_syncs(&self, failing: bool) {
        self.lock().failing_syncs = failing;
    }

    /// An empty disk.
    pub fn wipe(&self) {
        *self.lock() = Model::default();
    }

    /// The power fails: of what was not synced any sectors are kept, and of the names any first part of their changes.
    /// `random` returns a number below its argument.
    pub fn power_failure(&self, random: &mut dyn FnMut(usize) -> usize) -> PowerFailure {
        let mut model = self.lock();
        let mut report = PowerFailure::default();
        let pending_names = std::mem::take(&mut model.pending_names);
        let kept = random(pending_names.len() + 1);
        report.lost_names = (pending_names.len() - kept) as u64;
        let mut names = std::mem::take(&mut model.synced_names);
        for made in &pending_names[..kept] {
            change(&mut names, made);
        }
        model.names.clone_from(&names);
        model.synced_names = names;
        for content in model.files.values_mut() {
            for (offset, bytes) in std::mem::take(&mut content.pending) {
                let kept_before = report.kept_sectors;
                let lost_before = report.lost_sectors;
                let mut at = 0;
                while at < bytes.len() {
                    let to_boundary = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                    let end = bytes.len().min(at + to_boundary);
                    if random(3) > 0 {
                        put(&mut content.synced, offset + at, &bytes[at..end]);
                        report.kept_sectors += 1;
                    } else {
                        report.lost_sectors += 1;
                    }
                    at = end;
                }
                if report.kept_sectors > kept_before && report.lost_sectors > lost_before {
                    report.torn_writes += 1;
                }
            }
            content.now.clone_from(&content.synced);
        }
        let used: std::collections::BTreeSet<u64> = model.names.values().copied().collect();
        model.files.retain(|number, _| used.contains(number));
        report
    }

    /// Flips one bit of a record that the log in `directory` has acknowledged, as its high-water mark says; false when
    /// there is none. Only after a process has ended by itself, or by a kill, does the mark say all.
    pub fn flip_acknowledged_bit(
        &self,
        directory: &Path,
        random: &mut dyn FnMut(usize) -> usize,
    ) -> bool {
        let names = Names::new(directory);
        let mut model = self.lock();
        let Some(mark) = newest_mark(&model, &names) else {
            return false;
        };
        let Some(number) = model.names.get(&names.segment(mark.sequence)).copied() else {
            return false;
        };
        let content = model.files.get_mut(&number).expect("a named file exists");
        let end = (mark.end as usize).min(content.synced.len());
        if end == 0 {
            return false;
        }
        let (at, bit) = (random(end), random(8));
        content.synced[at] ^= 1 << bit;
        content.now[at] ^= 1 << bit;
        true
    }

    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.lock().names.contains_key(path)
    }

    pub(crate) fn list(&self, directory: &Path) -> Vec<PathBuf> {
        let model = self.lock();
        let paths = model.names.keys();
        paths
            .filter(|path| path.parent() == Some(directory))
            .cloned()
            .collect()
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut model = self.lock();
        if model.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = model.next_file;
        model.next_file += 1;
        model.files.insert(number, Content::default());
        model.rename_or_link(NameChange::Link(path.to_path_buf(), number));
        Ok(SimulatedFile {
            disk: self.clone(),
            number,
        })
    }

    pub(crate) fn open(&self, path: &Path) -> io::Result<SimulatedFile> {
        let number = self.lock().names.get(path).copied();
        let number = number.ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile {
            disk: self.clone(),
            number,
        })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut model = self.lock();
        if !model.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        model.rename_or_link(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut model = self.lock();
        if !model.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        model.rename_or_link(NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    pub(crate) fn sync_directory(&self) {
        let mut model = self.lock();
        model.synced_names = model.names.clone();
        model.pending_names.clear();
    }
}

impl Model {
    fn rename_or_link(&mut self, made: NameChange) {
        change(&mut self.names, &made);
        self.pending_names.push(made);
    }
}

impl SimulatedFile {
    fn with<T>(&self, work: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut model = self.disk.lock();
        let content = model.files.get_mut(&self.number);
        content
            .map(work)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let full = self.disk.lock().full;
        self.with(|content| {
            if full && offset + bytes.len() > content.now.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            put(&mut content.now, offset, bytes);
            content.pending.push((offset, bytes.to_vec()));
            Ok(())
        })?
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.disk.lock().failing_syncs {
            return Err(io::Error::other("the simulated disk fails its syncs"));
        }
        self.with(|content| {
            for (offset, bytes) in std::mem::take(&mut content.pending) {
                put(&mut content.synced, offset, &bytes);
            }
        })
    }

    pub(crate) fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|content| {
            let bytes = content.now.get(offset..offset + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })?
    }

    pub(crate) fn len(&self) -> u64 {
        self.with(|content| content.now.len() as u64).unwrap_or(0)
    }
}

/// The newer slot of the high-water mark.
fn newest_mark(model: &Model, names: &Names) -> Option<MarkSlot> {
    let content = &model.files.get(model.names.get(&names.mark())?)?.now;
    let slots = [0, SLOT_STRIDE_BYTES].map(|at| {
        let bytes = content.get(at..at + MARK_SLOT_BYTES)?;
        MarkSlot::decode(bytes).ok().flatten()
    });
    slots
        .into_iter()
        .flatten()
        .max_by_key(|slot| slot.counter)
        .filter(|slot| slot.record > 0)
}
