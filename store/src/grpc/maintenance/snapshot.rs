//! A backup on its way to a client: written to the disk first, for every message says how much is to come.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use proto::server::etcdserverpb as pb;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::backup::{self, CHECKSUM_BYTES, ExportError, SPARE_BYTES};
use crate::blocking;
use crate::grpc::{Edge, status, version};

/// Bytes of the database in one message. etcd's figure.
const BLOB_BYTES: usize = 32 << 10;
/// Messages read ahead of the network.
const MESSAGES_AHEAD: usize = 8;
/// Longest wait for a client to take the next message.
const STALL_MAX: Duration = Duration::from_secs(60);

type Message = Result<pb::SnapshotResponse, Status>;

/// Makes and sends a snapshot in the background; dropping the stream ends that.
pub(super) fn send(edge: &Arc<Edge>) -> Result<impl Stream<Item = Message> + use<>, Status> {
    let place = Arc::clone(&edge.snapshots).try_acquire_owned();
    let place = place.map_err(|_full| {
        Status::resource_exhausted(
            "etcdserver: too many snapshots are being sent; try again when one of them is done",
        )
    })?;
    let (tx, rx) = mpsc::channel(MESSAGES_AHEAD);
    let client = Client {
        tx,
        runtime: Handle::current(),
    };
    let edge = Arc::clone(edge);
    blocking::start(move || {
        if let Err(error) = make_and_send(&edge, &client) {
            client.refuse(&error);
        }
        drop(place);
    });
    Ok(ReceiverStream::new(rx))
}

fn make_and_send(edge: &Edge, client: &Client) -> Result<(), ExportError> {
    let file = edge.replica.scratch_file()?;
    let (length, release) = {
        let machine = edge.replica.machine();
        let release = version::of_cluster(machine.downgrade());
        let image = machine.image()?;
        let length = backup::export(image, &file, SPARE_BYTES, || !client.is_gone())?;
        (length, release)
    };
    let version = match version::is_in_storage(release) {
        true => version::full(release),
        false => String::new(),
    };
    let hash = send_file(&file, length, (client, &version))?;
    client.send(message(0, hash, &version))
}

/// Sends the file; its checksum.
fn send_file(
    file: &File,
    length: u64,
    (client, version): (&Client, &str),
) -> Result<Vec<u8>, ExportError> {
    let mut hasher = Sha256::new();
    let mut sent = 0;
    while sent < length {
        let count = (length - sent).min(BLOB_BYTES as u64);
        let mut blob = vec![0; count as usize];
        file.read_exact_at(&mut blob, sent)?;
        sent += count;
        hasher.update(&blob);
        client.send(message(length - sent, blob, version))?;
    }
    let checksum: [u8; CHECKSUM_BYTES] = hasher.finalize().into();
    Ok(checksum.to_vec())
}

fn message(remaining_bytes: u64, blob: Vec<u8>, version: &str) -> pb::SnapshotResponse {
    pb::SnapshotResponse {
        header: None,
        remaining_bytes,
        blob: blob.into(),
        version: version.to_owned(),
    }
}

/// The client left, or takes nothing any more.
struct Gone;

/// Who asked for the snapshot.
struct Client {
    tx: mpsc::Sender<Message>,
    runtime: Handle,
}

impl Client {
    fn is_gone(&self) -> bool {
        self.tx.is_closed()
    }

    fn send(&self, message: pb::SnapshotResponse) -> Result<(), ExportError> {
        self.put(Ok(message)).map_err(|Gone| ExportError::Unwanted)
    }

    fn put(&self, message: Message) -> Result<(), Gone> {
        let sending = self.tx.send_timeout(message, STALL_MAX);
        self.runtime.block_on(sending).map_err(|_error| Gone)
    }

    /// Says why there is no snapshot, to whoever still listens.
    fn refuse(&self, error: &ExportError) {
        let refusal = match error {
            ExportError::Unwanted => {
                tracing::debug!("a client left before its snapshot was whole");
                Status::cancelled("etcdserver: request canceled")
            }
            ExportError::NoRoom(_) => Status::resource_exhausted(format!("etcdserver: {error}")),
            ExportError::Write(_) | ExportError::Io(_) | ExportError::Fatal(_) => {
                tracing::warn!(%error, "cannot make a snapshot for a client");
                status::internal(&error.to_string())
            }
        };
        if let Err(Gone) = self.put(Err(refusal)) {
            tracing::debug!("nobody heard why there is no snapshot");
        }
    }
}
