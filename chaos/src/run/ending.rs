//! The end of a run: everything whole again, a last write, every watch at its end, and hashes compared.

use std::time::Duration;

use anyhow::{Context, Result};
use check::history::{Barrier, DeleteRange, HashKv, Record, Request, Response};
use tokio::time::{Instant, timeout};

use super::Running;
use crate::actor::{Actor, NoAnswer};
use crate::client::{Client, REQUEST_TIMEOUT};
use crate::cluster::{Cluster, POLL_INTERVAL};
use crate::liveness;
use crate::load::{Last, Load};

/// Number of the first client that ends a run; there is one for each member.
const FIRST_CLOSER: u32 = 2_000;
/// A last write that is not answered at once gets the target's time to serve again, divided by this.
const LAST_WRITE_SHARE: u32 = 3;
/// Every watch gets this many times as long to reach the end.
const DRAIN_FACTOR: u32 = 2;

/// What a run is found guilty of when the store has found it itself.
pub(crate) const CORRUPT_ALARM: &str = "the store has raised the CORRUPT alarm: its members differ";

impl Running<'_> {
    /// Ends the load. What does not come back in time is a violation: nothing is broken any more.
    pub(super) async fn end(&mut self, cluster: &mut Cluster, mut load: Load) -> Result<()> {
        let limit = Duration::from_secs(self.plan.target.recovery_seconds);
        let alive = liveness::wait(&self.urls, limit).await;
        self.violations.extend(load.stop_clients().await?);
        if let Err(error) = alive {
            self.violations
                .push(format!("the cluster does not serve again: {error:#}"));
            load.stop_watchers().await?;
            return Ok(());
        }
        if self.notice_alarm().await {
            return load.stop_watchers().await;
        }
        let mut closers = self.closers()?;
        self.write_on_every_member(&mut closers).await;
        self.check_workload(&mut closers).await;
        let last = match self.last_writes(&mut closers[0]).await {
            Ok(last) => last,
            // Raised in between, it explains why there is no last write.
            Err(_) if self.notice_alarm().await => return load.stop_watchers().await,
            Err(error) => return Err(error),
        };
        self.violations.extend(
            load.drain(&last, self.last_write_timeout() * DRAIN_FACTOR)
                .await,
        );
        self.compare_hashes(&mut closers, last.barrier).await;
        load.stop_watchers().await?;
        for member in 0..cluster.size() {
            if cluster.runs_here()
                && let Some(ended) = cluster.ended(member)
            {
                let name = cluster.name(member);
                self.violations
                    .push(format!("{name} {ended} although nothing was broken"));
            }
        }
        Ok(())
    }

    /// A check that got no answer to a request has found nothing yet, and is made again.
    async fn check_workload(&mut self, closers: &mut [Actor]) {
        let deadline = Instant::now() + self.last_write_timeout();
        while let Err(error) = self.brought.workload.check(closers).await {
            if !error.is::<NoAnswer>() || Instant::now() > deadline {
                self.violations
                    .push(format!("the workload's own check: {error:#}"));
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether the store itself has found that its members differ. It takes no writes then.
    async fn notice_alarm(&mut self) -> bool {
        for url in &self.urls {
            let Ok(mut client) = Client::new(url) else {
                continue;
            };
            let asked = timeout(REQUEST_TIMEOUT, client.has_corrupt_alarm()).await;
            if matches!(asked, Ok(Ok(true))) {
                self.violations.push(CORRUPT_ALARM.to_owned());
                return true;
            }
        }
        false
    }

    fn last_write_timeout(&self) -> Duration {
        Duration::from_secs(self.plan.target.recovery_seconds) / LAST_WRITE_SHARE
    }

    fn closers(&self) -> Result<Vec<Actor>> {
        let closer = |(member, url): (usize, &String)| {
            let member = u32::try_from(member)?;
            let numbers = (FIRST_CLOSER + member, member);
            Actor::new(numbers, url, self.recorder.clone(), self.plan.schedule.seed)
        };
        self.urls.iter().enumerate().map(closer).collect()
    }

    /// A fresh write and a linearizable read on every member.
    async fn write_on_every_member(&mut self, closers: &mut [Actor]) {
        for closer in closers {
            let key = format!("end/{}", closer.member);
            let written = insist(closer, self.last_write_timeout(), |closer| {
                Request::Put(check::history::Put {
                    key: key.clone().into(),
                    value: closer.value(),
                    ..Default::default()
                })
            });
            if let Err(error) = written.await {
                self.violations
                    .push(format!("no write once all was healed: {error:#}"));
            }
        }
    }

    /// The last put and delete of each beginning of keys with watches of its own, then the barrier.
    async fn last_writes(&self, closer: &mut Actor) -> Result<Last> {
        let mut last = Last::default();
        let limit = self.last_write_timeout();
        for prefix in self.brought.workload.prefixes() {
            let key = format!("{prefix}~");
            let put = insist(closer, limit, |closer| {
                Request::Put(check::history::Put {
                    key: key.clone().into(),
                    value: closer.value(),
                    ..Default::default()
                })
            });
            let put = put.await?.revision;
            let delete = insist(closer, self.last_write_timeout(), |_| {
                Request::DeleteRange(DeleteRange {
                    key: key.clone().into(),
                    ..DeleteRange::default()
                })
            });
            last.of_prefix.push((prefix, put, delete.await?.revision));
        }
        let barrier = insist(closer, self.last_write_timeout(), |closer| {
            Request::Put(check::history::Put {
                key: "end/barrier".into(),
                value: closer.value(),
                ..Default::default()
            })
        });
        let revision = barrier.await.context("the barrier write")?.revision;
        last.barrier = revision;
        let time_ns = self.recorder.clock().nanos();
        let barrier = Barrier { time_ns, revision };
        self.recorder.add(Record::Barrier(barrier)).await;
        Ok(last)
    }

    /// Asks every member for its hash at the barrier; the checker compares them.
    async fn compare_hashes(&mut self, closers: &mut [Actor], revision: i64) {
        for closer in closers {
            let member = closer.member;
            let hash = insist(closer, self.last_write_timeout(), |_| {
                Request::HashKv(HashKv { revision })
            })
            .await;
            if let Err(error) = hash {
                let words = format!("member {member} gives no hash at the barrier: {error:#}");
                self.doubts.push(words);
            }
        }
    }
}

/// Makes a request until one is answered or the time is over. Each is a request of its own, with a value of its own.
async fn insist(
    actor: &mut Actor,
    limit: Duration,
    request: impl Fn(&mut Actor) -> Request,
) -> Result<Response> {
    let deadline = Instant::now() + limit;
    loop {
        let next = request(actor);
        if let Some(response) = actor.ask(next).await {
            return Ok(response);
        }
        if Instant::now() > deadline {
            anyhow::bail!("none of many requests is answered within {limit:?}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
