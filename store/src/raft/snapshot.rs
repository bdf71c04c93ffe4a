//! Where the state machine's files live, and how one set replaces another.
//!
//! `<data>/state/CURRENT` names the folder in use. A snapshot of the leader is received into a folder of its own
//! beside it; only when it is whole and synced does `CURRENT` change.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use state_machine::{Options, StateMachine};

const CURRENT: &str = "CURRENT";
/// The first folder of a state.
const FIRST: &str = "0";
/// Files without a name of their own for long; one is left when the process ends in between.
const SCRATCH: &str = "scratch";

/// The state machine in use and the folder that holds it.
pub(crate) struct StateFolder {
    root: PathBuf,
    options: Options,
    machine: RwLock<Arc<StateMachine>>,
    next: AtomicU64,
    /// Replaced states whose readers may not be done yet.
    retired: Mutex<Vec<(Weak<StateMachine>, PathBuf)>>,
}

/// Files of a snapshot; the folder goes with the last handle, unless it was adopted.
#[derive(Debug)]
pub(crate) struct SnapshotFiles {
    dir: Option<PathBuf>,
}

impl SnapshotFiles {
    pub(crate) fn at(dir: PathBuf) -> Self {
        SnapshotFiles { dir: Some(dir) }
    }

    /// Stands for a snapshot that was only made durable, not copied.
    pub(crate) fn none() -> Self {
        SnapshotFiles { dir: None }
    }

    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

impl Drop for SnapshotFiles {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir
            && let Err(error) = fs::remove_dir_all(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove a snapshot's files");
        }
    }
}

impl StateFolder {
    /// Opens the state below `root`, made when missing, and clears what an interrupted transfer left.
    pub(crate) fn open(root: &Path, options: Options) -> anyhow::Result<Self> {
        fs::create_dir_all(root)?;
        let name = match fs::read_to_string(root.join(CURRENT)) {
            Ok(name) => name.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_current(root, FIRST)?;
                FIRST.to_owned()
            }
            Err(error) => return Err(error.into()),
        };
        let number: u64 = name.parse().map_err(|_bad| {
            anyhow::anyhow!("{} holds no folder's name", root.join(CURRENT).display())
        })?;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name() != Some(name.as_ref()) {
                fs::remove_dir_all(path)?;
            } else if path.extension() == Some(SCRATCH.as_ref()) {
                fs::remove_file(path)?;
            }
        }
        let machine = StateMachine::open(&root.join(&name), &options)?;
        // What is flushed leaves the raft log, so the names on the way to it have to be on disk as well.
        for folder in [Some(root), root.parent()].into_iter().flatten() {
            File::open(folder)?.sync_all()?;
        }
        Ok(StateFolder {
            root: root.to_owned(),
            options,
            machine: RwLock::new(Arc::new(machine)),
            next: AtomicU64::new(number + 1),
            retired: Mutex::default(),
        })
    }

    pub(crate) fn machine(&self) -> Arc<StateMachine> {
        Arc::clone(&self.machine.read())
    }

    /// Writes what a crash now would leave of the state into `root`, which must not exist.
    #[cfg(feature = "simulation")]
    pub(crate) fn copy_durable(&self, root: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(root)?;
        self.machine().link_durable(&root.join(FIRST))?;
        Ok(write_current(root, FIRST)?)
    }

    /// An empty file on the disk of the state. It has no name, so it goes with its last handle, whatever happens.
    pub(crate) fn scratch_file(&self) -> io::Result<File> {
        let path = self.new_place().with_extension(SCRATCH);
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Makes the root of a state that does not exist yet; where its files belong.
    pub(crate) fn prepare(root: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(root)?;
        write_current(root, FIRST)?;
        Ok(root.join(FIRST))
    }

    /// A new empty place below the root, for a checkpoint or a received snapshot. Not created.
    pub(crate) fn new_place(&self) -> PathBuf {
        self.root
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Makes the received files the state of this replica. The old state goes when its last reader is done.
    pub(crate) fn adopt(&self, mut files: SnapshotFiles) -> anyhow::Result<Arc<StateMachine>> {
        let dir = files
            .dir
            .clone()
            .ok_or_else(|| anyhow::anyhow!("a snapshot without files"))?;
        let machine = Arc::new(StateMachine::open(&dir, &self.options)?);
        let name = dir
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let old = fs::read_to_string(self.root.join(CURRENT))?;
        write_current(&self.root, &name)?;
        files.dir = None;
        let replaced = std::mem::replace(&mut *self.machine.write(), Arc::clone(&machine));
        self.retired
            .lock()
            .push((Arc::downgrade(&replaced), self.root.join(old.trim())));
        Ok(machine)
    }

    /// Removes the files of replaced states that nobody reads any more.
    pub(crate) fn remove_retired(&self) {
        self.retired.lock().retain(|(machine, dir)| {
            if machine.strong_count() > 0 {
                return true;
            }
            if let Err(error) = fs::remove_dir_all(dir) {
                tracing::warn!(%error, "cannot remove a replaced state; the next start will");
            }
            false
        });
    }
}

fn write_current(root: &Path, name: &str) -> io::Result<()> {
    let draft = root.join("CURRENT.new");
    let mut file = File::create(&draft)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, root.join(CURRENT))?;
    File::open(root)?.sync_all()
}
