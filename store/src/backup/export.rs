//! From a running store to etcd's database.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bbolt::{WriteError, Writer};
use prost::Message;
use sha2::{Digest, Sha256};
use state_machine::{AlarmKind, Fatal, Image};

use super::auth;
use super::buckets::{self, AlarmRecord, ConfStateRecord, DowngradeRecord, MemberRecord, Pair};
use crate::grpc::version;
use crate::raft::{self, Standing};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// Bytes between two looks at the disk's free space.
const LOOK_BYTES: u64 = 16 << 20;
/// The store itself needs room: a backup beside it leaves this much of the disk.
pub(crate) const SPARE_BYTES: u64 = 256 << 20;

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("nobody wants the snapshot any more")]
    Unwanted,
    #[error("not enough space on the disk for a snapshot, with {0} bytes to spare")]
    NoRoom(u64),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Writes an image of the state into an empty file, as etcd 3.6 would have it; its length. Leaves so many bytes of the disk
/// to others. Given up when `is_wanted` says no.
pub(crate) fn export(
    image: Image<'_>,
    file: &File,
    spare_bytes: u64,
    is_wanted: impl Fn() -> bool,
) -> Result<u64, ExportError> {
    let standing = raft::standing(image.mark())?;
    let mut writer = Writer::new(file)?;
    put_all(&mut writer, buckets::ALARM, alarms(&image))?;
    for (name, pairs) in auth::buckets(&image.auth()?) {
        put_all(&mut writer, name, pairs)?;
    }
    put_all(&mut writer, buckets::CLUSTER, cluster(&image)?)?;
    let meta = meta(&image, &standing)?;
    let leases: Vec<_> = leases(&image);
    let look = |unlooked_bytes: u64| {
        if !is_wanted() {
            return Err(ExportError::Unwanted);
        }
        if unlooked_bytes >= LOOK_BYTES {
            check_room(file, spare_bytes)?;
        }
        Ok(())
    };
    put_keys(&mut writer, image, look)?;
    put_all(&mut writer, buckets::LEASE, leases)?;
    put_all(&mut writer, buckets::MEMBERS, members(&standing)?)?;
    put_all(&mut writer, buckets::MEMBERS_REMOVED, removed(&standing))?;
    put_all(&mut writer, buckets::META, meta)?;
    writer.finish()?;
    Ok(file.metadata()?.len())
}

fn put_all(
    writer: &mut Writer<&File>,
    name: &[u8],
    pairs: impl IntoIterator<Item = Pair>,
) -> Result<(), WriteError> {
    let mut bucket = writer.bucket(name)?;
    for (key, value) in pairs {
        bucket.put(&key, &value)?;
    }
    bucket.finish()
}

fn put_keys(
    writer: &mut Writer<&File>,
    image: Image<'_>,
    look: impl Fn(u64) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut bucket = writer.bucket(buckets::KEY)?;
    // The first row looks.
    let mut unlooked_bytes = LOOK_BYTES;
    image.rows(|key, kv| {
        unlooked_bytes += (key.len() + kv.len()) as u64;
        look(unlooked_bytes)?;
        if unlooked_bytes >= LOOK_BYTES {
            unlooked_bytes = 0;
        }
        Ok::<_, ExportError>(bucket.put(key, kv)?)
    })?;
    Ok(bucket.finish()?)
}

fn check_room(file: &File, spare_bytes: u64) -> Result<(), ExportError> {
    let disk = rustix::fs::fstatvfs(file).map_err(io::Error::from)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < spare_bytes {
        return Err(ExportError::NoRoom(spare_bytes));
    }
    Ok(())
}

/// Puts the checksum behind a database of this length.
pub(crate) fn seal(file: &File, length: u64) -> io::Result<()> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut done = 0;
    while done < length {
        let part = (length - done).min(READ_BYTES as u64) as usize;
        file.read_exact_at(&mut buffer[..part], done)?;
        hasher.update(&buffer[..part]);
        done += part as u64;
    }
    file.write_all_at(&hasher.finalize(), length)
}

/// In the order of their names.
fn sorted(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort_unstable();
    pairs
}

fn alarms(image: &Image<'_>) -> Vec<Pair> {
    let alarms = image.alarms().iter().map(|(member, kind)| {
        let alarm = match kind {
            AlarmKind::Any => 0,
            AlarmKind::NoSpace => 1,
            AlarmKind::Corrupt => 2,
        };
        let record = AlarmRecord {
            member: *member,
            alarm,
        };
        (record.encode_to_vec(), Vec::new())
    });
    sorted(alarms.collect())
}

/// What the cluster passes for, and the downgrade that is under way.
fn cluster(image: &Image<'_>) -> io::Result<Vec<Pair>> {
    let release = version::of_cluster(image.downgrade());
    let version = version::full(release).into_bytes();
    let mut pairs = vec![(buckets::CLUSTER_VERSION.to_vec(), version)];
    if let Some(target) = image.downgrade() {
        let record = DowngradeRecord {
            target_version: version::full(target),
            enabled: true,
        };
        pairs.push((buckets::DOWNGRADE.to_vec(), serde_json::to_vec(&record)?));
    }
    Ok(sorted(pairs))
}

fn leases(image: &Image<'_>) -> Vec<Pair> {
    let leases = image.leases().iter().map(|lease| {
        let id = lease.id.to_be_bytes().to_vec();
        (id, buckets::encode_lease(lease))
    });
    sorted(leases.collect())
}

fn members(standing: &Standing) -> io::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for member in &standing.members {
        let record = MemberRecord {
            id: member.id,
            peer_urls: member.peer_urls.clone(),
            is_learner: member.is_learner,
            name: member.name.clone(),
            client_urls: member.client_urls.clone(),
        };
        let id = format!("{:x}", member.id).into_bytes();
        pairs.push((id, serde_json::to_vec(&record)?));
    }
    Ok(sorted(pairs))
}

fn removed(standing: &Standing) -> Vec<Pair> {
    let ids = standing.removed.iter();
    sorted(
        ids.map(|id| (format!("{id:x}").into_bytes(), b"removed".to_vec()))
            .collect(),
    )
}

fn meta(image: &Image<'_>, standing: &Standing) -> io::Result<Vec<Pair>> {
    let conf_state = ConfStateRecord {
        voters: standing.voters.clone(),
        learners: standing.learners.clone(),
        auto_leave: false,
    };
    let mut pairs = vec![
        (
            buckets::CONF_STATE.to_vec(),
            serde_json::to_vec(&conf_state)?,
        ),
        (
            buckets::CONSISTENT_INDEX.to_vec(),
            standing.index.to_be_bytes().to_vec(),
        ),
        (buckets::TERM.to_vec(), standing.term.to_be_bytes().to_vec()),
    ];
    let release = version::of_cluster(image.downgrade());
    if version::is_in_storage(release) {
        let version = version::full(release).into_bytes();
        pairs.push((buckets::STORAGE_VERSION.to_vec(), version));
    }
    if let Some(compact_revision) = image.compact_revision() {
        let revision = buckets::revision_name(compact_revision).to_vec();
        for name in [buckets::FINISHED_COMPACTION, buckets::SCHEDULED_COMPACTION] {
            pairs.push((name.to_vec(), revision.clone()));
        }
    }
    Ok(sorted(pairs))
}
