//! snapshot save, status and restore: etcd's snapshot files.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proto::etcdserverpb::SnapshotRequest;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use store::backup::{self, Progress, Restored, Status};

use super::arguments::{Format, NewMember, Restore, Snapshot};
use super::json::Json;
use super::print::unsupported;
use super::progress::{self, Line};
use super::{Service, Session, go, table};
use crate::client::ANSWER_BYTES_MAX;

pub(super) async fn run(session: &Session, command: Snapshot) -> Result<()> {
    match command {
        Snapshot::Save { filename } => save(session, &filename).await,
        Snapshot::Status { filename } => {
            let status = backup::status(&filename)?;
            out!("{}", status_text(session.printer.format, &status)?);
            Ok(())
        }
        Snapshot::Restore(arguments) => restore(arguments),
    }
}

/// As etcdctl: into a file with `.part` behind its name, which is renamed once it is whole, checked and on disk.
async fn save(session: &Session, path: &Path) -> Result<()> {
    let endpoints = &session.global.endpoints;
    if endpoints.len() != 1 {
        let all = endpoints.join(" ");
        bail!("snapshot must be requested to one selected node, not multiple [{all}]");
    }
    let version = save_from(session.channel().await?, path).await?;
    outln!("Snapshot saved at {}", path.display());
    if !version.is_empty() {
        outln!("Server version {version}");
    }
    Ok(())
}

/// Saves a member's snapshot; the version of its storage.
pub(super) async fn save_from(member: Service, path: &Path) -> Result<String> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Part(PathBuf::from(part));
    let version = fetch(member, &part.0).await?;
    backup::verify(&part.0).context("the snapshot is damaged")?;
    fs::rename(&part.0, path).with_context(|| format!("could not rename to {}", path.display()))?;
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(version)
}

/// A file that goes when it was not renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // It is not there after a success.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes and syncs what the member sends; the version of its storage.
async fn fetch(member: Service, part: &Path) -> Result<String> {
    // Passwords and secrets are in it. What an earlier try left may have another owner or mode.
    let _ = fs::remove_file(part);
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part);
    let mut file = file.with_context(|| format!("could not open {}", part.display()))?;
    let mut member = MaintenanceClient::new(member).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut messages = member.snapshot(SnapshotRequest {}).await?.into_inner();
    let mut line = Line::new();
    let (mut size_bytes, mut version) = (0, String::new());
    line.say(|| "waiting for the member to write its snapshot".to_owned());
    while let Some(message) = messages.message().await? {
        file.write_all(&message.blob)
            .context("could not write snapshot")?;
        size_bytes += message.blob.len() as u64;
        version = message.version;
        let total_bytes = size_bytes + message.remaining_bytes;
        line.say(|| progress::bytes("fetched", size_bytes, total_bytes));
    }
    line.end();
    // A database ends with a sector.
    if size_bytes % 512 != 32 {
        bail!("sha256 checksum not found [bytes: {size_bytes}]");
    }
    file.sync_all().context("could not fsync snapshot")?;
    Ok(version)
}

/// As etcdutl prints it.
fn status_text(format: Format, status: &Status) -> Result<String> {
    let row = vec![
        format!("{:x}", status.hash),
        status.revision.to_string(),
        status.total_keys.to_string(),
        go::bytes(status.total_bytes),
        status.version.clone(),
    ];
    Ok(match format {
        Format::Simple => row.join(", ") + "\n",
        Format::Json => {
            let object = Json::Object(vec![
                ("hash", Json::number(status.hash)),
                ("revision", Json::number(status.revision)),
                ("totalKey", Json::number(status.total_keys)),
                ("totalSize", Json::number(status.total_bytes)),
                ("version", Json::Text(status.version.clone())),
            ]);
            format!("{object}\n")
        }
        Format::Fields => format!(
            "\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n\"Version\" : {}\n",
            status.hash, status.revision, status.total_keys, status.total_bytes, status.version
        ),
        Format::Table => {
            let headings = ["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"];
            table::draw(&headings, &[row])
        }
        Format::Protobuf => return unsupported(format),
    })
}

fn restore(arguments: Restore) -> Result<()> {
    let restore = backup::Restore {
        skip_hash_check: arguments.skip_hash_check,
        bump_revision: arguments.bump.bump_revision,
        mark_compacted: arguments.bump.mark_compacted,
        ..restore_of(arguments.filename, arguments.member)
    };
    run_restore(&restore)
}

/// What restores a whole file for a member.
pub(super) fn restore_of(snapshot: PathBuf, member: NewMember) -> backup::Restore {
    let data_dir = match member.data_dir {
        Some(dir) => dir,
        None => PathBuf::from(format!("{}.etcd", member.name)),
    };
    backup::Restore {
        snapshot,
        name: member.name,
        data_dir,
        wal_dir: member.wal_dir,
        initial_cluster: member.initial_cluster,
        initial_cluster_token: member.initial_cluster_token,
        initial_advertise_peer_urls: member.initial_advertise_peer_urls,
        skip_hash_check: false,
        bump_revision: 0,
        mark_compacted: false,
    }
}

/// Restores, and says how far it is and how to start what was made.
pub(super) fn run_restore(restore: &backup::Restore) -> Result<()> {
    let mut line = Line::new();
    let restored = backup::restore(restore, |at| line.say(|| step(at)));
    line.end();
    say_restored("Snapshot", restore, &restored?);
    Ok(())
}

/// How far a restore is.
pub(super) fn step(at: Progress) -> String {
    match at {
        Progress::Checking {
            done_bytes,
            total_bytes,
        } => progress::bytes("checked", done_bytes, total_bytes),
        Progress::Copying {
            done_bytes,
            total_bytes,
        } => progress::bytes("copied", done_bytes, total_bytes),
        Progress::Replaying {
            done_bytes,
            total_bytes,
        } => progress::bytes("replayed", done_bytes, total_bytes),
        Progress::Indexing => "reading what was restored".to_owned(),
    }
}

/// Says what was made, and how to start it.
pub(super) fn say_restored(what: &str, restore: &backup::Restore, restored: &Restored) {
    outln!(
        "{what} restored to {}: revision {}, {} keys, hash {}, member {:x} of cluster {:x}",
        restore.data_dir.display(),
        restored.revision,
        restored.keys,
        restored.hash.hash,
        restored.member_id,
        restored.cluster_id
    );
    outln!(
        "Start it as: mainstay store --name {} --data-dir {}{} --initial-cluster {} --initial-cluster-token {} \
         --initial-advertise-peer-urls {} and the addresses to listen on",
        restore.name,
        restore.data_dir.display(),
        restore
            .wal_dir
            .as_ref()
            .map(|dir| format!(" --wal-dir {}", dir.display()))
            .unwrap_or_default(),
        restore.initial_cluster,
        restore.initial_cluster_token,
        restore.initial_advertise_peer_urls
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcdutl 3.6.16 printed of a file.
    #[test]
    fn a_status_is_printed_as_etcdutl_prints_it() {
        let status = Status {
            hash: 3_745_230_736,
            revision: 35,
            total_keys: 7,
            total_bytes: 57_344,
            version: "3.6.0".to_owned(),
        };
        let text = |format| status_text(format, &status).unwrap();
        assert_eq!(text(Format::Simple), "df3baf90, 35, 7, 57 kB, 3.6.0\n");
        assert_eq!(
            text(Format::Json),
            "{\"hash\":3745230736,\"revision\":35,\"totalKey\":7,\"totalSize\":57344,\"version\":\"3.6.0\"}\n"
        );
        assert_eq!(
            text(Format::Fields),
            "\"Hash\" : 3745230736\n\"Revision\" : 35\n\"Keys\" : 7\n\"Size\" : 57344\n\"Version\" : 3.6.0\n"
        );
        assert_eq!(
            text(Format::Table),
            "+----------+----------+------------+------------+---------+\n\
             |   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE | VERSION |\n\
             +----------+----------+------------+------------+---------+\n\
             | df3baf90 |       35 |          7 |      57 kB |   3.6.0 |\n\
             +----------+----------+------------+------------+---------+\n"
        );
    }
}
