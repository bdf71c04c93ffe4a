//! HashKV of a snapshot file, as `etcdutl hashkv` gives it.

use std::path::Path;

use anyhow::{Context, bail};
use state_machine::{HashKv, Options, Rejection};

use super::restore::{Restore, restore};
use crate::raft::StateFolder;

/// Hashes what a file holds up to a revision; 0 for all of it. It is restored for that, into a folder that goes away
/// again: beside the file, where there is room for its size.
///
/// # Errors
/// When the file is damaged or not what it seems, or has no such revision.
pub fn hash_kv(path: &Path, revision: i64) -> anyhow::Result<HashKv> {
    let beside = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = tempfile::Builder::new()
        .prefix("mainstay-hashkv-")
        .tempdir_in(beside.unwrap_or(Path::new(".")))
        .context("no folder can be made beside the file, which is restored to be hashed")?;
    let data_dir = folder.path().join("data");
    let request = Restore {
        snapshot: path.to_owned(),
        name: "default".to_owned(),
        data_dir: data_dir.clone(),
        wal_dir: None,
        initial_cluster: "default=http://localhost:2380".to_owned(),
        initial_cluster_token: "etcd-cluster".to_owned(),
        initial_advertise_peer_urls: "http://localhost:2380".to_owned(),
        // etcdutl looks at no checksum either: the file of a data folder has none.
        skip_hash_check: true,
        bump_revision: 0,
        mark_compacted: false,
    };
    let restored = restore(&request, |_progress| {})?;
    if revision == 0 {
        return Ok(restored.hash);
    }
    let state = StateFolder::open(&data_dir.join("member").join("state"), Options::default())?;
    match state.machine().hash_kv(revision) {
        Ok(hash) => Ok(hash),
        Err(Rejection::Compacted { .. }) => {
            bail!("mvcc: required revision has been compacted")
        }
        Err(Rejection::FutureRevision) => bail!("mvcc: required revision is a future revision"),
        Err(other) => bail!("cannot hash the file: {other:?}"),
    }
}
