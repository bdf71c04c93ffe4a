//! The picture of the disk: which file and directory is which, and what of each is durable.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dirty::Dirty;
use crate::sys::{self, Errno, Stat, must};

/// Bytes that are compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// Locks; after a panic the process is ending anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file or directory below the folder, whatever its names are.
#[derive(Debug)]
pub(crate) struct Object {
    /// `INODE.NUMBER`: the system uses inodes again, the numbers are never.
    id: String,
    pub(crate) folder: bool,
    dirty: Mutex<Dirty>,
    /// Held over a sync: nobody may be told that something is durable while another still copies it.
    syncing: Mutex<Copies>,
    gone: AtomicBool,
    /// A sync has failed in this process.
    failed: AtomicBool,
}

/// Descriptors for copying a file's bytes, opened with its first sync.
#[derive(Debug)]
struct Copies {
    from: c_int,
    to: c_int,
}

impl Drop for Object {
    fn drop(&mut self) {
        let copies = self
            .syncing
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if copies.from >= 0 {
            sys::close(copies.from);
            sys::close(copies.to);
        }
    }
}

impl Object {
    fn new(id: String, folder: bool, dirty: Dirty) -> Arc<Object> {
        Arc::new(Object {
            id,
            folder,
            dirty: Mutex::new(dirty),
            syncing: Mutex::new(Copies { from: -1, to: -1 }),
            gone: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// Notes bytes that were written. It has to be told behind the write: a sync meanwhile must not clean them.
    pub(crate) fn wrote(&self, start: u64, end: u64) {
        lock(&self.dirty).add(start, end);
    }

    /// Everything has to be compared with the next sync.
    pub(crate) fn changed_unseen(&self) {
        *lock(&self.dirty) = Dirty::Anything;
    }

    /// Whether this sync came after one that failed: whoever makes it trusts what cannot be trusted.
    pub(crate) fn look_for_retry(&self, failed: bool) -> bool {
        let before = self.failed.load(Ordering::Acquire);
        self.failed.store(before || failed, Ordering::Release);
        before
    }

    /// Syncs a file. If that fails, what was to be synced counts as clean and is not durable, as on Linux.
    pub(crate) fn sync_file(
        &self,
        shadow: &Shadow,
        fd: c_int,
        sync: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut copies = lock(&self.syncing);
        let dirty = lock(&self.dirty).take();
        sync()?;
        if self.gone.load(Ordering::Acquire) {
            return Ok(());
        }
        if copies.from < 0 {
            let own = sys::path(format!("/proc/self/fd/{fd}"));
            let durable = shadow.file(&self.id);
            // A file whose last name goes at this moment is nobody's concern any more.
            let Ok(to) = sys::open(&durable, libc::O_RDWR) else {
                return Ok(());
            };
            copies.to = to;
            copies.from = must(sys::open(&own, libc::O_RDONLY), "opening", &own);
        }
        copy(&copies, &dirty).map_err(|errno| {
            sys::die(&format!(
                "the durable copy of {} cannot be kept: error {errno}",
                self.id
            ))
        })
    }
}

/// Makes the durable copy equal to the file in what is dirty, and in its size.
fn copy(copies: &Copies, dirty: &Dirty) -> Result<(), Errno> {
    let size = |fd| sys::stat_fd(fd).map_or(0, |stat| stat.size);
    let end = size(copies.from);
    let whole = [(0, end)];
    let pieces = match dirty {
        Dirty::Anything => &whole[..],
        Dirty::Pieces(pieces) => pieces,
    };
    let mut new = vec![0; COMPARED_BYTES];
    let mut old = vec![0; COMPARED_BYTES];
    for (start, piece_end) in pieces {
        let mut at = *start;
        while at < (*piece_end).min(end) {
            let wanted = usize::try_from((*piece_end).min(end) - at)
                .unwrap_or(COMPARED_BYTES)
                .min(COMPARED_BYTES);
            let read = sys::read_at(copies.from, &mut new[..wanted], at)?;
            if read == 0 {
                break;
            }
            // A file that is compared whole is mostly the same: what is equal is not written again.
            let same = *dirty == Dirty::Anything
                && sys::read_at(copies.to, &mut old[..read], at)? == read
                && new[..read] == old[..read];
            if !same {
                sys::write_at(copies.to, &new[..read], at)?;
            }
            at += read as u64;
        }
    }
    if size(copies.to) != end {
        sys::set_size(copies.to, end)?;
    }
    Ok(())
}

/// The second folder.
#[derive(Debug)]
pub(crate) struct Shadow {
    folder: Vec<u8>,
}

/// Everything that is known by inode. Whoever changes names holds it meanwhile.
#[derive(Debug)]
pub(crate) struct Objects {
    of_inode: HashMap<u64, Arc<Object>>,
    next: u64,
}

impl Shadow {
    /// The picture that earlier processes left, or an empty one.
    pub(crate) fn open(folder: Vec<u8>, first_number: u64) -> (Shadow, Objects) {
        let shadow = Shadow { folder };
        let mut of_inode = HashMap::new();
        for (kind, folder) in [("files", false), ("dirs", true)] {
            for name in sys::list(&shadow.at(kind)) {
                let id = String::from_utf8(name).unwrap_or_default();
                let numbers = id.split_once('.');
                match numbers
                    .and_then(|(inode, number)| inode.parse().ok().zip(number.parse::<u64>().ok()))
                {
                    // What an earlier process had written may still be in no more than the system's memory.
                    Some((inode, _)) => {
                        of_inode.insert(inode, Object::new(id, folder, Dirty::Anything));
                    }
                    // The half-made list of a directory, from a process that was killed.
                    None => sys::remove_all(&shadow.at(&format!("{kind}/{id}"))),
                }
            }
        }
        (
            shadow,
            Objects {
                of_inode,
                next: first_number,
            },
        )
    }

    pub(crate) fn at(&self, name: &str) -> CString {
        sys::join(&self.folder, name.as_bytes())
    }

    fn file(&self, id: &str) -> CString {
        self.at(&format!("files/{id}"))
    }

    fn folder(&self, id: &str) -> CString {
        self.at(&format!("dirs/{id}"))
    }

    fn pending(&self, id: &str) -> CString {
        self.at(&format!("dirs/{id}/pending"))
    }

    /// A change of a directory's names that a power cut may undo.
    fn add_pending(&self, folder: &Object, words: &[&[u8]]) {
        if words
            .iter()
            .any(|word| word.contains(&b'\n') || word.contains(&b'\t'))
        {
            sys::die("a name with a tab or a line break");
        }
        let mut line = words.join(&b'\t');
        line.push(b'\n');
        sys::append(&self.pending(&folder.id), &line);
    }

    fn make_folder(&self, folder: &CStr) {
        must(sys::make_folder(folder), "making", folder);
        let entries = sys::join(folder.to_bytes(), b"entries");
        must(sys::make_folder(&entries), "making", &entries);
        let pending = sys::join(folder.to_bytes(), b"pending");
        sys::append(&pending, b"");
    }

    /// A line about an error that was made up.
    pub(crate) fn event(&self, words: &str, path: &[u8]) {
        sys::append(
            &self.at("events"),
            &[words.as_bytes(), b"\t", path, b"\n"].concat(),
        );
    }
}

impl Objects {
    fn add(&mut self, shadow: &Shadow, stat: Stat, dirty: Dirty) -> Arc<Object> {
        self.next += 1;
        let id = format!("{}.{}", stat.inode, self.next);
        if stat.is_folder() {
            shadow.make_folder(&shadow.folder(&id));
        } else {
            sys::append(&shadow.file(&id), b"");
        }
        let object = Object::new(id, stat.is_folder(), dirty);
        self.of_inode.insert(stat.inode, Arc::clone(&object));
        object
    }

    /// What the inode is; one that was never seen may hold anything, none of it durable.
    pub(crate) fn of(&mut self, shadow: &Shadow, stat: Stat) -> Arc<Object> {
        match self.of_inode.get(&stat.inode) {
            Some(object) => Arc::clone(object),
            None => self.add(shadow, stat, Dirty::Anything),
        }
    }

    fn of_folder(&mut self, shadow: &Shadow, path: &[u8]) -> Arc<Object> {
        let path = sys::path(path);
        match sys::stat(&path) {
            Some(stat) if stat.is_folder() => self.of(shadow, stat),
            _ => sys::die(&format!("{path:?} is no directory")),
        }
    }

    /// A file or directory that was just made.
    pub(crate) fn created(&mut self, shadow: &Shadow, path: &Place, stat: Stat) {
        // An inode that is used again: whatever took its last name away was not seen.
        self.retire(shadow, stat.inode);
        let object = self.add(shadow, stat, Dirty::CLEAN);
        let folder = self.of_folder(shadow, &path.folder);
        shadow.add_pending(&folder, &[b"+", object.id.as_bytes(), &path.name]);
    }

    /// Another name for a file.
    pub(crate) fn linked(&mut self, shadow: &Shadow, path: &Place, stat: Stat) {
        let object = self.of(shadow, stat);
        let folder = self.of_folder(shadow, &path.folder);
        shadow.add_pending(&folder, &[b"+", object.id.as_bytes(), &path.name]);
    }

    /// A name less.
    pub(crate) fn removed(&mut self, shadow: &Shadow, path: &Place, before: Stat) {
        let folder = self.of_folder(shadow, &path.folder);
        shadow.add_pending(&folder, &[b"-", &path.name]);
        if before.is_folder() || before.links == 1 {
            self.retire(shadow, before.inode);
        }
    }

    /// Another name in the same directory.
    pub(crate) fn renamed(
        &mut self,
        shadow: &Shadow,
        old: &Place,
        new: &Place,
        replaced: Option<Stat>,
    ) {
        if old.folder != new.folder {
            sys::die("a rename from one directory to another is not modelled");
        }
        let folder = self.of_folder(shadow, &old.folder);
        shadow.add_pending(&folder, &[b">", &old.name, &new.name]);
        if let Some(replaced) = replaced
            && (replaced.is_folder() || replaced.links == 1)
        {
            self.retire(shadow, replaced.inode);
        }
    }

    /// The last name of an inode went.
    fn retire(&mut self, shadow: &Shadow, inode: u64) {
        let Some(object) = self.of_inode.remove(&inode) else {
            return;
        };
        object.gone.store(true, Ordering::Release);
        let from = if object.folder {
            shadow.folder(&object.id)
        } else {
            shadow.file(&object.id)
        };
        let to = shadow.at(&format!("dead/{}", object.id));
        must(sys::rename(&from, &to, 0), "putting aside", &from);
    }

    /// Syncs a directory: its names are durable as they are now.
    pub(crate) fn sync_folder(
        &mut self,
        shadow: &Shadow,
        object: &Object,
        path: &[u8],
        sync: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        sync()?;
        if object.gone.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = shadow.folder(&object.id);
        let new = shadow.at(&format!("dirs/{}.new", object.id));
        sys::remove_all(&new);
        shadow.make_folder(&new);
        for name in sys::list(&sys::path(path)) {
            let Some(stat) = sys::stat(&sys::join(path, &name)) else {
                continue;
            };
            if !stat.is_file() && !stat.is_folder() {
                continue;
            }
            let entry = self.of(shadow, stat);
            let place = [new.to_bytes(), b"/entries/", &name].concat();
            let place = sys::path(place);
            if entry.folder {
                let content = sys::path(entry.id.as_bytes());
                must(sys::symlink(&content, &place), "naming", &place);
            } else {
                must(sys::link(&shadow.file(&entry.id), &place), "naming", &place);
            }
        }
        // Both lists at once: a process that is killed in between must leave one or the other.
        must(
            sys::rename(&new, &now, libc::RENAME_EXCHANGE),
            "exchanging",
            &now,
        );
        let pending = sys::read(&sys::join(new.to_bytes(), b"pending"));
        for line in pending.split(|byte| *byte == b'\n') {
            let mut words = line.split(|byte| *byte == b'\t');
            if words.next() == Some(b"+")
                && let Some(id) = words.next()
            {
                sys::remove_all(&sys::join(shadow.at("dead").to_bytes(), id));
            }
        }
        sys::remove_all(&new);
        Ok(())
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: Vec<u8>,
    pub(crate) name: Vec<u8>,
}
