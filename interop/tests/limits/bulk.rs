//! Large ranges: what they take of memory has a bound, and nothing else waits behind them.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::Cluster;
use interop::text::prefix_end;
use prost::Message;
use proto::etcdserverpb::range_request::SortOrder;
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, RangeRequest};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::{Body as _, http};
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::{metric, start, until};

const PREFIX: &[u8] = b"big/";
const VALUE_BYTES: usize = 256 << 10;
/// HTTP/2's smallest usual window: a client that does not read takes no more than this.
const WINDOW_BYTES: u32 = 65_535;
/// Memory for answers, in which seven of [`LARGE_BYTES`] fit.
const MEMORY: &str = "--range-answers-bytes-max=67108864";
const LARGE_BYTES: usize = 8 << 20;
const FIT: usize = 7;

fn whole() -> RangeRequest {
    RangeRequest {
        key: PREFIX.to_vec().into(),
        range_end: prefix_end(PREFIX).into(),
        ..Default::default()
    }
}

/// Puts keys under [`PREFIX`] that are so large together.
async fn fill(client: &mut Client, bytes: usize) -> Result<()> {
    let value = "v".repeat(VALUE_BYTES);
    for number in 0..bytes / VALUE_BYTES {
        client.put(&format!("big/{number:03}"), &value).await?;
    }
    Ok(())
}

/// An answer of which nothing is read until it is asked for.
struct Unread(http::Response<Body>);

impl Unread {
    /// Asks for everything under [`PREFIX`], over a connection of its own.
    async fn ask(url: &str) -> Result<Unread> {
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let mut channel = endpoint.connect().await?;
        let message = String::from_utf8(whole().encode_to_vec())?;
        // A frame of gRPC: not compressed, and its length, which is short here.
        let length = char::from(u8::try_from(message.len())?);
        let body = Body::new(format!("\0\0\0\0{length}{message}"));
        let request = http::Request::post(format!("{url}/etcdserverpb.KV/Range"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)?;
        let answer = channel.ready().await?.call(request).await?;
        Ok(Unread(answer))
    }

    fn refusal(&self) -> Option<Status> {
        Status::from_header_map(self.0.headers()).filter(|status| status.code() != Code::Ok)
    }

    /// Bytes of the whole body.
    async fn read(self) -> Result<usize> {
        let mut body = self.0.into_body();
        let mut bytes = 0;
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            if let Ok(data) = frame?.into_data() {
                bytes += data.len();
            }
        }
        Ok(bytes)
    }
}

/// So many clients ask for everything; those that were answered and read nothing yet, and the refusals.
async fn crowd(cluster: &Cluster, clients: usize) -> Result<(Vec<Unread>, Vec<Status>)> {
    let mut asking = JoinSet::new();
    for _ in 0..clients {
        let url = cluster.members[0].client_url();
        asking.spawn(async move { Unread::ask(&url).await });
    }
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    while let Some(asked) = asking.join_next().await {
        let asked = asked??;
        match asked.refusal() {
            Some(status) => refused.push(status),
            None => answered.push(asked),
        }
    }
    Ok((answered, refused))
}

fn is_too_many(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message() == "etcdserver: too many requests"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_that_read_a_large_range_slowly_take_so_much_memory_and_no_more()
-> Result<()> {
    const CLIENTS: usize = 100;
    /// Twice what is counted, for an answer is there twice while it is written, and the connections' buffers.
    const GROWTH_BYTES_MAX: u64 = 2 * (64 << 20) + CLIENTS as u64 * (1 << 20);
    let cluster = start(1, &[MEMORY]).await?;
    let mut client = cluster.client(0).await?;
    fill(&mut client, LARGE_BYTES).await?;
    let before = metric(&cluster, "process_resident_memory_bytes")?;
    let (answered, refused) = crowd(&cluster, CLIENTS).await?;
    let after = metric(&cluster, "process_resident_memory_bytes")?;
    ensure!(answered.len() == FIT, "{} were answered", answered.len());
    ensure!(refused.iter().all(is_too_many), "{refused:?}");
    let growth = after.saturating_sub(before);
    println!("memory grew by {growth} bytes");
    ensure!(growth <= GROWTH_BYTES_MAX, "memory grew by {growth} bytes");
    let held = metric(&cluster, "mainstay_range_answers_bytes")?;
    ensure!(held >= (FIT * LARGE_BYTES) as u64, "{held} bytes are held");
    for unread in answered {
        ensure!(unread.read().await? > LARGE_BYTES);
    }
    until("memory is free", async || {
        Ok(metric(&cluster, "mainstay_range_answers_bytes")? == 0)
    })
    .await?;
    let all = client.kv.range(whole()).await?.into_inner();
    ensure!(all.count == (LARGE_BYTES / VALUE_BYTES) as i64);
    Ok(())
}

/// Whatever waits for the memory of large answers still waits when all this is done.
async fn small_things_go_on(cluster: &Cluster, lease: i64) -> Result<()> {
    let mut client = cluster.client(0).await?;
    let renew = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
    let mut answers = client.lease.lease_keep_alive(renew).await?.into_inner();
    let renewed = answers.message().await?.context("an answer")?;
    ensure!(renewed.ttl == 600, "the lease is renewed: {renewed:?}");
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };
    client.lease.lease_grant(grant).await?;
    client.put("small", "1").await?;
    ensure!(client.get("small").await?.as_deref() == Some("1"));
    ensure!(
        client
            .get("big/000")
            .await?
            .is_some_and(|value| value.len() == VALUE_BYTES)
    );
    let lock = proto::v3lockpb::LockRequest {
        name: b"lock".to_vec().into(),
        lease,
    };
    client.lock.lock(lock).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_small_waits_behind_large_ranges_and_their_queue_has_an_end() -> Result<()> {
    /// What `store` lets wait.
    const WAITING_MAX: u64 = 256;
    let cluster = start(1, &[MEMORY, "--bulk-ranges-max=1"]).await?;
    let mut client = cluster.client(0).await?;
    fill(&mut client, LARGE_BYTES).await?;
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };
    let lease = client.lease.lease_grant(grant).await?.into_inner().id;
    // The memory is taken by answers that nobody reads.
    let (held, _) = crowd(&cluster, FIT).await?;
    ensure!(held.len() == FIT);
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING_MAX {
        let mut client = client.clone();
        waiting.spawn(async move { client.kv.range(whole()).await });
    }
    until("they wait", async || {
        Ok(metric(&cluster, "mainstay_bulk_ranges_waiting")? == WAITING_MAX)
    })
    .await?;
    small_things_go_on(&cluster, lease).await?;
    let refused = client.kv.range(whole()).await;
    ensure!(
        refused.is_err_and(|status| is_too_many(&status)),
        "the queue is full"
    );
    let still = metric(&cluster, "mainstay_bulk_ranges_waiting")?;
    ensure!(
        still == WAITING_MAX,
        "{still} wait: what is small did not wait for them"
    );
    // Once the answers are read, those that wait are served, as far as their time is not over.
    for unread in held {
        unread.read().await?;
    }
    let mut served = 0;
    while let Some(done) = waiting.join_next().await {
        match done? {
            Ok(_) => served += 1,
            Err(status) => ensure!(is_too_many(&status), "{status}"),
        }
    }
    ensure!(served > 0, "none of those that waited was served");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_all_memory_is_refused_and_the_refusal_says_what_to_do() -> Result<()> {
    const BYTES: usize = 24 << 20;
    let cluster = start(1, &["--range-answers-bytes-max=16777216"]).await?;
    let mut client = cluster.client(0).await?;
    fill(&mut client, BYTES).await?;
    let refused = client.kv.range(whole()).await.err().context("refused")?;
    ensure!(refused.code() == Code::ResourceExhausted, "{refused}");
    for word in [
        "--range-answers-bytes-max",
        "16777216",
        "limit",
        "RangeStream",
    ] {
        ensure!(refused.message().contains(word), "{word} in {refused}");
    }
    let limited = RangeRequest {
        limit: 8,
        ..whole()
    };
    let some = client.kv.range(limited).await?.into_inner();
    ensure!(some.kvs.len() == 8 && some.more);
    // The answer is one key, whatever it is chosen from.
    let last = RangeRequest {
        limit: 1,
        sort_order: SortOrder::Descend.into(),
        ..whole()
    };
    let last = client.kv.range(last).await?.into_inner();
    ensure!(last.kvs.len() == 1 && last.more);
    let keys = RangeRequest {
        keys_only: true,
        ..whole()
    };
    let keys = client.kv.range(keys).await?.into_inner();
    ensure!(keys.kvs.len() == BYTES / VALUE_BYTES);
    let mut chunks = client.kv.range_stream(whole()).await?.into_inner();
    let mut bytes = 0;
    while let Some(chunk) =
        tokio::time::timeout(Duration::from_secs(20), chunks.message()).await??
    {
        let kvs = chunk.range_response.context("a chunk")?.kvs;
        bytes += kvs.iter().map(|kv| kv.value.len()).sum::<usize>();
    }
    ensure!(bytes == BYTES, "{bytes} bytes were streamed");
    Ok(())
}
