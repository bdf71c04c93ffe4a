//! Writers that use everything that makes a revision, for as long as they are let.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, RequestOp,
    TxnRequest,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::client::Client;
use crate::random::Random;
use crate::snapshots::{delete_of, put_of};
use crate::text::prefix_end;

/// Keys that each writer puts, changes and deletes.
const KEYS: usize = 200;
/// Keys of a bulk, more than a transaction may have operations.
const BULK_KEYS: usize = 300;
/// A lease that ends while the writers go on. In a copy its time begins anew when the state is opened, and it must not end
/// before the copy was compared, after a slow start on a busy disk.
const SHORT_TTL_SECONDS: i64 = 15;
/// Puts in a transaction.
const PUTS_MAX: usize = 100;

/// Writers at work on one member.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    writers: JoinSet<Result<()>>,
}

impl Traffic {
    /// Starts writers, each with keys of its own and choices drawn from the seed. Their compactions leave so many
    /// revisions.
    pub async fn start(
        url: &str,
        writers: usize,
        seed: u64,
        kept_revisions: i64,
    ) -> Result<Traffic> {
        let (stop, count) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let writer = Writer {
                number,
                client: Client::connect(url).await?,
                random: Random::new(seed + number as u64),
                lease: 0,
                kept_revisions,
                count: Arc::clone(&count),
                stop: Arc::clone(&stop),
            };
            tasks.spawn(writer.run());
        }
        Ok(Traffic {
            stop,
            count,
            writers: tasks,
        })
    }

    /// Steps that were made so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Stops the writers; an error when one had failed.
    pub async fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended??;
        }
        Ok(self.count())
    }
}

struct Writer {
    number: usize,
    client: Client,
    random: Random,
    /// The lease that puts name; 0 for none.
    lease: i64,
    kept_revisions: i64,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

pub fn op(request: Op) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

pub fn txn(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest {
        success,
        ..TxnRequest::default()
    }
}

fn prefix(prefix: String) -> DeleteRangeRequest {
    DeleteRangeRequest {
        range_end: prefix_end(prefix.as_bytes()).into(),
        key: prefix.into(),
        prev_kv: false,
    }
}

impl Writer {
    async fn run(mut self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            match self.step().await {
                // A short lease may have ended before its key was put.
                Err(status) if status.code() == Code::NotFound => self.lease = 0,
                Err(status) => return Err(status.into()),
                Ok(()) => {}
            }
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn key(&mut self) -> String {
        format!("live/{}/{}", self.number, self.random.below(KEYS))
    }

    async fn step(&mut self) -> Result<(), Status> {
        match self
            .random
            .weighted(&[600, 100, 100, 20, 40, 20, 30, 20, 3, 3, 5])
        {
            0 => self.put(0).await,
            1 => {
                let key = self.key();
                self.client.kv.delete_range(delete_of(&key)).await.map(drop)
            }
            2 => self.several().await,
            3 => {
                let some = prefix(format!("live/{}/1", self.number));
                self.client.kv.delete_range(some).await.map(drop)
            }
            4 => self.grant(600).await,
            5 => self.revoke(self.lease).await,
            6 => self.put_and_delete().await,
            7 => {
                self.grant(SHORT_TTL_SECONDS).await?;
                self.put(self.lease).await?;
                self.lease = 0;
                Ok(())
            }
            8 => {
                self.bulk(0).await?;
                let all = prefix(format!("bulk/{}/", self.number));
                self.client.kv.delete_range(all).await.map(drop)
            }
            9 => {
                self.grant(600).await?;
                self.bulk(self.lease).await?;
                self.revoke(self.lease).await
            }
            _ => self.compact().await,
        }
    }

    async fn put(&mut self, lease: i64) -> Result<(), Status> {
        let lease = if lease == 0 && self.random.percent(20) {
            self.lease
        } else {
            lease
        };
        let value = self.random.draw().to_string();
        let put = put_of(self.key(), value, lease);
        self.client.kv.put(put).await.map(drop)
    }

    /// Different keys, as a transaction demands.
    async fn several(&mut self) -> Result<(), Status> {
        let at = self.random.below(KEYS);
        let key = |step: usize| format!("live/{}/{}", self.number, (at + step) % KEYS);
        let operations = vec![
            op(Op::RequestPut(put_of(key(0), "several".into(), 0))),
            op(Op::RequestDeleteRange(delete_of(&key(1)))),
            op(Op::RequestPut(put_of(key(2), "several".into(), self.lease))),
            op(Op::RequestPut(put_of(key(3), String::new(), 0))),
        ];
        self.client.kv.txn(txn(operations)).await.map(drop)
    }

    /// One key twice in one revision, as servers take it.
    async fn put_and_delete(&mut self) -> Result<(), Status> {
        let key = self.key();
        let put = op(Op::RequestPut(put_of(key.clone(), "short".into(), 0)));
        let delete = op(Op::RequestDeleteRange(delete_of(&key)));
        let nested = |operation| op(Op::RequestTxn(txn(vec![operation])));
        let operations = vec![nested(put), nested(delete)];
        self.client.kv.txn(txn(operations)).await.map(drop)
    }

    async fn grant(&mut self, ttl: i64) -> Result<(), Status> {
        let granted = self
            .client
            .lease
            .lease_grant(LeaseGrantRequest { ttl, id: 0 });
        self.lease = granted.await?.into_inner().id;
        Ok(())
    }

    async fn revoke(&mut self, id: i64) -> Result<(), Status> {
        self.lease = 0;
        if id == 0 {
            return Ok(());
        }
        let revoked = self.client.lease.lease_revoke(LeaseRevokeRequest { id });
        revoked.await.map(drop)
    }

    /// Many keys, and with a lease also as many between them that have none.
    async fn bulk(&mut self, lease: i64) -> Result<(), Status> {
        for first in (0..BULK_KEYS).step_by(PUTS_MAX) {
            let keys = first..first + PUTS_MAX;
            let put = |key: usize| {
                let lease = if key.is_multiple_of(2) { lease } else { 0 };
                let key = format!("bulk/{}/{key:04}", self.number);
                op(Op::RequestPut(put_of(key, "bulk".into(), lease)))
            };
            self.client.kv.txn(txn(keys.map(put).collect())).await?;
        }
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), Status> {
        let newest = self
            .client
            .put(&format!("compacts/{}", self.number), "")
            .await?;
        let request = CompactionRequest {
            revision: newest - self.kept_revisions,
            physical: false,
        };
        match self.client.kv.compact(request).await {
            // Another writer has done it, or there is too little.
            Err(status) if status.code() != Code::OutOfRange => Err(status),
            _ => Ok(()),
        }
    }
}

/// Loads so many keys, with history, deletes, a revision of more operations than a flat transaction may have, and leases.
pub async fn load(url: &str, keys: usize) -> Result<()> {
    const LOADERS: usize = 4;
    let mut loaders = JoinSet::new();
    for loader in 0..LOADERS {
        let mut client = Client::connect(url).await?;
        loaders.spawn(async move {
            let put = |key: usize, value: &str| {
                let value = format!("{value} {key:0>64}");
                op(Op::RequestPut(put_of(format!("loaded/{key:08}"), value, 0)))
            };
            let own = (keys * loader / LOADERS)..(keys * (loader + 1) / LOADERS);
            for first in own.clone().step_by(PUTS_MAX) {
                let some = first..own.end.min(first + PUTS_MAX);
                let puts = some.map(|key| put(key, "first")).collect();
                client.kv.txn(txn(puts)).await?;
                client.kv.txn(txn(vec![put(first, "second")])).await?;
                client
                    .kv
                    .delete_range(delete_of(&format!("loaded/{:08}", first + 1)))
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(loaded) = loaders.join_next().await {
        loaded??;
    }
    let mut client = Client::connect(url).await?;
    for id in 1..=20 {
        client
            .lease
            .lease_grant(LeaseGrantRequest { ttl: 300 + id, id })
            .await?;
        if id % 2 == 0 {
            client
                .kv
                .put(put_of(format!("leased/{id}"), String::new(), id))
                .await?;
        }
    }
    let nested = (0..8).map(|outer| {
        let puts = (0..50).map(|inner| {
            op(Op::RequestPut(put_of(
                format!("deep/{outer}/{inner}"),
                String::new(),
                0,
            )))
        });
        op(Op::RequestTxn(txn(puts.collect())))
    });
    client.kv.txn(txn(nested.collect())).await?;
    Ok(())
}
