//! Compaction of the store at intervals: several servers agree by a key on who does it, as kube-apiservers do.

use std::time::Duration;

use objects::status::Status;

use crate::storage::{Storage, Written};

/// The key that kube-apiservers agree by as well.
const KEY: &[u8] = b"compact_rev_key";

/// Compacts until it is dropped.
pub(crate) async fn run(storage: Storage, interval: Duration) {
    if interval.is_zero() {
        return std::future::pending().await;
    }
    // What was the newest revision an interval ago may go.
    let mut before = None;
    loop {
        tokio::time::sleep(interval).await;
        match round(&storage, before).await {
            Ok(revision) => before = Some(revision),
            Err(status) => tracing::warn!(error = %status, "cannot compact the store"),
        }
    }
}

/// One round: whoever writes the key first compacts up to what it saw an interval ago.
async fn round(storage: &Storage, before: Option<(i64, i64)>) -> Result<(i64, i64), Status> {
    let (found, now) = storage.get(KEY).await?;
    let seen = found.map_or(0, |stored| stored.revision);
    let Some((key_before, revision_before)) = before else {
        return Ok((seen, now));
    };
    if seen != key_before {
        // Another server was faster.
        return Ok((seen, now));
    }
    match storage
        .replace(KEY, seen, revision_before.to_string().into(), 0)
        .await?
    {
        Written::At(written) => {
            storage.compact(revision_before).await?;
            tracing::debug!(revision = revision_before, "compacted the store");
            Ok((written, written))
        }
        Written::Changed(found) => Ok((found.map_or(0, |stored| stored.revision), now)),
    }
}
