//! Watches every change a log makes to its directory, can make one fail, and rebuilds what a power failure
//! would have left of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes reach the disk in pieces of this size, each whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Observer {
    pub(crate) fail_sync: AtomicBool,
    pub(crate) fail_create: AtomicBool,
    model: Mutex<Model>,
}

/// Directory and file contents as they are surely on disk, and what is not synced yet, in order.
#[derive(Debug, Default)]
struct Model {
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    files: BTreeMap<u64, FileModel>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

#[derive(Clone, Debug, Default)]
struct FileModel {
    synced: Vec<u8>,
    pending: Vec<(u64, Vec<u8>)>,
}

fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let offset = offset as usize;
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn change(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    match change {
        NameChange::Link(path, file) => drop(names.insert(path.clone(), *file)),
        NameChange::Rename(from, to) => {
            let file = names.remove(from).expect("a renamed file has a name");
            names.insert(to.clone(), file);
        }
        NameChange::Unlink(path) => drop(names.remove(path)),
    }
}

impl Observer {
    /// Takes over a directory as it is, all of it on disk.
    pub(crate) fn adopt(directory: &Path) -> Observer {
        let mut model = Model::default();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let file = model.files.len() as u64;
            let synced = std::fs::read(&path).unwrap();
            model.files.insert(
                file,
                FileModel {
                    synced,
                    pending: Vec::new(),
                },
            );
            model.names.insert(path, file);
        }
        model.synced_names = model.names.clone();
        Observer {
            model: Mutex::new(model),
            ..Observer::default()
        }
    }

    fn name_change(&self, made: NameChange) {
        let mut model = self.model.lock().unwrap();
        change(&mut model.names, &made);
        model.pending_names.push(made);
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<u64> {
        if self.fail_create.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = {
            let mut model = self.model.lock().unwrap();
            let file = model.files.len() as u64;
            model.files.insert(file, FileModel::default());
            file
        };
        self.name_change(NameChange::Link(path.to_path_buf(), file));
        Ok(file)
    }

    /// The file of this name.
    pub(crate) fn open(&self, path: &Path) -> u64 {
        self.model.lock().unwrap().names[path]
    }

    pub(crate) fn write(&self, file: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut model = self.model.lock().unwrap();
        let file = model.files.get_mut(&file).expect("a known file");
        file.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    pub(crate) fn sync(&self, file: u64) -> io::Result<()> {
        if self.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected failure"));
        }
        let mut model = self.model.lock().unwrap();
        let file = model.files.get_mut(&file).expect("a known file");
        for (offset, bytes) in std::mem::take(&mut file.pending) {
            write(&mut file.synced, offset, &bytes);
        }
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.name_change(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.name_change(NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    pub(crate) fn sync_directory(&self) -> io::Result<()> {
        let mut model = self.model.lock().unwrap();
        model.synced_names = model.names.clone();
        model.pending_names.clear();
        Ok(())
    }

    /// Writes what a power failure now could leave into `target`: everything synced, any sectors of what was
    /// not, and any first part of the name changes. `random` returns a number below its argument.
    pub(crate) fn power_failure(&self, target: &Path, random: &mut dyn FnMut(usize) -> usize) {
        let model = self.model.lock().unwrap();
        let mut names = model.synced_names.clone();
        for made in &model.pending_names[..random(model.pending_names.len() + 1)] {
            change(&mut names, made);
        }
        for (path, file) in names {
            let file = &model.files[&file];
            let mut content = file.synced.clone();
            for (offset, bytes) in &file.pending {
                let mut at = 0;
                while at < bytes.len() {
                    let to_boundary = SECTOR_BYTES - (*offset as usize + at) % SECTOR_BYTES;
                    let end = bytes.len().min(at + to_boundary);
                    if random(3) > 0 {
                        write(&mut content, offset + at as u64, &bytes[at..end]);
                    }
                    at = end;
                }
            }
            std::fs::write(target.join(path.file_name().unwrap()), content).unwrap();
        }
    }
}
