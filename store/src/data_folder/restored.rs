//! A data folder that a restore fills: nothing starts on it before it is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::{RESTORING, make_durable, take_lock, write_description, write_file};
use crate::config::Config;
use crate::replica::Identity;

/// Removed again when it is dropped before it is finished.
pub(crate) struct Unfinished {
    member: PathBuf,
    wal: PathBuf,
    /// What was not there before.
    made: Vec<PathBuf>,
    is_finished: bool,
    _lock: File,
}

impl Unfinished {
    /// Makes the folders that the flags name. etcd's texts where it has one.
    pub(crate) fn begin(config: &Config) -> anyhow::Result<Unfinished> {
        let data_dir = &config.data_dir;
        let member = data_dir.join("member");
        ensure!(
            !member.join(RESTORING).exists(),
            "data-dir {data_dir:?} holds what a restore that was cut off left; remove it and restore again"
        );
        let had_data_dir = match fs::read_dir(data_dir).map(Iterator::count) {
            Ok(0) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            _ => bail!("data-dir {data_dir:?} not empty or could not be read"),
        };
        let wal = config.wal_dir.clone();
        if let Some(wal) = wal.as_ref().filter(|wal| wal.exists()) {
            bail!("wal-dir {wal:?} exists");
        }
        let mut made = vec![if had_data_dir {
            member.clone()
        } else {
            data_dir.clone()
        }];
        made.extend(wal.clone());
        let wal = wal.unwrap_or_else(|| member.join("wal"));
        let lock = fill(&member, &wal).inspect_err(|_| remove(&made))?;
        Ok(Unfinished {
            member,
            wal,
            made,
            is_finished: false,
            _lock: lock,
        })
    }

    /// Where the state belongs.
    pub(crate) fn state(&self) -> PathBuf {
        self.member.join("state")
    }

    /// Where the log belongs.
    pub(crate) fn wal(&self) -> &Path {
        &self.wal
    }

    /// Makes it the folder of a member.
    pub(crate) fn finish(mut self, identity: Identity) -> anyhow::Result<()> {
        for folder in [&self.state(), &self.wal] {
            File::open(folder)?.sync_all()?;
        }
        write_description(&self.member, identity, false)?;
        fs::remove_file(self.member.join(RESTORING))?;
        File::open(&self.member)?.sync_all()?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            remove(&self.made);
        }
    }
}

fn fill(member: &Path, wal: &Path) -> anyhow::Result<File> {
    make_durable(member)
        .with_context(|| format!("cannot make the data folder {}", member.display()))?;
    let lock = take_lock(member)?;
    write_file(&member.join(RESTORING), b"")?;
    File::open(member)?.sync_all()?;
    make_durable(wal).with_context(|| format!("cannot make the log folder {}", wal.display()))?;
    Ok(lock)
}

/// The mark goes last, so that what cannot be removed is never taken for a data folder.
fn remove(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        if let Err(error) = remove_but_mark(folder)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "cannot remove an unfinished restore");
        }
    }
}

fn remove_but_mark(folder: &Path) -> io::Result<()> {
    let member = folder.join("member");
    let member = if member.is_dir() { &member } else { folder };
    for entry in fs::read_dir(member)? {
        let path = entry?.path();
        if path.file_name() == Some(RESTORING.as_ref()) {
            continue;
        }
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    fs::remove_dir_all(folder)
}
