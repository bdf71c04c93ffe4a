//! The log of slow requests: etcd's text and names, what a request was about, and never a value.

use anyhow::{Context, Result, ensure};
use interop::cluster::Cluster;
use interop::text::prefix_end;
use proto::etcdserverpb::{Compare, RangeRequest, RequestOp, TxnRequest, request_op};
use serde_json::Value;

use super::{start, until};

/// What `store` bounds its lines to.
const LINES_PER_SECOND_MAX: usize = 10;
const APPLY: &str = "apply request took too long";

fn lines(cluster: &Cluster, text: &str) -> Vec<Value> {
    let log = cluster.members[0].log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["msg"] == text).collect()
}

async fn line_about(cluster: &Cluster, text: &str, (field, about): (&str, &str)) -> Result<Value> {
    let found = || {
        let lines = lines(cluster, text).into_iter();
        let mut lines = lines.filter(|line| line[field] == about);
        lines.next()
    };
    until(about, async || Ok(found().is_some())).await?;
    found().context("it was found a moment ago")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_is_logged_as_etcd_does_and_without_values() -> Result<()> {
    let cluster = start(1, &["--warning-apply-duration=1ns"]).await?;
    let mut client = cluster.client(0).await?;
    client.put("/a/b", "secret-value").await?;
    client.list("/a/").await?;
    let put = RequestOp {
        request: Some(request_op::Request::RequestPut(
            proto::etcdserverpb::PutRequest {
                key: b"/a/c".to_vec().into(),
                value: b"secret-value".to_vec().into(),
                ..Default::default()
            },
        )),
    };
    let txn = TxnRequest {
        compare: vec![Compare {
            key: b"/a/b".to_vec().into(),
            ..Default::default()
        }],
        success: vec![put.clone()],
        failure: vec![put],
    };
    client.kv.txn(txn).await?;
    let put = line_about(&cluster, APPLY, ("request", "key:\"/a/b\" value_size:12 ")).await?;
    ensure!(put["level"] == "warn" && put["prefix"] == "", "{put}");
    ensure!(put["expected-duration"] == "1ns", "{put}");
    ensure!(
        put["response"] == "size:0" && put["method"] == "Put",
        "{put}"
    );
    let about = "key:\"/a/\" range_end:\"/a0\" ";
    let range = line_about(&cluster, APPLY, ("request", about)).await?;
    ensure!(range["prefix"] == "read-only range ", "{range}");
    let response = range["response"].as_str().context("a response")?;
    ensure!(
        response.starts_with("range_response_count:1 size:"),
        "{range}"
    );
    for part in ["took", "barrier", "encode", "total"] {
        ensure!(range[part].is_string(), "{part} in {range}");
    }
    line_about(&cluster, APPLY, ("request", "key:\"/a/b\" operations:3 ")).await?;
    ensure!(
        !cluster.members[0].log().contains("secret"),
        "a value is in the log"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_slow_as_a_whole_is_logged_too_and_others_are_not() -> Result<()> {
    let slow = "--warning-unary-request-duration=1ns";
    let cluster = start(1, &["--warning-apply-duration=1h", slow]).await?;
    let mut client = cluster.client(0).await?;
    client.put("k", "v").await?;
    let about = ("request content", "key:\"k\" value_size:1 ");
    let line = line_about(&cluster, "request stats", about).await?;
    ensure!(line["response type"] == "Put", "{line}");
    ensure!(lines(&cluster, APPLY).is_empty(), "no apply was slow");

    let quiet = start(
        1,
        &[
            "--warning-apply-duration=1h",
            "--warning-unary-request-duration=1h",
        ],
    );
    let quiet = quiet.await?;
    quiet.client(0).await?.put("k", "v").await?;
    ensure!(lines(&quiet, "request stats").is_empty() && lines(&quiet, APPLY).is_empty());
    Ok(())
}

/// However many requests are slow, a second has so many lines; the lines say how many they leave out.
#[tokio::test(flavor = "multi_thread")]
async fn lines_about_slow_requests_are_few_and_count_the_rest() -> Result<()> {
    const REQUESTS: usize = 500;
    let cluster = start(1, &["--warning-apply-duration=1ns"]).await?;
    let mut client = cluster.client(0).await?;
    let began = std::time::Instant::now();
    let request = RangeRequest {
        key: b"/many/".to_vec().into(),
        range_end: prefix_end(b"/many/").into(),
        serializable: true,
        ..Default::default()
    };
    for _ in 0..REQUESTS {
        client.kv.range(request.clone()).await?;
    }
    let seconds_max = began.elapsed().as_secs() as usize + 2;
    let left_out = || -> u64 {
        let lines = lines(&cluster, APPLY);
        lines
            .iter()
            .filter_map(|line| line["left-out"].as_u64())
            .sum()
    };
    // The next second's first line has the number.
    until("lines are counted", async || {
        client.kv.range(request.clone()).await?;
        Ok(left_out() > 0)
    })
    .await?;
    let about_many = |line: &&Value| {
        line["request"]
            .as_str()
            .is_some_and(|text| text.contains("/many/"))
    };
    let written = lines(&cluster, APPLY).iter().filter(about_many).count();
    let most = (seconds_max + 2) * LINES_PER_SECOND_MAX;
    ensure!(
        written <= most && written < REQUESTS,
        "{written} lines, at most {most}"
    );
    Ok(())
}
