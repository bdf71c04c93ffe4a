//! That two clusters are equal: HashKV of both at one revision, over the same history.

use std::time::Duration;

use anyhow::{Result, anyhow};
use proto::etcdserverpb::{HashKvRequest, HashKvResponse};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::compaction::compact;
use super::side::{Connection, revision_of, stop};

/// Time a member gets to hash all it has.
const HASH_TIMEOUT: Duration = Duration::from_secs(600);
/// How often a hash is asked for, of a member that is behind or is compacted meanwhile.
const TRIES_MAX: u32 = 20;
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// What both sides answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) revision: i64,
    pub(super) compact_revision: i64,
    pub(super) source: u32,
    pub(super) target: u32,
}

/// Hashes both at a revision. The target is compacted as far as the source is.
pub(super) async fn hashes(
    source: &Connection,
    target: &Connection,
    revision: i64,
) -> Result<Hashes> {
    for _ in 0..TRIES_MAX {
        let (from, to) = (hash(source, revision).await?, hash(target, revision).await?);
        let (Some(from), Some(to)) = (from, to) else {
            sleep(RETRY_INTERVAL).await;
            continue;
        };
        if to.compact_revision > from.compact_revision {
            return Err(stop(format!(
                "the target is compacted up to revision {} and the source up to {}: they cannot be compared. Make the target \
                 anew from a new snapshot, and turn its automatic compaction off until the cut-over",
                to.compact_revision, from.compact_revision
            )));
        }
        if to.compact_revision == from.compact_revision {
            return Ok(Hashes {
                revision,
                compact_revision: to.compact_revision,
                source: from.hash,
                target: to.hash,
            });
        }
        compact(target, from.compact_revision).await?;
    }
    Err(anyhow!("a member has not come to revision {revision}"))
}

/// None when the member has not come to the revision.
async fn hash(side: &Connection, revision: i64) -> Result<Option<HashKvResponse>> {
    match ask(side, revision).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_out_of_range(&error) => {
            // etcd 3.4 does not hash at the compact revision itself, but does so for whoever names none.
            let answer = ask(side, 0).await?;
            let at = revision_of(answer.header.as_ref());
            if at > revision && answer.compact_revision >= revision {
                return Err(stop(format!(
                    "the source was compacted up to revision {}, and the target is at {revision}: what is between them is \
                     gone. Take a new copy",
                    answer.compact_revision
                )));
            }
            Ok((at == revision).then_some(answer))
        }
        Err(error) => Err(error),
    }
}

fn is_out_of_range(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<Status>();
    status.is_some_and(|status| status.code() == Code::OutOfRange)
}

async fn ask(side: &Connection, revision: i64) -> Result<HashKvResponse> {
    let mut client = side.maintenance();
    let request = HashKvRequest { revision };
    Ok(timeout(HASH_TIMEOUT, client.hash_kv(request))
        .await??
        .into_inner())
}
