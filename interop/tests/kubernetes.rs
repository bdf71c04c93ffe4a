//! What a kube-apiserver asks of its store, told to etcd and to ours on three members each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options};
use interop::target::Target;
use interop::text::prefix_end;
use proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest,
    PutRequest, RangeRequest, RangeResponse, RequestOp, StatusRequest, TxnRequest, TxnResponse,
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, compare, request_op,
    response_op, watch_request,
};
use proto::mvccpb::event::EventType;
use proto::mvccpb::{Event, KeyValue};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

const PODS: &str = "/registry/pods/";

fn get(key: &str) -> RangeRequest {
    RangeRequest {
        key: key.to_owned().into(),
        limit: 1,
        ..Default::default()
    }
}

fn all(prefix: &str) -> RangeRequest {
    RangeRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix.as_bytes()).into(),
        ..Default::default()
    }
}

fn put(key: &str, value: &str, lease: i64) -> request_op::Request {
    request_op::Request::RequestPut(PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
        ..Default::default()
    })
}

fn delete(key: &str) -> request_op::Request {
    request_op::Request::RequestDeleteRange(DeleteRangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    })
}

/// A change that is made only if the key was last changed at `revision`; 0 is a key that is not there.
async fn if_unchanged(
    client: &mut Client,
    key: &str,
    revision: i64,
    change: request_op::Request,
) -> Result<TxnResponse, Status> {
    let operation = |request| RequestOp {
        request: Some(request),
    };
    let txn = TxnRequest {
        compare: vec![Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Mod.into(),
            key: key.to_owned().into(),
            target_union: Some(compare::TargetUnion::ModRevision(revision)),
            ..Default::default()
        }],
        success: vec![operation(change)],
        failure: vec![operation(request_op::Request::RequestRange(get(key)))],
    };
    Ok(client.kv.txn(txn).await?.into_inner())
}

fn revision(answer: &TxnResponse) -> i64 {
    answer.header.as_ref().map_or(0, |header| header.revision)
}

/// What stands in the other branch: the object as it is.
fn current(answer: &TxnResponse) -> Result<Option<KeyValue>> {
    ensure!(!answer.succeeded, "it was changed");
    match answer.responses.first().and_then(|op| op.response.clone()) {
        Some(response_op::Response::ResponseRange(range)) => Ok(range.kvs.into_iter().next()),
        other => anyhow::bail!("{other:?} is no range"),
    }
}

async fn range(client: &mut Client, request: RangeRequest) -> Result<RangeResponse, Status> {
    Ok(client.kv.range(request).await?.into_inner())
}

/// Created once, updated and deleted by whoever saw it last.
async fn objects_change_under_optimistic_locks([a, b, _]: &mut [Client; 3]) -> Result<()> {
    let key = "/registry/configmaps/default/lock";
    let created = if_unchanged(a, key, 0, put(key, "1", 0)).await?;
    assert!(created.succeeded);
    let twice = if_unchanged(b, key, 0, put(key, "other", 0)).await?;
    let found = current(&twice)?.context("it is there")?;
    assert_eq!((&found.value[..], found.version), (&b"1"[..], 1));
    assert_eq!(found.mod_revision, revision(&created));
    let updated = if_unchanged(b, key, found.mod_revision, put(key, "2", 0)).await?;
    assert!(updated.succeeded);
    let stale = if_unchanged(a, key, found.mod_revision, delete(key)).await?;
    let found = current(&stale)?.context("it is there")?;
    assert_eq!(found.mod_revision, revision(&updated));
    let deleted = if_unchanged(a, key, found.mod_revision, delete(key)).await?;
    assert!(deleted.succeeded && revision(&deleted) > revision(&updated));
    let gone = if_unchanged(b, key, found.mod_revision, put(key, "3", 0)).await?;
    assert_eq!(current(&gone)?, None);
    Ok(())
}

/// A list in pages is the list at the revision of its first page, whatever changes meanwhile.
async fn lists_come_in_pages_of_one_revision([a, b, _]: &mut [Client; 3]) -> Result<()> {
    for number in 0..25 {
        a.put(&format!("{PODS}page/{number:03}"), "old").await?;
    }
    let prefix = format!("{PODS}page/");
    let mut request = RangeRequest {
        limit: 10,
        ..all(&prefix)
    };
    let mut listed = Vec::new();
    loop {
        let page = range(b, request.clone()).await?;
        assert_eq!(page.count, 25 - i64::try_from(listed.len())?);
        let header = page.header.context("a header")?;
        if request.revision == 0 {
            request.revision = header.revision;
        }
        listed.extend(page.kvs);
        a.put(&format!("{PODS}page/{:03}", listed.len()), "new")
            .await?;
        a.put(&format!("{PODS}page/late-{}", listed.len()), "new")
            .await?;
        let last = listed.last().context("a page has keys")?;
        request.key = [&last.key[..], b"\0"].concat().into();
        if !page.more {
            break;
        }
    }
    assert_eq!(listed.len(), 25);
    assert!(listed.iter().all(|kv| kv.value == "old"));
    let count = RangeRequest {
        count_only: true,
        ..all(&prefix)
    };
    let counted = range(a, count).await?;
    assert_eq!((counted.count, counted.kvs.len()), (29, 0));
    let keys = RangeRequest {
        keys_only: true,
        ..all(&prefix)
    };
    let keys = range(b, keys).await?;
    assert!(keys.kvs.len() == 29 && keys.kvs.iter().all(|kv| kv.value.is_empty()));
    Ok(())
}

struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

impl Watching {
    /// As the watch cache does: with the values before, progress, and a leader wanted.
    async fn start(client: &mut Client, prefix: &str, from: i64) -> Result<Watching> {
        let create = WatchCreateRequest {
            key: prefix.to_owned().into(),
            range_end: prefix_end(prefix.as_bytes()).into(),
            start_revision: from,
            progress_notify: true,
            prev_kv: true,
            ..Default::default()
        };
        let (requests, sent) = mpsc::channel(4);
        let create = watch_request::RequestUnion::CreateRequest(create);
        requests.send(wrapped(create)).await?;
        let mut request = tonic::Request::new(ReceiverStream::new(sent));
        let wanted = "true".parse()?;
        request.metadata_mut().insert("hasleader", wanted);
        let answers = client.watch.watch(request).await?.into_inner();
        let mut watching = Watching { requests, answers };
        let created = watching.next().await?;
        ensure!(created.created && !created.canceled, "{created:?}");
        Ok(watching)
    }

    async fn next(&mut self) -> Result<WatchResponse> {
        let answer = timeout(ANSWER_TIMEOUT, self.answers.message()).await;
        answer.context("no answer")??.context("the stream ended")
    }

    async fn events(&mut self, count: usize) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().await?.events);
        }
        Ok(events)
    }
}

fn wrapped(union: watch_request::RequestUnion) -> WatchRequest {
    WatchRequest {
        request_union: Some(union),
    }
}

/// Every change comes with what was there before, and a request for progress is answered once all of them have come.
async fn watches_have_the_values_before([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let prefix = "/registry/services/";
    let key = "/registry/services/default/web";
    let first = if_unchanged(a, key, 0, put(key, "1", 0)).await?;
    let mut watching = Watching::start(b, prefix, revision(&first)).await?;
    let second = if_unchanged(c, key, revision(&first), put(key, "2", 0)).await?;
    let third = if_unchanged(c, key, revision(&second), delete(key)).await?;
    let events = watching.events(3).await?;
    let seen: Vec<(EventType, i64, Option<Vec<u8>>)> = events
        .into_iter()
        .map(|event| {
            let kind = event.r#type();
            let before = event.prev_kv.map(|kv| kv.value.to_vec());
            let at = event.kv.map_or(0, |kv| kv.mod_revision);
            (kind, at, before)
        })
        .collect();
    let expected = [
        (EventType::Put, revision(&first), None),
        (EventType::Put, revision(&second), Some(b"1".to_vec())),
        (EventType::Delete, revision(&third), Some(b"2".to_vec())),
    ];
    assert_eq!(seen, expected);
    // A consistent list from the cache asks again and again until the answer has the revision of a fresh read.
    c.put("/registry/other", "x").await?;
    let wanted = range(a, get("/registry/missing")).await?;
    let wanted = wanted.header.context("a header")?.revision;
    let progress = async {
        loop {
            let ask = watch_request::RequestUnion::ProgressRequest(WatchProgressRequest {});
            watching.requests.send(wrapped(ask)).await?;
            let answer = watching.next().await?;
            ensure!(
                answer.events.is_empty() && answer.watch_id == -1,
                "{answer:?}"
            );
            if answer.header.context("a header")?.revision >= wanted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(ANSWER_TIMEOUT, progress).await?
}

/// Of two apiservers one compacts: whoever raises the version of the key first.
async fn one_of_two_compacts([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let key = "compact_rev_key";
    let txn = |version: i64, value: &str| TxnRequest {
        compare: vec![Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Version.into(),
            key: key.into(),
            target_union: Some(compare::TargetUnion::Version(version)),
            ..Default::default()
        }],
        success: vec![RequestOp {
            request: Some(put(key, value, 0)),
        }],
        failure: vec![RequestOp {
            request: Some(request_op::Request::RequestRange(get(key))),
        }],
    };
    let old = a.put(&format!("{PODS}compacted"), "1").await?;
    a.put(&format!("{PODS}compacted"), "2").await?;
    let won = a.kv.txn(txn(0, "100")).await?.into_inner();
    assert!(won.succeeded);
    let lost = b.kv.txn(txn(0, "101")).await?.into_inner();
    assert_eq!(current(&lost)?.context("the winner's")?.value, "100");
    let next = b.kv.txn(txn(1, "102")).await?.into_inner();
    assert!(next.succeeded);
    let at = revision(&next);
    let compact = CompactionRequest {
        revision: at,
        physical: false,
    };
    b.kv.compact(compact).await?;
    let again = c.kv.compact(compact).await.expect_err("it is done");
    let text = "etcdserver: mvcc: required revision has been compacted";
    assert_eq!((again.code(), again.message()), (Code::OutOfRange, text));
    let past = RangeRequest {
        revision: old,
        limit: 500,
        ..all(PODS)
    };
    let refused = range(b, past).await.expect_err("it is compacted");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::OutOfRange, text)
    );
    let future = RangeRequest {
        revision: at + 1_000_000,
        ..get(key)
    };
    let refused = range(c, future).await.expect_err("it has not come");
    let text = "etcdserver: mvcc: required revision is a future revision";
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::OutOfRange, text)
    );
    let mut late = Watching::start(c, PODS, old).await?;
    let ended = late.next().await?;
    assert!(ended.canceled && ended.events.is_empty());
    assert_eq!(ended.compact_revision, at);
    Ok(())
}

/// Events of an hour share a lease that nobody renews.
async fn events_share_a_lease([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let grant = LeaseGrantRequest { ttl: 3660, id: 0 };
    let id = a.lease.lease_grant(grant).await?.into_inner().id;
    for number in 0..20 {
        let key = format!("/registry/events/default/{number}");
        let client = if number % 2 == 0 { &mut *b } else { &mut *c };
        let created = if_unchanged(client, &key, 0, put(&key, "x", id)).await?;
        assert!(created.succeeded);
    }
    let asked = LeaseTimeToLiveRequest { id, keys: true };
    let left = b.lease.lease_time_to_live(asked).await?.into_inner();
    assert_eq!((left.granted_ttl, left.keys.len()), (3660, 20));
    let listed = range(c, all("/registry/events/")).await?;
    assert!(listed.kvs.iter().all(|kv| kv.lease == id));
    Ok(())
}

/// The probe, and what decides which features are used.
async fn status_and_health_are_readable(clients: &mut [Client; 3]) -> Result<()> {
    for client in clients {
        let healthy = range(client, get("/registry/health")).await?;
        assert_eq!((healthy.kvs.len(), healthy.count), (0, 0));
        let status = client.maintenance.status(StatusRequest {}).await?;
        let status = status.into_inner();
        let parts: Vec<&str> = status.version.split('.').collect();
        let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        assert!(parts.len() == 3 && numbers.len() == 3, "{}", status.version);
        assert!(status.db_size > 0 && status.leader != 0 && status.errors.is_empty());
    }
    Ok(())
}

async fn story(target: Target) -> Result<()> {
    let cluster = Cluster::start(&target, &Options::steady_three()).await?;
    let mut clients = [
        cluster.client(0).await?,
        cluster.client(1).await?,
        cluster.client(2).await?,
    ];
    objects_change_under_optimistic_locks(&mut clients).await?;
    lists_come_in_pages_of_one_revision(&mut clients).await?;
    watches_have_the_values_before(&mut clients).await?;
    events_share_a_lease(&mut clients).await?;
    one_of_two_compacts(&mut clients).await?;
    status_and_health_are_readable(&mut clients).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_finds_what_it_wants_on_etcd() -> Result<()> {
    story(Target::etcd()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_finds_what_it_wants_on_ours() -> Result<()> {
    story(Target::mainstay()?).await
}

/// Newer apiservers list in a stream: its chunks together are the range.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_list_is_the_list() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = cluster.client(0).await?;
    for number in 0..300 {
        let value = "v".repeat(number * 10);
        client.put(&format!("{PODS}{number:04}"), &value).await?;
    }
    let whole = range(&mut client, all(PODS)).await?;
    let mut chunks = client.kv.range_stream(all(PODS)).await?.into_inner();
    let (mut merged, mut count) = (RangeResponse::default(), 0);
    while let Some(chunk) = chunks.message().await? {
        let chunk = chunk.range_response.context("a chunk has a part")?;
        count += 1;
        merged.kvs.extend(chunk.kvs);
        merged.header = chunk.header.or(merged.header);
        merged.more |= chunk.more;
        merged.count = merged.count.max(chunk.count);
    }
    assert!(count > 1, "it came in {count}");
    assert_eq!(merged, whole);
    Ok(())
}
