//! A snapshot on its way to a follower: the state machine's files, one after another, with their checksums.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use openraft::Snapshot;
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use proto::peer::{SnapshotChunk, SnapshotFile, SnapshotHeader};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::snapshot::SnapshotFiles;
use super::types::{TypeConfig, Vote};
use super::wire;
use crate::blocking;

const FORMAT: u32 = 1;
/// Bytes of a file in one message.
const CHUNK_BYTES: usize = 1 << 20;
/// Messages read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// Reads the files in the background; dropping the stream stops that.
pub(super) async fn send(
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, SnapshotFiles>,
) -> io::Result<impl Stream<Item = SnapshotChunk> + Send + 'static> {
    let Snapshot {
        meta,
        snapshot: files,
    } = snapshot;
    let meta = Bytes::from(serde_json::to_vec(&meta)?);
    let dir = files
        .dir()
        .ok_or_else(|| io::Error::other("a snapshot without files"))?
        .to_owned();
    let manifest = blocking::run(move || manifest(&dir)).await??;
    let (tx, rx) = mpsc::channel(chunks_ahead(&manifest));
    blocking::start(move || {
        let header = SnapshotHeader {
            format: FORMAT,
            vote: Some(wire::vote_to(&vote)),
            meta,
            files: manifest.clone(),
        };
        let first = SnapshotChunk {
            header: Some(header),
            data: Bytes::new(),
        };
        if !put(&tx, first) {
            return;
        }
        if let Err(error) = send_files(&files, &manifest, &tx) {
            // The receiver sees the stream end before the manifest is fulfilled and refuses the snapshot.
            tracing::warn!(%error, "a snapshot's files cannot be read");
        }
    });
    Ok(ReceiverStream::new(rx))
}

/// Messages that may wait: all of them where nobody reads while they are made.
fn chunks_ahead(files: &[SnapshotFile]) -> usize {
    if !blocking::is_alone() {
        return CHUNKS_AHEAD;
    }
    let chunks = |file: &SnapshotFile| file.size_bytes as usize / CHUNK_BYTES + 1;
    1 + files.iter().map(chunks).sum::<usize>()
}

/// Hands a message on, waiting for room; false when nobody wants it any more.
fn put(tx: &mpsc::Sender<SnapshotChunk>, chunk: SnapshotChunk) -> bool {
    match tx.try_send(chunk) {
        Ok(()) => true,
        Err(TrySendError::Closed(_)) => false,
        Err(TrySendError::Full(chunk)) => tx.blocking_send(chunk).is_ok(),
    }
}

/// The next piece, waiting for it; none at the end.
fn take(data: &mut mpsc::Receiver<Bytes>) -> Option<Bytes> {
    match data.try_recv() {
        Ok(piece) => Some(piece),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => data.blocking_recv(),
    }
}

fn manifest(dir: &Path) -> io::Result<Vec<SnapshotFile>> {
    let mut files = Vec::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_name| io::Error::other("a file name is not text"))?;
        let mut file = File::open(entry.path())?;
        let (mut size_bytes, mut crc) = (0u64, 0);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            crc = crc32c::crc32c_append(crc, &buffer[..count]);
            size_bytes += count as u64;
        }
        files.push(SnapshotFile {
            name,
            size_bytes,
            crc32c: crc,
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn send_files(
    files: &SnapshotFiles,
    manifest: &[SnapshotFile],
    tx: &mpsc::Sender<SnapshotChunk>,
) -> io::Result<()> {
    let dir = files
        .dir()
        .ok_or_else(|| io::Error::other("a snapshot without files"))?;
    for entry in manifest {
        let mut file = File::open(dir.join(&entry.name))?.take(entry.size_bytes);
        loop {
            let mut data = BytesMut::zeroed(CHUNK_BYTES);
            let count = file.read(&mut data)?;
            if count == 0 {
                break;
            }
            data.truncate(count);
            let chunk = SnapshotChunk {
                header: None,
                data: data.freeze(),
            };
            if !put(tx, chunk) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes a received snapshot into `dir`, checks and syncs every file. Returns the sender's vote.
pub(super) async fn receive(
    mut chunks: Streaming<SnapshotChunk>,
    dir: PathBuf,
) -> Result<(Vote, SnapshotOf<TypeConfig, SnapshotFiles>), tonic::Status> {
    let refuse = |why: String| tonic::Status::data_loss(format!("snapshot refused: {why}"));
    let first = chunks.message().await?.and_then(|chunk| chunk.header);
    let header = first.ok_or_else(|| refuse("it does not start with its manifest".into()))?;
    if header.format != FORMAT {
        return Err(refuse(format!(
            "format {} is not known here",
            header.format
        )));
    }
    let vote = wire::vote_from(header.vote);
    let meta: SnapshotMetaOf<TypeConfig> =
        serde_json::from_slice(&header.meta).map_err(|error| refuse(error.to_string()))?;
    let files = SnapshotFiles::at(dir.clone());
    let (tx, rx) = mpsc::channel(chunks_ahead(&header.files));
    let write = move || write_files(&dir, &header.files, rx);
    let written = if blocking::is_alone() {
        while let Some(chunk) = chunks.message().await? {
            tx.try_send(chunk.data)
                .map_err(|error| refuse(error.to_string()))?;
        }
        drop(tx);
        Ok(write())
    } else {
        let writer = tokio::task::spawn_blocking(write);
        while let Some(chunk) = chunks.message().await? {
            if tx.send(chunk.data).await.is_err() {
                break;
            }
        }
        drop(tx);
        writer.await
    };
    match written {
        Ok(Ok(())) => Ok((
            vote,
            Snapshot {
                meta,
                snapshot: files,
            },
        )),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(error) => Err(refuse(error.to_string())),
    }
}

pub(super) fn write_files(
    dir: &Path,
    manifest: &[SnapshotFile],
    mut data: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut rest = Bytes::new();
    for entry in manifest {
        let name = Path::new(&entry.name);
        if !matches!(
            name.components().collect::<Vec<_>>()[..],
            [Component::Normal(_)]
        ) {
            return Err(io::Error::other(format!(
                "file name {:?} leads out of its folder",
                entry.name
            )));
        }
        let mut file = File::create_new(dir.join(name))?;
        let (mut missing, mut crc) = (entry.size_bytes, 0);
        while missing > 0 {
            if rest.is_empty() {
                rest = take(&mut data).ok_or_else(|| io::Error::other("the stream ended early"))?;
                continue;
            }
            let count = missing.min(rest.len() as u64);
            let piece =
                rest.split_to(usize::try_from(count).expect("no longer than the piece at hand"));
            crc = crc32c::crc32c_append(crc, &piece);
            file.write_all(&piece)?;
            missing -= count;
        }
        if crc != entry.crc32c {
            return Err(io::Error::other(format!(
                "checksum of {} does not match",
                entry.name
            )));
        }
        file.sync_all()?;
    }
    File::open(dir)?.sync_all()
}
