//! What is wrong from outside gets one clear refusal, and leaves data and other clients alone.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT, free_port};
use interop::http;
use interop::random::Random;
use interop::target::Target;
use proto::etcdserverpb::PutRequest;
use tokio::time::{Instant, sleep};
use tonic::Code;

const HALF_OPEN_CONNECTIONS: usize = 200;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn one() -> Result<Cluster> {
    Cluster::start(&Target::mainstay()?, &Options::default()).await
}

/// Runs a command that is to end by itself.
fn run_to_end(command: &mut Command) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = std::time::Instant::now() + READY_TIMEOUT;
    loop {
        if child.try_wait()?.is_some() {
            return Ok(child.wait_with_output()?);
        }
        if std::time::Instant::now() > deadline {
            child.kill()?;
            let output = child.wait_with_output()?;
            bail!("it does not end; it wrote {}", text(&output));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A server of its own with these flags, after a free set of addresses.
fn server(flags: &[&str]) -> Result<Command> {
    let (client, peer) = (free_port()?, free_port()?);
    let mut command = Target::mainstay()?.command();
    command.args([
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
    ]);
    command.args(flags);
    Ok(command)
}

/// Checks that a server with these flags ends with an error that says one of `words`.
fn assert_refused(command: &mut Command, code: Option<i32>, words: &[&str]) -> Result<()> {
    let output = run_to_end(command)?;
    let written = text(&output);
    ensure!(
        !output.status.success(),
        "it ended well and wrote {written}"
    );
    if code.is_some() {
        ensure!(
            output.status.code() == code,
            "exit code {:?}: {written}",
            output.status.code()
        );
    }
    let lower = written.to_lowercase();
    ensure!(
        words.iter().any(|word| lower.contains(word)),
        "none of {words:?} in: {written}"
    );
    ensure!(!lower.contains("panicked"), "it panicked: {written}");
    Ok(())
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(contents(&path)?);
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path)?);
        }
    }
    Ok(found)
}

async fn assert_serves(cluster: &Cluster, key: &str) -> Result<()> {
    let mut client = cluster.client(0).await?;
    client.put(key, "still here").await?;
    assert_eq!(client.get(key).await?.as_deref(), Some("still here"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_client_port_hurts_nobody() -> Result<()> {
    let cluster = one().await?;
    let port = cluster.members[0].client_port;
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for round in 0..60 {
        let length = 1 + random.below(20_000);
        let noise: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let bytes = match round % 3 {
            0 => noise,
            // A good start, then frames that are none.
            1 => [HTTP2_PREFACE, &noise].concat(),
            _ => [
                &b"POST /etcdserverpb.KV/Put HTTP/1.1\r\n"[..],
                &noise,
                b"\r\n\r\n",
            ]
            .concat(),
        };
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        // The server may hang up in the middle.
        stream.write_all(&bytes).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answer = Vec::new();
        let over = stream.read_to_end(&mut answer);
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        ensure!(
            over.is_ok() || over.as_ref().is_err_and(reset),
            "round {round}: {over:?}"
        );
    }
    assert_serves(&cluster, "after noise").await
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_requests_get_http1_answers() -> Result<()> {
    let cluster = one().await?;
    let port = cluster.members[0].client_port;
    assert_eq!(http::get(port, "/nothing/here")?.status, 404);
    let health = http::get(port, "/health")?;
    assert_eq!(health.status, 200);
    let health: serde_json::Value = serde_json::from_str(health.body.trim())?;
    assert_eq!(health["health"], "true");
    let version: serde_json::Value = serde_json::from_str(&http::get(port, "/version")?.body)?;
    assert!(version["etcdserver"].is_string(), "{version}");
    assert!(
        http::get(port, "/metrics")?
            .body
            .contains("etcd_server_has_leader")
    );
    // The connection is closed, with or without a word.
    http::exchange(port, b"NONSENSE\r\n\r\n")?;
    assert_serves(&cluster, "after http").await
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_requests_are_refused_and_not_stored() -> Result<()> {
    let cluster = one().await?;
    let mut client = cluster.client(0).await?;
    let mut put = async |bytes: usize| {
        let value = vec![b'x'; bytes].into();
        let request = PutRequest {
            key: "large".into(),
            value,
            ..Default::default()
        };
        client.kv.put(request).await
    };
    let refused = put(1_600_000).await.expect_err("over the request limit");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "etcdserver: request is too large");
    let refused = put(3_000_000)
        .await
        .expect_err("over the transport's limit");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    put(1_500_000).await?;
    let stored = cluster
        .client(0)
        .await?
        .get("large")
        .await?
        .context("it is stored")?;
    assert_eq!(stored.len(), 1_500_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_do_not_block_service_or_shutdown() -> Result<()> {
    let mut cluster = one().await?;
    let port = cluster.members[0].client_port;
    let mut held = Vec::new();
    for number in 0..HALF_OPEN_CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        // Nothing, half a preface, a preface without settings.
        stream.write_all(&HTTP2_PREFACE[..[0, 9, HTTP2_PREFACE.len()][number % 3]])?;
        held.push(stream);
    }
    assert_serves(&cluster, "beside half-open connections").await?;
    let status = cluster.members[0].terminate().await?;
    println!("ended with {status}");
    drop(held);
    cluster.start_all().await?;
    assert_eq!(
        cluster
            .client(0)
            .await?
            .get("beside half-open connections")
            .await?
            .as_deref(),
        Some("still here")
    );
    Ok(())
}

#[test]
fn wrong_flags_end_the_server_with_a_message() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = format!("--data-dir={}", folder.path().join("data").display());
    let wrong = |flag: &str| server(&[&data, flag]);
    assert_refused(&mut wrong("--no-such-flag")?, Some(2), &["no-such-flag"])?;
    assert_refused(
        &mut wrong("--listen-client-urls=nonsense")?,
        None,
        &["url", "nonsense"],
    )?;
    assert_refused(
        &mut wrong("--heartbeat-interval=soon")?,
        None,
        &["heartbeat-interval"],
    )?;
    ensure!(
        !folder.path().join("data").exists(),
        "something was written"
    );
    assert_refused(
        &mut wrong("--initial-cluster=other=http://127.0.0.1:1")?,
        None,
        &["initial-cluster", "initial cluster", "default"],
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_folder_is_refused() -> Result<()> {
    let cluster = one().await?;
    assert_serves(&cluster, "first").await?;
    let data = format!("--data-dir={}", cluster.members[0].data_dir.display());
    // Other ports, the same folder and name.
    let mut second = server(&[&data, "--name=default"])?;
    assert_refused(&mut second, None, &["lock", "in use", "another process"])?;
    assert_eq!(
        cluster.client(0).await?.get("first").await?.as_deref(),
        Some("still here")
    );
    assert_serves(&cluster, "second").await
}

#[test]
fn a_port_in_use_ends_the_server_with_a_message() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", taken.local_addr()?);
    let data = format!("--data-dir={}", folder.path().join("data").display());
    let mut client = server(&[&data, &format!("--listen-client-urls={url}")])?;
    assert_refused(&mut client, Some(1), &["address already in use"])?;
    let data = format!("--data-dir={}", folder.path().join("other").display());
    let mut peer = server(&[&data, &format!("--listen-peer-urls={url}")])?;
    assert_refused(&mut peer, Some(1), &["address already in use"])
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_others_are_refused_and_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a-file");
    std::fs::write(&file, "mine")?;
    let data = format!("--data-dir={}", file.display());
    assert_refused(
        &mut server(&[&data])?,
        None,
        &["a-file", "directory", "folder"],
    )?;
    assert_eq!(std::fs::read(&file)?, b"mine");

    let mut etcd = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    etcd.client(0).await?.put("of", "etcd").await?;
    etcd.kill_all()?;
    let before = contents(&etcd.members[0].data_dir)?;
    let data = format!("--data-dir={}", etcd.members[0].data_dir.display());
    assert_refused(
        &mut server(&[&data])?,
        None,
        &["data", "folder", "director"],
    )?;
    ensure!(
        contents(&etcd.members[0].data_dir)? == before,
        "etcd's files were changed"
    );
    Ok(())
}

/// A member that was set up for another cluster neither joins nor disturbs.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_cluster_does_not_get_in() -> Result<()> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::three())?;
    let token = cluster.members[2]
        .flags
        .iter()
        .position(|flag| flag == "interop");
    cluster.members[2].flags[token.context("a token")?] = "another".to_owned();
    for member in &mut cluster.members {
        member.start()?;
    }
    cluster.members[0].wait_ready().await?;
    cluster.members[1].wait_ready().await?;
    assert_serves(&cluster, "two of three").await?;
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let log = cluster
            .members
            .iter()
            .map(|member| member.log())
            .collect::<String>();
        if log.to_lowercase().contains("another cluster") {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "nobody says that a stranger is there: {log}"
        );
        sleep(POLL_INTERVAL).await;
    }
    if cluster.members[2].is_running() {
        let mut stranger = Client::connect(&cluster.members[2].client_url()).await?;
        let read = tokio::time::timeout(Duration::from_secs(2), stranger.get("two of three")).await;
        ensure!(!matches!(read, Ok(Ok(_))), "the stranger answers: {read:?}");
    }
    assert_serves(&cluster, "two of three").await
}
