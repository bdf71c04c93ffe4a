//! Transactions in a stream: taken and answered in their order, each as if it had been sent alone; unknown to etcd.

use anyhow::{Context, Result};
use interop::auth::{enable_with_ann, put};
use interop::cluster::{Cluster, Options};
use interop::target::Target;
use interop::traffic::{op, txn};
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{Compare, TxnRequest};
use proto::mainstaypb::pipeline_client::PipelineClient;
use tonic::Code;

/// Puts a key if the one before has this version.
fn chained(version: i64) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Version.into(),
            key: "a".into(),
            target_union: Some(TargetUnion::Version(version)),
            ..Compare::default()
        }],
        ..txn(vec![op(Op::RequestPut(put("a", 0, false)))])
    }
}

async fn pipeline(cluster: &Cluster) -> Result<PipelineClient<tonic::transport::Channel>> {
    Ok(PipelineClient::connect(cluster.members[0].client_url()).await?)
}

#[tokio::test]
async fn transactions_follow_one_another_without_a_wait() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let requests = tokio_stream::iter((0..2_000).map(chained));
    let mut answers = pipeline(&cluster).await?.txn(requests).await?.into_inner();
    for number in 0..2_000 {
        let answer = answers.message().await?.context("an answer for each")?;
        let revision = answer.header.context("a header")?.revision;
        assert_eq!((answer.succeeded, revision), (true, number + 2));
    }
    assert!(answers.message().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_refused_transaction_ends_the_stream_with_its_reason() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let leased = txn(vec![op(Op::RequestPut(put("a", 7, false)))]);
    let requests = tokio_stream::iter([chained(0), leased, chained(9)]);
    let mut answers = pipeline(&cluster).await?.txn(requests).await?.into_inner();
    assert!(answers.message().await?.context("an answer")?.succeeded);
    let refusal = answers.message().await.unwrap_err();
    assert_eq!(refusal.message(), "etcdserver: requested lease not found");
    Ok(())
}

#[tokio::test]
async fn it_is_judged_like_any_other_write() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    enable_with_ann(&mut cluster.client(0).await?).await?;
    let requests = tokio_stream::iter([chained(0)]);
    let mut answers = pipeline(&cluster).await?.txn(requests).await?.into_inner();
    let refusal = answers.message().await.unwrap_err();
    assert_eq!(refusal.message(), "etcdserver: user name is empty");
    Ok(())
}

#[tokio::test]
async fn etcd_does_not_know_it() -> Result<()> {
    let cluster = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    let requests = tokio_stream::iter([chained(0)]);
    let refusal = pipeline(&cluster).await?.txn(requests).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    Ok(())
}
