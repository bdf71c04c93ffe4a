//! Leases: granted on the target before a key needs them, kept alive there, and revoked when the source has them no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::message;
use super::side::{Connection, Side, revision_of};

/// Pause between two looks for leases to renew.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(250);
/// Leases renewed over one stream.
const RENEWALS_MAX: usize = 4096;
/// Time a stream of renewals gets.
const RENEWALS_TIMEOUT: Duration = Duration::from_secs(10);
/// Leases asked for at a time.
const LEASES_UNDER_WAY_MAX: usize = 64;
/// What a lease gets that the source has no more, for the time until its keys are deleted here too.
const VANISHED_TTL_SECONDS: i64 = 3600;
const LEASE_EXISTS: &str = "etcdserver: lease already exists";
const NO_LEASE: &str = "etcdserver: requested lease not found";

/// The leases that the target has. Copies of this are one table.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    /// With when each is to be renewed.
    held: BTreeMap<i64, Instant>,
    /// Leases that the source has no more, with its revision when that was noticed.
    vanished: BTreeMap<i64, i64>,
}

impl Leases {
    /// What the target has from its copy, renewed at once.
    pub(super) async fn of(target: &Connection) -> Result<Leases> {
        let leases = Leases::default();
        let (ids, _) = list(target).await?;
        ids.into_iter().for_each(|id| leases.hold(id));
        leases.renew(target).await?;
        Ok(leases)
    }

    pub(super) fn count(&self) -> usize {
        self.table().held.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is due at once, since what is left of it is not known.
    fn hold(&self, id: i64) {
        self.table().held.insert(id, Instant::now());
    }

    /// It is not on the target any more.
    pub(super) fn forget(&self, id: i64) {
        let mut table = self.table();
        table.held.remove(&id);
        table.vanished.remove(&id);
    }

    /// Renews what is due on the target, for ever.
    pub(super) async fn keep_alive(&self, target: &Side) -> ! {
        let mut connection = None;
        loop {
            sleep(RENEWAL_INTERVAL).await;
            let open = match connection.take() {
                Some(open) => Ok(open),
                None => target.connect().await,
            };
            // What cannot be renewed now is tried again at the next look.
            if let Ok(open) = open
                && self.renew(&open).await.is_ok()
            {
                connection = Some(open);
            }
        }
    }

    async fn renew(&self, target: &Connection) -> Result<()> {
        let now = Instant::now();
        let due: Vec<i64> = {
            let table = self.table();
            let due = table.held.iter().filter(|(_, at)| **at <= now);
            due.map(|(id, _)| *id).take(RENEWALS_MAX).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        let requests = due.into_iter().map(|id| LeaseKeepAliveRequest { id });
        let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
        let renewing = async {
            let mut client = target.lease();
            let mut answers = client.lease_keep_alive(requests).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                self.renewed(answer.id, answer.ttl);
            }
            anyhow::Ok(())
        };
        timeout(RENEWALS_TIMEOUT, renewing).await?
    }

    fn renewed(&self, id: i64, ttl_seconds: i64) {
        if ttl_seconds <= 0 {
            return self.forget(id);
        }
        if let Some(due) = self.table().held.get_mut(&id) {
            *due = Instant::now() + Duration::from_secs(ttl_seconds.unsigned_abs()) / 3;
        }
    }

    /// Grants those of these leases that the target has not.
    pub(super) async fn ensure(
        &self,
        ids: &[i64],
        source: &Connection,
        target: &Connection,
    ) -> Result<()> {
        let missing: Vec<i64> = {
            let table = self.table();
            let missing = ids.iter().filter(|id| !table.held.contains_key(id));
            missing.copied().collect()
        };
        for (id, answer) in times(source, &missing, false).await? {
            let ttl = if answer.granted_ttl > 0 {
                answer.granted_ttl
            } else {
                VANISHED_TTL_SECONDS
            };
            let request = LeaseGrantRequest { ttl, id };
            match target.within(target.lease().lease_grant(request)).await {
                Ok(_) => self.hold(id),
                Err(error) if message(&error) == LEASE_EXISTS => self.hold(id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Brings leases that no key has shown, and ends those that the source has no more, once no key of the target has
    /// them. Nothing may be under way to the target, which has everything up to `revision`.
    pub(super) async fn sync(
        &self,
        source: &Connection,
        target: &Connection,
        revision: i64,
    ) -> Result<()> {
        let (ids, at) = list(source).await?;
        let gone: Vec<i64> = {
            let mut table = self.table();
            table.vanished.retain(|id, _| !ids.contains(id));
            let vanished: Vec<i64> = table
                .held
                .keys()
                .filter(|id| !ids.contains(id))
                .copied()
                .collect();
            for id in vanished {
                table.vanished.entry(id).or_insert(at);
            }
            let gone = table.vanished.iter().filter(|(_, at)| **at <= revision);
            gone.map(|(id, _)| *id).collect()
        };
        let ids: Vec<i64> = ids.into_iter().collect();
        self.ensure(&ids, source, target).await?;
        for (id, answer) in times(target, &gone, true).await? {
            if !answer.keys.is_empty() {
                continue;
            }
            let request = LeaseRevokeRequest { id };
            match target.within(target.lease().lease_revoke(request)).await {
                Err(error) if message(&error) != NO_LEASE => return Err(error),
                _ => self.forget(id),
            }
        }
        Ok(())
    }
}

/// The ids of all leases, and the revision at which they were looked at.
async fn list(side: &Connection) -> Result<(BTreeSet<i64>, i64)> {
    let answer = side
        .within(side.lease().lease_leases(LeaseLeasesRequest {}))
        .await?;
    let ids = answer.leases.iter().map(|lease| lease.id).collect();
    Ok((ids, revision_of(answer.header.as_ref())))
}

/// What a side says of each lease.
async fn times(
    side: &Connection,
    ids: &[i64],
    keys: bool,
) -> Result<Vec<(i64, LeaseTimeToLiveResponse)>> {
    let mut asked = JoinSet::new();
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids.iter().copied() {
        if asked.len() >= LEASES_UNDER_WAY_MAX
            && let Some(answer) = asked.join_next().await
        {
            answers.push(answer??);
        }
        let side = side.clone();
        asked.spawn(async move {
            let request = LeaseTimeToLiveRequest { id, keys };
            let answer = side.within(side.lease().lease_time_to_live(request)).await;
            answer.map(|answer| (id, answer))
        });
    }
    while let Some(answer) = asked.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

/// The number of leases, when both have the same with the same granted times; else the first that differs, in words. A
/// lease of the source that ends meanwhile differs until the next [`Leases::sync`].
pub(super) async fn compare(
    source: &Connection,
    target: &Connection,
) -> Result<Result<usize, String>> {
    let granted = async |side: &Connection| {
        let ids: Vec<i64> = list(side).await?.0.into_iter().collect();
        let answers = times(side, &ids, false).await?;
        let granted = answers
            .into_iter()
            .map(|(id, answer)| (id, answer.granted_ttl));
        anyhow::Ok(granted.collect::<BTreeMap<i64, i64>>())
    };
    let (from, to) = (granted(source).await?, granted(target).await?);
    let all: BTreeSet<i64> = from.keys().chain(to.keys()).copied().collect();
    for id in all {
        if from.get(&id) != to.get(&id) {
            let seconds =
                |ttl: Option<&i64>| ttl.map_or("no time".to_owned(), |ttl| format!("{ttl} s"));
            return Ok(Err(format!(
                "lease {id:016x} was granted {} by the source and {} by the target: nobody may grant or revoke leases during \
                 the cut-over; if it stays so, take a new copy",
                seconds(from.get(&id)),
                seconds(to.get(&id))
            )));
        }
    }
    Ok(Ok(from.len()))
}
