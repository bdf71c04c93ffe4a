//! Cuts the power: makes a data folder what a disk would hold, with the unsynced part of it surviving by chance.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::ops::AddAssign;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::random::Random;

/// Bytes that survive or not together.
const PAGE_BYTES: usize = 4_096;
/// Bytes that are compared at a time, a number of whole pages.
const PIECE_BYTES: usize = 256 * PAGE_BYTES;
/// RocksDB's log for people: never synced, and nothing depends on it.
const UNIMPORTANT: &str = "LOG";

/// What a power cut took, and what it left although it was not synced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Unsynced pages of 4 KiB that were lost, by the kind of file.
    pub pages: BTreeMap<String, u64>,
    /// Unsynced pages that survived.
    pub kept_pages: u64,
    /// Files whose unsynced size was lost.
    pub sizes: u64,
    /// Unsynced changes of names that were lost.
    pub names: u64,
    /// Unsynced changes of names that survived.
    pub kept_names: u64,
}

impl Dropped {
    /// Lost pages and names, apart from those of files that nothing depends on.
    pub fn weight(&self) -> u64 {
        let pages = self.pages.iter().filter(|(kind, _)| *kind != UNIMPORTANT);
        pages.map(|(_, count)| count).sum::<u64>() + self.names
    }
}

impl AddAssign<&Dropped> for Dropped {
    fn add_assign(&mut self, other: &Dropped) {
        for (kind, count) in &other.pages {
            *self.pages.entry(kind.clone()).or_default() += count;
        }
        self.kept_pages += other.kept_pages;
        self.sizes += other.sizes;
        self.names += other.names;
        self.kept_names += other.kept_names;
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost: u64 = self.pages.values().sum();
        write!(
            f,
            "{lost} of {} unsynced pages lost",
            lost + self.kept_pages
        )?;
        let kinds: Vec<String> = self
            .pages
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        if !kinds.is_empty() {
            write!(f, " ({})", kinds.join(", "))?;
        }
        write!(
            f,
            ", {} unsynced sizes, {} of {} unsynced names",
            self.sizes,
            self.names,
            self.names + self.kept_names
        )
    }
}

/// Cuts the power of a member whose process has ended. Every change that was synced is there afterwards; the names that
/// were not survive up to some point in their order, directory by directory, and pages and sizes each by chance.
///
/// # Errors
/// When a folder cannot be read or written, or the shadow does not fit the data.
pub fn cut(data: &Path, shadow: &Path, random: &mut Random) -> Result<Dropped> {
    let root = fs::metadata(data).with_context(|| format!("reading {}", data.display()))?;
    let mut cutter = Cutter {
        shadow,
        next: shadow.join("next"),
        live: HashMap::new(),
        ids: HashMap::new(),
        placed: HashMap::new(),
        numbers: 0,
        dropped: Dropped::default(),
        random,
    };
    find_live(data, &mut cutter.live)?;
    let root_id = cutter.read_ids(root.ino())?;
    let restored = data.with_extension("restored");
    for folder in [&restored, &cutter.next] {
        remove_if_there(folder)?;
    }
    for part in ["files", "dirs", "dead"] {
        fs::create_dir_all(cutter.next.join(part))?;
    }
    cutter.folder(&root_id, &restored)?;
    fs::remove_dir_all(data)?;
    fs::rename(&restored, data)?;
    for part in ["files", "dirs", "dead"] {
        fs::remove_dir_all(shadow.join(part))?;
        fs::rename(cutter.next.join(part), shadow.join(part))?;
    }
    fs::remove_dir(&cutter.next)?;
    Ok(cutter.dropped)
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Every file of the data folder by its inode.
fn find_live(folder: &Path, live: &mut HashMap<u64, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_live(&entry.path(), live)?;
        } else {
            live.insert(entry.metadata()?.ino(), entry.path());
        }
    }
    Ok(())
}

/// What a durable name stands for.
#[derive(Debug, Clone)]
enum Entry {
    /// A directory by its id.
    Folder(String),
    /// A file by its durable copy.
    File(PathBuf),
}

struct Cutter<'a> {
    shadow: &'a Path,
    /// The shadow of what is left.
    next: PathBuf,
    /// What was written, by inode.
    live: HashMap<u64, PathBuf>,
    /// The id of a durable copy that still has a file, by the copy's own inode.
    ids: HashMap<u64, String>,
    /// Files that have been put into the new folder, by the inode of their copy: where, and their copy's new name.
    placed: HashMap<u64, (PathBuf, PathBuf)>,
    numbers: u64,
    dropped: Dropped,
    random: &'a mut Random,
}

impl Cutter<'_> {
    /// Finds the copies of files that have a name now; gives the id of the root.
    fn read_ids(&mut self, root: u64) -> Result<String> {
        for entry in fs::read_dir(self.shadow.join("files"))? {
            let entry = entry?;
            let id = entry.file_name().to_string_lossy().into_owned();
            self.ids.insert(entry.metadata()?.ino(), id);
        }
        let start = format!("{root}.");
        for entry in fs::read_dir(self.shadow.join("dirs"))? {
            let id = entry?.file_name().to_string_lossy().into_owned();
            if id.starts_with(&start) && !id.ends_with(".new") {
                return Ok(id);
            }
        }
        bail!("the shadow does not know the data folder: no process has run on it")
    }

    /// Where something of a kind is kept, with a name or without one any more.
    fn kept(&self, kind: &str, id: &str) -> Option<PathBuf> {
        let places = [
            self.shadow.join(kind).join(id),
            self.shadow.join("dead").join(id),
        ];
        places.into_iter().find(|place| place.exists())
    }

    /// The names of a directory after the cut.
    fn entries(&mut self, id: &str) -> Result<BTreeMap<String, Entry>> {
        let folder = self
            .kept("dirs", id)
            .with_context(|| format!("the shadow has no directory {id}"))?;
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(folder.join("entries"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let found = if entry.file_type()?.is_symlink() {
                let id = fs::read_link(entry.path())?;
                Entry::Folder(id.to_string_lossy().into_owned())
            } else {
                Entry::File(entry.path())
            };
            entries.insert(name, found);
        }
        let pending = fs::read_to_string(folder.join("pending"))?;
        let changes: Vec<&str> = pending.lines().collect();
        let survive = self.how_many(changes.len() as u64);
        self.dropped.kept_names += survive;
        self.dropped.names += changes.len() as u64 - survive;
        for change in changes.iter().take(usize::try_from(survive)?) {
            self.apply(change, &mut entries)?;
        }
        Ok(entries)
    }

    /// How many of so many changes survive: none and all are as likely as anything between.
    fn how_many(&mut self, all: u64) -> u64 {
        match self.random.below(3) {
            0 => 0,
            1 => all,
            _ => self.random.between(0, all),
        }
    }

    fn apply(&self, change: &str, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
        let words: Vec<&str> = change.split('\t').collect();
        match words[..] {
            ["+", id, name] => {
                let found = if self.shadow.join("dirs").join(id).exists() {
                    Entry::Folder(id.to_owned())
                } else {
                    let kept = self.kept("files", id);
                    let kept = kept.with_context(|| format!("the shadow has nothing of {id}"))?;
                    if kept.is_dir() {
                        Entry::Folder(id.to_owned())
                    } else {
                        Entry::File(kept)
                    }
                };
                entries.insert(name.to_owned(), found);
            }
            ["-", name] => drop(entries.remove(name)),
            [">", old, new] => {
                if let Some(entry) = entries.remove(old) {
                    entries.insert(new.to_owned(), entry);
                }
            }
            _ => bail!("the shadow holds a line that nobody reads: {change:?}"),
        }
        Ok(())
    }

    /// Makes a directory as it is after the cut; gives its id in the new shadow.
    fn folder(&mut self, id: &str, target: &Path) -> Result<String> {
        let entries = self.entries(id)?;
        fs::create_dir(target).with_context(|| format!("making {}", target.display()))?;
        fs::set_permissions(target, Permissions::from_mode(0o700))?;
        let new_id = self.new_id(fs::metadata(target)?.ino());
        let folder = self.next.join("dirs").join(&new_id);
        fs::create_dir_all(folder.join("entries"))?;
        fs::write(folder.join("pending"), "")?;
        for (name, entry) in entries {
            let durable = folder.join("entries").join(&name);
            match entry {
                Entry::Folder(id) => symlink(self.folder(&id, &target.join(&name))?, durable)?,
                Entry::File(copy) => {
                    let copy = self.file(&copy, &target.join(&name))?;
                    fs::hard_link(copy, durable)?;
                }
            }
        }
        Ok(new_id)
    }

    fn new_id(&mut self, inode: u64) -> String {
        self.numbers += 1;
        format!("{inode}.{}", self.numbers)
    }

    /// Makes a file as it is after the cut; gives its durable copy in the new shadow.
    fn file(&mut self, copy: &Path, target: &Path) -> Result<PathBuf> {
        let key = fs::metadata(copy)?.ino();
        if let Some((file, new_copy)) = self.placed.get(&key) {
            fs::hard_link(file, target)?;
            return Ok(new_copy.clone());
        }
        let id = self.ids.get(&key);
        let inode = id.and_then(|id| id.split('.').next()?.parse::<u64>().ok());
        match inode.and_then(|inode| self.live.get(&inode)) {
            Some(live) => {
                fs::hard_link(live, target)?;
                self.tear(target, copy)?;
            }
            // It lost its name, and the loss of the name is lost: only what was synced can come back.
            None => drop(fs::copy(copy, target)?),
        }
        let new_id = self.new_id(fs::metadata(target)?.ino());
        let new_copy = self.next.join("files").join(new_id);
        fs::hard_link(copy, &new_copy)?;
        self.placed
            .insert(key, (target.to_owned(), new_copy.clone()));
        Ok(new_copy)
    }

    /// Decides page by page which of what was written survives, and makes file and durable copy the same.
    fn tear(&mut self, file: &Path, copy: &Path) -> Result<()> {
        let open = |path: &Path| File::options().read(true).write(true).open(path);
        let (written, durable) = (open(file)?, open(copy)?);
        let sizes = (written.metadata()?.len(), durable.metadata()?.len());
        // Of some files all is lost or all survives, of others a half.
        let percent = *self.random.pick(&[0, 50, 50, 100]);
        let mut size = sizes.0;
        if sizes.0 != sizes.1 && !self.random.percent(percent) {
            self.dropped.sizes += 1;
            size = sizes.1;
        }
        let (mut lost, mut at) = (0, 0);
        let (mut new, mut old) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
        while at < sizes.0.max(sizes.1) {
            read_or_zeros(&written, &mut new, at)?;
            read_or_zeros(&durable, &mut old, at)?;
            let pages = new.chunks(PAGE_BYTES).zip(old.chunks(PAGE_BYTES));
            for (number, (new, old)) in pages.enumerate().filter(|(_, (new, old))| new != old) {
                let place = at + (number * PAGE_BYTES) as u64;
                if place < size && self.random.percent(percent) {
                    self.dropped.kept_pages += 1;
                    durable.write_all_at(new, place)?;
                } else {
                    lost += 1;
                    written.write_all_at(old, place)?;
                }
            }
            at += PIECE_BYTES as u64;
        }
        written.set_len(size)?;
        durable.set_len(size)?;
        if lost > 0 {
            *self.dropped.pages.entry(kind_of(file)).or_default() += lost;
        }
        Ok(())
    }
}

/// Fills the piece from a place on; behind the end there are zeros.
fn read_or_zeros(file: &File, piece: &mut [u8], at: u64) -> Result<()> {
    let mut filled = 0;
    while filled < piece.len() {
        let read = file.read_at(&mut piece[filled..], at + filled as u64)?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    piece[filled..].fill(0);
    Ok(())
}

/// Files of one kind have one ending, or one beginning before a number.
fn kind_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.rsplit_once('.') {
        Some((start, _)) if start == UNIMPORTANT || start.starts_with("LOG.old") => {
            UNIMPORTANT.to_owned()
        }
        Some((_, ending)) => ending.to_owned(),
        None => name.split('-').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files_are_told_by_ending_or_beginning() {
        let kind = |name: &str| kind_of(Path::new(name));
        assert_eq!(kind("state/0/000012.sst"), "sst");
        assert_eq!(kind("MANIFEST-000005"), "MANIFEST");
        assert_eq!(kind("wal/mark"), "mark");
        assert_eq!(kind("LOG"), UNIMPORTANT);
        assert_eq!(kind("LOG.old.1795"), UNIMPORTANT);
    }

    #[test]
    fn lines_for_people_weigh_nothing() {
        let mut dropped = Dropped::default();
        dropped.pages.insert(UNIMPORTANT.to_owned(), 9);
        assert_eq!(dropped.weight(), 0);
        let mut more = Dropped::default();
        more.pages.insert("wal".to_owned(), 2);
        more.names = 3;
        dropped += &more;
        assert_eq!(dropped.weight(), 5);
    }
}
