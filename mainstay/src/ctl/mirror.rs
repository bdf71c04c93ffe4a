//! make-mirror: keys of one cluster into another one, first as they are and then as they change.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest, WatchResponse,
};
use proto::mvccpb::KeyValue;
use proto::mvccpb::event::EventType;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::arguments::{Global, MakeMirror};
use super::watch::next_revision;
use super::{RECONNECT_PAUSE, Service, Session, is_lost, kv};
use crate::client::ANSWER_BYTES_MAX;

/// Keys that are read at a time.
const PAGE_KEYS: i64 = 1000;
/// Most bytes of keys and values in one transaction of the first copy; a larger pair goes alone.
const COPY_BYTES: usize = 512 << 10;
/// How often the number of mirrored changes is printed.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);
const ZERO: Bytes = Bytes::from_static(b"\0");

pub(super) async fn run(session: &Session, arguments: MakeMirror) -> Result<()> {
    if arguments.no_dest_prefix && !arguments.dest_prefix.is_empty() {
        misuse!(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one"
        );
    }
    let there = destination(&session.global, &arguments)?;
    let mut mirror = Mirror {
        here: kv::client(session).await?,
        there: kv::client(&there).await?,
        command_timeout: session.global.command_timeout,
        prefix: arguments.prefix.into_bytes().into(),
        operations_max: usize::from(arguments.max_txn_ops),
        dest_prefix: match (arguments.no_dest_prefix, arguments.dest_prefix) {
            (false, given) if !given.is_empty() => Some(given.into_bytes().into()),
            (false, _) => None,
            (true, _) => Some(Bytes::new()),
        },
        mirrored: 0,
    };
    let revision = if arguments.rev > 1 {
        arguments.rev - 1
    } else {
        mirror.copy().await?
    };
    mirror.follow(session, revision + 1).await
}

/// A session at the other cluster: nothing is taken over but times.
fn destination(global: &Global, arguments: &MakeMirror) -> Result<Session> {
    let global = Global {
        endpoints: vec![arguments.destination.clone()],
        cacert: arguments.dest_cacert.clone(),
        cert_file: arguments.dest_cert.clone(),
        key_file: arguments.dest_key.clone(),
        insecure_skip_tls_verify: false,
        insecure_transport: arguments.dest_insecure_transport,
        user: arguments.dest_user.clone(),
        password: arguments.dest_password.clone(),
        ..global.clone()
    };
    let user = super::user(&global)?;
    Session::new(global, user)
}

struct Mirror {
    here: KvClient<Service>,
    there: KvClient<Service>,
    command_timeout: Duration,
    prefix: Bytes,
    /// None when keys keep their prefix.
    dest_prefix: Option<Bytes>,
    operations_max: usize,
    mirrored: u64,
}

impl Mirror {
    /// Where the keys end that are mirrored.
    fn range_end(&self) -> Bytes {
        kv::prefix_end(&self.prefix).unwrap_or(ZERO)
    }

    fn first_key(&self) -> Bytes {
        if self.prefix.is_empty() {
            ZERO
        } else {
            self.prefix.clone()
        }
    }

    fn key_there(&self, key: &Bytes) -> Bytes {
        match &self.dest_prefix {
            None => key.clone(),
            Some(prefix) => [prefix, &key[self.prefix.len()..]].concat().into(),
        }
    }

    fn put(&self, pair: KeyValue) -> RequestOp {
        let put = PutRequest {
            key: self.key_there(&pair.key),
            value: pair.value,
            ..PutRequest::default()
        };
        RequestOp {
            request: Some(Request::RequestPut(put)),
        }
    }

    fn delete(&self, key: &Bytes) -> RequestOp {
        let delete = DeleteRangeRequest {
            key: self.key_there(key),
            ..DeleteRangeRequest::default()
        };
        RequestOp {
            request: Some(Request::RequestDeleteRange(delete)),
        }
    }

    /// Copies every key as of now; the revision that now is.
    async fn copy(&mut self) -> Result<i64> {
        let mut revision = 0;
        let mut key = self.first_key();
        loop {
            let request = RangeRequest {
                key,
                range_end: self.range_end(),
                limit: PAGE_KEYS,
                revision,
                ..RangeRequest::default()
            };
            let page = super::within(self.command_timeout, self.here.range(request)).await?;
            if revision == 0 {
                revision = page.header.unwrap_or_default().revision;
            }
            let last = page.kvs.last().map(|pair| pair.key.clone());
            let (mut batch, mut batch_bytes) = (Vec::new(), 0);
            for pair in page.kvs {
                let pair_bytes = pair.key.len() + pair.value.len();
                if batch.len() == self.operations_max || batch_bytes + pair_bytes > COPY_BYTES {
                    self.write(std::mem::take(&mut batch)).await?;
                    batch_bytes = 0;
                }
                batch_bytes += pair_bytes;
                batch.push(self.put(pair));
            }
            self.write(batch).await?;
            match last.filter(|_| page.more) {
                None => return Ok(revision),
                Some(last) => key = [&last[..], &ZERO].concat().into(),
            }
        }
    }

    /// Changes from a revision on, of the endpoint behind those that were left.
    async fn watch(
        &self,
        session: &Session,
        (left, from): (usize, i64),
    ) -> Result<Streaming<WatchResponse>> {
        let create = WatchCreateRequest {
            key: self.first_key(),
            range_end: self.range_end(),
            start_revision: from,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        let requests = tokio_stream::once(request).chain(tokio_stream::pending());
        let client = WatchClient::new(session.channel_beyond(left).await?);
        let mut client = client.max_decoding_message_size(ANSWER_BYTES_MAX);
        let requests = super::watch::with_leader(requests);
        Ok(client.watch(requests).await?.into_inner())
    }

    /// Mirrors changes from a revision on, until the watch ends. When its member is gone, another one goes on.
    async fn follow(&mut self, session: &Session, mut from: i64) -> Result<()> {
        let mut left = 0;
        let mut answers = self.watch(session, (left, from)).await?;
        let mut count = interval_at(Instant::now() + COUNT_INTERVAL, COUNT_INTERVAL);
        count.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let answer = tokio::select! {
                answer = answers.next() => answer.context("the watch has ended")?,
                _ = count.tick() => {
                    outln!("{}", self.mirrored);
                    continue;
                }
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(status) if is_lost(&status) => {
                    left += 1;
                    sleep(RECONNECT_PAUSE).await;
                    answers = self.watch(session, (left, from)).await?;
                    continue;
                }
                Err(status) => return Err(status.into()),
            };
            if answer.compact_revision != 0 {
                bail!("etcdserver: mvcc: required revision has been compacted");
            }
            if answer.canceled {
                bail!("the watch was canceled: {}", answer.cancel_reason);
            }
            let next = next_revision(&answer, from);
            self.replay(answer).await?;
            from = next;
        }
    }

    /// Each revision in a transaction of its own, as far as its operations fit into one.
    async fn replay(&mut self, answer: WatchResponse) -> Result<()> {
        let (mut batch, mut batch_revision) = (Vec::new(), 0);
        for event in answer.events {
            let kind = event.r#type();
            let pair = event.kv.context("an event without a key")?;
            if pair.mod_revision != batch_revision || batch.len() == self.operations_max {
                self.write(std::mem::take(&mut batch)).await?;
                batch_revision = pair.mod_revision;
            }
            batch.push(match kind {
                EventType::Put => self.put(pair),
                EventType::Delete => self.delete(&pair.key),
            });
        }
        self.write(batch).await
    }

    async fn write(&mut self, success: Vec<RequestOp>) -> Result<()> {
        if success.is_empty() {
            return Ok(());
        }
        let count = success.len() as u64;
        let request = TxnRequest {
            success,
            ..TxnRequest::default()
        };
        super::within(self.command_timeout, self.there.txn(request)).await?;
        self.mirrored += count;
        Ok(())
    }
}
