//! Leases of objects that end by themselves, such as events: many objects share one, so that a lease is not granted for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use objects::status::Status;
use proto::etcdserverpb::LeaseGrantRequest;
use proto::etcdserverpb::lease_client::LeaseClient;
use tokio::sync::Mutex;

use super::Endpoints;

/// How long new objects get the same lease; it lasts longer by as much, so that no object ends early.
const SHARED_FOR: Duration = Duration::from_secs(60);
/// How many objects share a lease: what ends at one moment is one transaction of the store.
const OBJECTS_MAX: u32 = 1000;

/// The lease in use for each time to live.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    by_seconds: Arc<Mutex<HashMap<u32, Lease>>>,
}

#[derive(Debug)]
struct Lease {
    id: i64,
    since: Instant,
    objects: u32,
}

impl Leases {
    /// A lease that lasts at least so many seconds from now on.
    pub(super) async fn lease(&self, endpoints: &Endpoints, seconds: u32) -> Result<i64, Status> {
        let mut leases = self.by_seconds.lock().await;
        if let Some(lease) = leases.get_mut(&seconds)
            && lease.since.elapsed() < SHARED_FOR
            && lease.objects < OBJECTS_MAX
        {
            lease.objects += 1;
            return Ok(lease.id);
        }
        let ttl = i64::from(seconds) + i64::try_from(SHARED_FOR.as_secs()).expect("a minute");
        let request = LeaseGrantRequest { ttl, id: 0 };
        let answer = endpoints
            .write(|channel| async move { LeaseClient::new(channel).lease_grant(request).await })
            .await?;
        let id = answer.into_inner().id;
        leases.insert(
            seconds,
            Lease {
                id,
                since: Instant::now(),
                objects: 1,
            },
        );
        Ok(id)
    }
}
