//! Rates by user and by prefix: refused exactly, and never what keeps leases and locks.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::etcdctl::Session;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use proto::mainstaypb::pipeline_client::PipelineClient;
use proto::v3lockpb::LockRequest;
use tonic::{Code, Status};

use super::start;

const REQUESTS: usize = 100;
const BURST: usize = 10;

fn is_too_many(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message() == "etcdserver: too many requests"
}

/// Of [`REQUESTS`], a rule takes the burst and one more a second, and refuses the rest.
async fn taken(mut ask: impl AsyncFnMut() -> Result<(), Status>) -> Result<()> {
    let began = Instant::now();
    let mut taken = 0;
    for _ in 0..REQUESTS {
        match ask().await {
            Ok(()) => taken += 1,
            Err(status) => ensure!(is_too_many(&status), "{status}"),
        }
    }
    let most = BURST + began.elapsed().as_secs() as usize + 1;
    ensure!(
        (BURST..=most).contains(&taken),
        "{taken} were taken, at most {most}"
    );
    Ok(())
}

async fn put(client: &mut Client, key: &str) -> Result<(), Status> {
    client.put(key, "v").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_a_stream_are_counted_one_by_one() -> Result<()> {
    let cluster = start(1, &["--rate-limit=prefix=/limited/,rate=1,burst=10"]).await?;
    let url = cluster.members[0].client_url();
    let mut pipeline = PipelineClient::connect(url).await?;
    taken(async || {
        let request = RequestOp {
            request: Some(Op::RequestPut(PutRequest {
                key: "/limited/k".into(),
                ..Default::default()
            })),
        };
        let txn = TxnRequest {
            success: vec![request],
            ..Default::default()
        };
        let mut answers = pipeline.txn(tokio_stream::iter([txn])).await?.into_inner();
        answers.message().await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_has_its_rate_whoever_asks_and_the_rest_has_none() -> Result<()> {
    let cluster = start(1, &["--rate-limit=prefix=/limited/,rate=1,burst=10"]).await?;
    let mut client = cluster.client(0).await?;
    taken(async || put(&mut client, "/limited/k").await).await?;
    // A range over everything touches the prefix too.
    let all = RangeRequest {
        key: b"\0".to_vec().into(),
        range_end: b"\0".to_vec().into(),
        ..Default::default()
    };
    let began = Instant::now();
    let mut refused = 0;
    for _ in 0..REQUESTS {
        refused += usize::from(
            client
                .kv
                .range(all.clone())
                .await
                .is_err_and(|s| is_too_many(&s)),
        );
    }
    // What came back meanwhile, one a second.
    let most = BURST + began.elapsed().as_secs() as usize + 1;
    ensure!(refused + most >= REQUESTS, "{refused} were refused");
    for _ in 0..REQUESTS {
        put(&mut client, "/free/k").await?;
    }
    let page = interop::http::get(cluster.members[0].client_port, "/metrics")?.body;
    let rule = "mainstay_rate_limited_total{rule=\"prefix=/limited/\"}";
    ensure!(page.contains(rule), "{rule} is missing");
    Ok(())
}

/// A lease is renewed and a lock is taken under a prefix whose rate is used up.
#[tokio::test(flavor = "multi_thread")]
async fn leases_and_locks_have_no_rate() -> Result<()> {
    let cluster = start(1, &["--rate-limit=prefix=lock,rate=1,burst=10"]).await?;
    let mut client = cluster.client(0).await?;
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };
    let lease = client.lease.lease_grant(grant).await?.into_inner().id;
    taken(async || put(&mut client, "lock-other").await).await?;
    let renewals = tokio_stream::iter(vec![LeaseKeepAliveRequest { id: lease }; REQUESTS]);
    let mut answers = client.lease.lease_keep_alive(renewals).await?.into_inner();
    for _ in 0..REQUESTS {
        let renewed = answers.message().await?.context("an answer")?;
        ensure!(renewed.ttl == 600, "{renewed:?}");
    }
    for _ in 0..BURST * 2 {
        let lock = LockRequest {
            name: b"lock".to_vec().into(),
            lease,
        };
        client.lock.lock(lock).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_rate_and_others_go_on() -> Result<()> {
    let cluster = start(1, &["--rate-limit=user=ann,rate=1,burst=10"]).await?;
    let url = cluster.members[0].client_url();
    let mut root = Session::new(url.clone());
    for line in [
        "user add root:r",
        "user grant-role root root",
        "role add all",
        "role grant-permission all readwrite --prefix k",
        "user add ann:a",
        "user grant-role ann all",
        "user add bob:b",
        "user grant-role bob all",
        "auth enable",
    ] {
        root.run(line)?;
    }
    let mut client = cluster.client(0).await?;
    let mut tokens = Vec::new();
    for (name, password) in [("ann", "a"), ("bob", "b")] {
        let request = proto::etcdserverpb::AuthenticateRequest {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        tokens.push(client.auth.authenticate(request).await?.into_inner().token);
    }
    let mut as_user = async |token: &str| {
        let mut request = tonic::Request::new(RangeRequest {
            key: b"k".to_vec().into(),
            ..Default::default()
        });
        let token = token.parse().expect("tokens are text");
        request.metadata_mut().insert("token", token);
        client.kv.range(request).await.map(drop)
    };
    taken(async || as_user(&tokens[0]).await).await?;
    for _ in 0..REQUESTS {
        as_user(&tokens[1]).await?;
    }
    let page = interop::http::get(cluster.members[0].client_port, "/metrics")?.body;
    let line = format!("mainstay_user_requests_total{{user=\"bob\"}} {REQUESTS}");
    ensure!(page.lines().any(|found| found == line), "{line} in {page}");
    Ok(())
}
