//! The requests of everyday use, for workloads of one's own; `Actor::request` takes all others.

use check::history::{
    Answer, Blob, Compare, CompareResult, CompareTarget, DeleteRange, KeyValue, LeaseGrant,
    LeaseKeepAlive, Put, Range, Request, Txn,
};

use super::{Actor, NoAnswer};

impl Actor {
    /// Reads a key, linearizably.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn get(&mut self, key: &str) -> Result<Option<KeyValue>, NoAnswer> {
        let response = self.request(get(key)).await?;
        Ok(match response.answer {
            Answer::Range(ranged) => ranged.kvs.into_iter().next(),
            _ => None,
        })
    }

    /// Writes a key. The value has to be one that is written nowhere else in the run: see [`Actor::value`].
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn put(&mut self, key: &str, value: impl Into<Blob>) -> Result<(), NoAnswer> {
        self.request(put(key, value.into(), 0)).await.map(drop)
    }

    /// Writes a key that is not there, and says whether it was not. With a lease above 0 it ends with the lease.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn create(
        &mut self,
        key: &str,
        value: impl Into<Blob>,
        lease: i64,
    ) -> Result<bool, NoAnswer> {
        self.guarded(key, 0, put(key, value.into(), lease)).await
    }

    /// Writes a key that nobody has written since `mod_revision`, and says whether that was so.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn put_if_unchanged(
        &mut self,
        key: &str,
        mod_revision: i64,
        value: impl Into<Blob>,
    ) -> Result<bool, NoAnswer> {
        let write = put(key, value.into(), 0);
        self.guarded(key, mod_revision, write).await
    }

    /// Deletes a key that nobody has written since `mod_revision`, and says whether that was so.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn delete_if_unchanged(
        &mut self,
        key: &str,
        mod_revision: i64,
    ) -> Result<bool, NoAnswer> {
        let delete = Request::DeleteRange(DeleteRange {
            key: key.into(),
            ..DeleteRange::default()
        });
        self.guarded(key, mod_revision, delete).await
    }

    /// A new lease of `ttl_seconds`, by its id. etcd raises a time that is too short for its elections.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn grant(&mut self, ttl_seconds: i64) -> Result<i64, NoAnswer> {
        let grant = LeaseGrant {
            id: self.lease_id(),
            ttl: ttl_seconds,
        };
        self.request(Request::LeaseGrant(grant)).await?;
        Ok(grant.id)
    }

    /// Renews a lease; the seconds it has again, and 0 or less if it has ended.
    ///
    /// # Errors
    /// As [`Actor::request`].
    pub async fn keep_alive(&mut self, lease: i64) -> Result<i64, NoAnswer> {
        let renew = Request::LeaseKeepAlive(LeaseKeepAlive { id: lease });
        Ok(match self.request(renew).await?.answer {
            Answer::LeaseKeepAlive(time) => time.ttl,
            _ => 0,
        })
    }

    /// A write in a txn that compares the key's last change.
    async fn guarded(
        &mut self,
        key: &str,
        mod_revision: i64,
        write: Request,
    ) -> Result<bool, NoAnswer> {
        let txn = Txn {
            compare: vec![Compare {
                key: key.into(),
                range_end: Blob::default(),
                result: CompareResult::Equal,
                target: CompareTarget::Mod(mod_revision),
            }],
            success: vec![write],
            failure: Vec::new(),
        };
        let response = self.request(Request::Txn(txn)).await?;
        Ok(matches!(response.answer, Answer::Txn(txn) if txn.succeeded))
    }
}

fn get(key: &str) -> Request {
    Request::Range(Range {
        key: key.into(),
        ..Range::default()
    })
}

fn put(key: &str, value: Blob, lease: i64) -> Request {
    Request::Put(Put {
        key: key.into(),
        value,
        lease,
        ..Put::default()
    })
}
