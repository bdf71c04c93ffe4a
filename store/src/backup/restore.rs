//! From a snapshot file of etcd's or ours to the data folder of a member of a new cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bbolt::{Database, ReadError};
use state_machine::{HashKv, Import, Options, StateMachine};

use super::auth;
use super::buckets;
use super::file::BackupFile;
use crate::config::{Config, Parsed};
use crate::data_folder::Unfinished;
use crate::raft::{self, StateFolder};
use crate::replica::Identity;

/// Bytes of rows between two words on how far it is.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What to restore, and for which member. Names are those of etcdutl's flags.
#[derive(Debug, Clone)]
pub struct Restore {
    pub snapshot: PathBuf,
    pub name: String,
    pub data_dir: PathBuf,
    /// Inside `data_dir` when not given.
    pub wal_dir: Option<PathBuf>,
    pub initial_cluster: String,
    pub initial_cluster_token: String,
    pub initial_advertise_peer_urls: String,
    /// For a file that was copied from a data folder and has no checksum.
    pub skip_hash_check: bool,
    /// Added to the newest revision, so that clients never see it fall.
    pub bump_revision: u64,
    /// Everything up to the newest revision is compacted, so that watches notice. Goes with `bump_revision`.
    pub mark_compacted: bool,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Checking { done_bytes: u64, total_bytes: u64 },
    Copying { done_bytes: u64, total_bytes: u64 },
    Replaying { done_bytes: u64, total_bytes: u64 },
    Indexing,
}

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    pub member_id: u64,
    pub cluster_id: u64,
    pub revision: i64,
    pub keys: u64,
    pub hash: HashKv,
}

/// Makes the data folder. Every member of the new cluster restores the same file; none needs the others for it. What is
/// not finished is removed, and nothing starts on it.
///
/// # Errors
/// When the flags contradict one another, a folder is in use, or the file is damaged or not what it seems.
pub fn restore(restore: &Restore, progress: impl FnMut(Progress)) -> anyhow::Result<Restored> {
    restore_and(restore, None, progress)
}

/// Where the log goes on that is replayed on what a file held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) revision: i64,
}

/// Changes the state in a folder after it was imported, and before it becomes a member's; its new revision.
pub(crate) type Replay<'a> =
    &'a mut dyn FnMut(&Path, Start, &mut dyn FnMut(Progress)) -> anyhow::Result<i64>;

/// The same, with a log replayed on what the file holds.
pub(crate) fn restore_and(
    restore: &Restore,
    replay: Option<Replay<'_>>,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<Restored> {
    ensure!(
        restore.mark_compacted == (restore.bump_revision > 0),
        "--mark-compacted required if --revision-bump > 0"
    );
    let config = config(restore)?;
    let member_id = config
        .initial_member()
        .context("--initial-cluster does not name this member")?
        .id;
    let identity = Identity {
        cluster_id: config.cluster_id(),
        member_id,
    };
    let unreadable = || format!("cannot restore {}", restore.snapshot.display());
    let backup = BackupFile::open(&restore.snapshot)?;
    let total_bytes = backup.database_bytes;
    if !restore.skip_hash_check {
        let checked = backup.verify(|done_bytes| {
            progress(Progress::Checking {
                done_bytes,
                total_bytes,
            });
        });
        checked.with_context(unreadable)?;
    }
    let database = Database::open(&backup.file, total_bytes).with_context(unreadable)?;
    let folder = Unfinished::begin(&config)?;
    let state = StateFolder::prepare(&folder.state())?;
    let mut copied = |done_bytes| {
        progress(Progress::Copying {
            done_bytes,
            total_bytes,
        });
    };
    let mut imported = import(&database, &state, &mut copied).with_context(unreadable)?;
    if let Some(replay) = replay {
        imported = replayed(imported, (&database, &state), replay, &mut progress)?;
    }
    let revision = conclude(imported, (restore, &config))?;
    raft::found_log(folder.wal(), member_id, log_index(revision))?;
    progress(Progress::Indexing);
    let (keys, hash) = look_at(&state).with_context(unreadable)?;
    folder.finish(identity)?;
    Ok(Restored {
        member_id,
        cluster_id: identity.cluster_id,
        revision,
        keys,
        hash,
    })
}

/// Checks the flags as the start of a member would.
fn config(restore: &Restore) -> anyhow::Result<Config> {
    let mut flags = vec![
        format!("--name={}", restore.name),
        format!("--initial-cluster={}", restore.initial_cluster),
        format!("--initial-cluster-token={}", restore.initial_cluster_token),
        format!(
            "--initial-advertise-peer-urls={}",
            restore.initial_advertise_peer_urls
        ),
        format!("--data-dir={}", restore.data_dir.display()),
    ];
    if let Some(wal_dir) = &restore.wal_dir {
        flags.push(format!("--wal-dir={}", wal_dir.display()));
    }
    let Parsed::Run(config) = Config::parse(flags, [])? else {
        bail!("the flags describe no member");
    };
    config.verify_bootstrap()?;
    Ok(*config)
}

/// Where the log of the new cluster begins. Taken from the revision, so that a member that was restored from an older file
/// by mistake is behind, and not taken for an equal.
fn log_index(revision: i64) -> u64 {
    revision.unsigned_abs()
}

/// The database in a file.
pub(super) type Source<'a> = Database<'a, std::fs::File>;

/// Visits the keys of a bucket, if there is one.
pub(super) fn visit(
    database: &Source<'_>,
    bucket: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut cursor = match database.bucket(bucket) {
        Err(ReadError::NoBucket(_)) => return Ok(()),
        cursor => cursor?,
    };
    while let Some(entry) = cursor.next()? {
        each(entry.key, entry.value)?;
    }
    Ok(())
}

/// A state that has everything but its marks.
struct Imported {
    import: Import,
    revision: i64,
    compact_revision: Option<i64>,
}

/// Copies rows, leases and users into a new state.
fn import(
    database: &Source<'_>,
    state: &Path,
    copied: impl FnMut(u64),
) -> anyhow::Result<Imported> {
    let mut import = Import::create(state, &Options::default())?;
    import_rows(database, &mut import, copied)?;
    import_leases(database, &mut import)?;
    import.auth(&auth::read(database)?);
    let compact_revision = compact_revision(database)?;
    // A key that was deleted last leaves no row when that is compacted.
    let revision = import.newest_revision().max(compact_revision.unwrap_or(0));
    Ok(Imported {
        import,
        revision,
        compact_revision,
    })
}

/// Replays a log on what was imported. Alarms count while it is: a write that one of them refused is refused again.
fn replayed(
    mut imported: Imported,
    (database, state): (&Source<'_>, &Path),
    replay: Replay<'_>,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<Imported> {
    import_alarms(database, &mut imported.import)?;
    let start = Start {
        term: number_of_meta(database, buckets::TERM)?,
        index: number_of_meta(database, buckets::CONSISTENT_INDEX)?,
        revision: imported.revision,
    };
    let mark = raft::bare_mark(start.term, start.index)?;
    let Imported {
        import,
        revision,
        compact_revision,
    } = imported;
    import.finish(revision, compact_revision, &mark)?;
    let revision = replay(state, start, progress)?;
    Ok(Imported {
        import: Import::reopen(state, &Options::default())?,
        revision,
        compact_revision: None,
    })
}

/// Makes it the state of a member of the new cluster; its revision.
fn conclude(imported: Imported, (restore, config): (&Restore, &Config)) -> anyhow::Result<i64> {
    let Imported {
        import,
        mut revision,
        mut compact_revision,
    } = imported;
    if restore.mark_compacted {
        revision = i64::try_from(restore.bump_revision)
            .ok()
            .and_then(|bump| revision.checked_add(bump))
            .context("--bump-revision leads beyond the largest revision")?;
        compact_revision = Some(revision);
    }
    let mark = raft::founding_mark(config.initial_peer_urls(), log_index(revision))?;
    import.finish(revision, compact_revision, &mark)?;
    Ok(revision)
}

fn import_rows(
    database: &Source<'_>,
    import: &mut Import,
    mut copied: impl FnMut(u64),
) -> anyhow::Result<()> {
    let (mut done_bytes, mut told_bytes) = (0, 0);
    let mut rows = database.bucket(buckets::KEY)?;
    while let Some(row) = rows.next()? {
        import.row(row.key, row.value)?;
        done_bytes += (row.key.len() + row.value.len()) as u64;
        if done_bytes >= told_bytes + PROGRESS_BYTES {
            told_bytes = done_bytes;
            copied(done_bytes);
        }
    }
    Ok(())
}

fn import_alarms(database: &Source<'_>, import: &mut Import) -> anyhow::Result<()> {
    visit(database, buckets::ALARM, |key, _empty| {
        let (member, kind) = buckets::decode_alarm(key)
            .with_context(|| format!("the alarm {key:?} cannot be read"))?;
        import.alarm(member, kind);
        Ok(())
    })
}

/// One of raft's numbers in a file.
fn number_of_meta(database: &Source<'_>, wanted: &[u8]) -> anyhow::Result<u64> {
    let mut number = None;
    visit(database, buckets::META, |name, value| {
        if name == wanted {
            number = value.try_into().ok().map(u64::from_be_bytes);
        }
        Ok(())
    })?;
    number.with_context(|| {
        let name = String::from_utf8_lossy(wanted);
        format!("the snapshot does not say its {name}")
    })
}

fn import_leases(database: &Source<'_>, import: &mut Import) -> anyhow::Result<()> {
    visit(database, buckets::LEASE, |key, value| {
        let lease = buckets::decode_lease(value)
            .filter(|lease| lease.id.to_be_bytes() == *key)
            .with_context(|| format!("the record of lease {key:?} cannot be read"))?;
        import.lease(&lease);
        Ok(())
    })
}

/// A compaction counts from when it was scheduled, whether or not etcd had carried it out.
fn compact_revision(database: &Source<'_>) -> anyhow::Result<Option<i64>> {
    let mut newest = None;
    visit(database, buckets::META, |name, value| {
        if [buckets::FINISHED_COMPACTION, buckets::SCHEDULED_COMPACTION].contains(&name) {
            let (main, _) = buckets::parse_revision_name(value)
                .filter(|(main, _)| *main >= 0)
                .with_context(|| format!("{} is no revision", String::from_utf8_lossy(name)))?;
            newest = newest.max(Some(main));
        }
        Ok(())
    })?;
    Ok(newest.filter(|revision| *revision > 0))
}

/// Opens what was restored, as the start of the member will, and makes what it holds the beginning of its digest.
fn look_at(state: &Path) -> anyhow::Result<(u64, HashKv)> {
    let machine = StateMachine::open(state, &Options::default())?;
    let hash = machine
        .hash_kv(0)
        .map_err(|rejection| anyhow::anyhow!("cannot hash what was restored: {rejection:?}"))?;
    let (keys, all) = (machine.key_count(), machine.hash_beside(hash));
    drop(machine);
    Import::sign(state, &Options::default(), all)?;
    Ok((keys, hash))
}
