//! The data folder: whose it is, who has it open, and where things lie in it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::config::{ClusterState, Config};
use crate::replica::Identity;

/// Whose folder it is.
const DESCRIPTION: &str = "identity.json";
/// Present until the first log entry of a new cluster is written.
const UNINITIALIZED: &str = "uninitialized";
/// Present while a member that joined again without its old log has not caught up.
const REJOINING: &str = "rejoining";

/// Layout of the folder that this program writes.
const FORMAT: u32 = 1;

/// An open data folder; nobody else can open it while this lives.
pub(crate) struct DataFolder {
    member: PathBuf,
    wal: PathBuf,
    identity: Identity,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    cluster_id: String,
    member_id: String,
    /// It came into a cluster that was there already, which gave it its id. Flags say nothing about it.
    #[serde(default)]
    joined: bool,
}

impl DataFolder {
    /// Whether this member comes into a cluster that is there already, which then has to say who it is.
    pub(crate) fn joins(config: &Config) -> bool {
        let known = config.data_dir.join("member").join(DESCRIPTION);
        config.initial_cluster_state == ClusterState::Existing && !known.exists()
    }

    /// Opens the folder, or makes it for the member that `joins` or else the flags describe. A folder of something or
    /// somebody else is left as it is.
    pub(crate) fn open(config: &Config, joins: Option<Identity>) -> anyhow::Result<Self> {
        let member = config.data_dir.join("member");
        ensure!(
            !member.join("snap").join("db").exists(),
            "the data folder {} holds etcd's own files, which this program does not read; give another --data-dir",
            config.data_dir.display()
        );
        make_durable(&member).with_context(|| {
            format!("cannot make the data folder {}", config.data_dir.display())
        })?;
        let lock = take_lock(&member)?;
        let flags = config.initial_member().map(|me| Identity {
            cluster_id: config.cluster_id(),
            member_id: me.id,
        });
        let identity = match read_description(&member)? {
            Some(description) => {
                let stored = description.identity(&member)?;
                if let Some(flags) = flags.filter(|_| !description.joined) {
                    check_same(config, stored, flags)?;
                }
                stored
            }
            None => {
                ensure_empty(&member)?;
                let mark = match joins {
                    None => UNINITIALIZED,
                    Some(_) => REJOINING,
                };
                let identity = joins.or(flags);
                let identity = identity.context("--initial-cluster does not name this member")?;
                write_file(&member.join(mark), b"")?;
                write_description(&member, identity, joins.is_some())?;
                identity
            }
        };
        let wal = config.wal_dir.clone().unwrap_or_else(|| member.join("wal"));
        make_durable(&wal)
            .with_context(|| format!("cannot make the log folder {}", wal.display()))?;
        Ok(DataFolder {
            member,
            wal,
            identity,
            _lock: lock,
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether this member of a new cluster has not written its first log entry yet.
    pub(crate) fn may_initialize(&self) -> bool {
        self.member.join(UNINITIALIZED).exists()
    }

    /// From here on a missing log is a lost log.
    pub(crate) fn initialized(&self) -> io::Result<()> {
        fs::remove_file(self.member.join(UNINITIALIZED))?;
        File::open(&self.member)?.sync_all()
    }

    /// Whether a log without any record is what is expected here.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.may_initialize() || self.rejoin_mark().exists()
    }

    pub(crate) fn wal(&self) -> &Path {
        &self.wal
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.member.join("state")
    }

    /// Copies everything but log and state into a new data folder.
    #[cfg(feature = "simulation")]
    pub(crate) fn copy_marks(&self, data_dir: &Path) -> io::Result<()> {
        let member = data_dir.join("member");
        fs::create_dir_all(&member)?;
        for name in [DESCRIPTION, UNINITIALIZED, REJOINING] {
            let from = self.member.join(name);
            if from.exists() {
                fs::copy(from, member.join(name))?;
            }
        }
        Ok(())
    }

    /// Exists while a member that joined again without its old log has not caught up.
    pub(crate) fn rejoin_mark(&self) -> PathBuf {
        self.member.join(REJOINING)
    }
}

/// Makes a folder whose name is on disk when this returns: a power cut must not take away a folder together with what was
/// synced in it.
fn make_durable(folder: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // One that is there already may have been made by a start that did not get as far as syncing its name.
    let named_in = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").to_owned(),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    };
    for path in missing.iter().skip(1).rev().chain([&folder]) {
        match File::open(named_in(path)) {
            Ok(parent) => parent.sync_all()?,
            // A folder that this user may not read was not made by it, so neither was the name.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take_lock(member: &Path) -> anyhow::Result<File> {
    let path = member.join("LOCK");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!(
                "the data folder {} is in use by another process",
                member.display()
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn read_description(member: &Path) -> anyhow::Result<Option<Description>> {
    let path = member.join(DESCRIPTION);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let description: Description =
        serde_json::from_slice(&text).with_context(|| unreadable(member))?;
    ensure!(
        description.format == FORMAT,
        "{} has format {}, this program reads format {FORMAT}",
        path.display(),
        description.format
    );
    Ok(Some(description))
}

fn unreadable(member: &Path) -> String {
    let path = member.join(DESCRIPTION);
    format!(
        "{} does not describe a member of this program",
        path.display()
    )
}

impl Description {
    fn identity(&self, member: &Path) -> anyhow::Result<Identity> {
        let id = |hex: &str| u64::from_str_radix(hex, 16).with_context(|| unreadable(member));
        Ok(Identity {
            cluster_id: id(&self.cluster_id)?,
            member_id: id(&self.member_id)?,
        })
    }
}

/// Refuses the folder of another member of the cluster that the flags describe. Flags of a cluster whose members have
/// changed since say nothing any more.
fn check_same(config: &Config, stored: Identity, flags: Identity) -> anyhow::Result<()> {
    let folder = config.data_dir.display();
    ensure!(
        stored.cluster_id != flags.cluster_id || stored.member_id == flags.member_id,
        "the data folder {folder} belongs to member {:x}, the flags describe member {:x}; give this member's own \
         --data-dir",
        stored.member_id,
        flags.member_id
    );
    if stored.cluster_id != flags.cluster_id {
        tracing::info!(
            member_id = format_args!("{:x}", stored.member_id),
            cluster_id = format_args!("{:x}", stored.cluster_id),
            "the data folder says who this member is; the flags of the first start are not looked at"
        );
    }
    Ok(())
}

fn ensure_empty(member: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(member)? {
        let name = entry?.file_name();
        ensure!(
            ["LOCK", "identity.json.new", UNINITIALIZED, REJOINING]
                .iter()
                .any(|known| name == *known),
            "{} holds {} but no identity.json; it is not a data folder of this program",
            member.display(),
            name.display()
        );
    }
    Ok(())
}

fn write_description(member: &Path, identity: Identity, joined: bool) -> anyhow::Result<()> {
    let description = Description {
        format: FORMAT,
        cluster_id: format!("{:x}", identity.cluster_id),
        member_id: format!("{:x}", identity.member_id),
        joined,
    };
    let draft = member.join("identity.json.new");
    write_file(&draft, &serde_json::to_vec_pretty(&description)?)?;
    fs::rename(&draft, member.join(DESCRIPTION))?;
    File::open(member)?.sync_all()?;
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
