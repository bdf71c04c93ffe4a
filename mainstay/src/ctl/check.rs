//! check perf and check datascale: whether a cluster is fast enough, and how much memory keys take.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arguments::{AllMembers, Check, Load};
use super::failure::{Failure, UNSUPPORTED_EXIT_CODE};
use super::words::invalid;
use super::{Service, Session, cluster, kv, members, message};

/// Time for removing the keys again.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest page of metrics that is read.
const METRICS_BYTES_MAX: u64 = 16 << 20;
const MEMORY: &str = "process_resident_memory_bytes ";
/// Bytes of a key behind its prefix, and of a value.
const PERF_BYTES: (usize, usize) = (256, 1024);
const DATASCALE_BYTES: (usize, usize) = (512, 512);

/// How much a workload is. The figures are etcdctl's.
struct Model {
    clients: usize,
    puts_per_second: u32,
    puts: u64,
}

fn model(load: &str) -> Result<Model> {
    let (clients, puts_per_second, puts) = match load {
        "s" | "small" => (50, 150, 10_000),
        "m" | "medium" => (200, 1_000, 100_000),
        "l" | "large" => (500, 8_000, 1_000_000),
        "xl" | "xLarge" => (1_000, 15_000, 3_000_000),
        _ => {
            let text = format!("unknown load option {load}");
            return Err(Failure::new(UNSUPPORTED_EXIT_CODE, text).into());
        }
    };
    Ok(Model {
        clients,
        puts_per_second,
        puts,
    })
}

pub(super) async fn run(session: &Session, check: Check) -> Result<()> {
    match check {
        Check::Perf {
            load,
            prefix,
            duration,
        } => perf(session, &load, &prefix, duration).await,
        Check::Datascale { load, prefix } => datascale(session, &load, &prefix).await,
    }
}

async fn perf(session: &Session, load: &Load, prefix: &str, duration: Duration) -> Result<()> {
    let model = model(&load.load)?;
    let clients = clients(session, prefix, &model).await?;
    let (puts, workers) = workers(&clients);
    let began = Instant::now();
    let writing = async {
        let pause = Duration::from_secs(1) / model.puts_per_second;
        let mut turns = tokio::time::interval(pause);
        while began.elapsed() < duration {
            turns.tick().await;
            if puts.send(put(prefix, PERF_BYTES)?).await.is_err() {
                break;
            }
            progress(|| {
                let (done, all) = (began.elapsed().as_secs(), duration.as_secs());
                format!("{done} of {all} seconds")
            });
        }
        Ok(())
    };
    let written = until_interrupted(writing).await;
    drop(puts);
    let figures = Figures::gather(workers, began).await;
    end_progress();
    let cleaned = clean_up(session, load, prefix, clients).await;
    if let Err(error) = &cleaned {
        outln!(
            "FAIL: Cleanup failed during key deletion: ERROR({})",
            message(error)
        );
    }
    written?;
    if figures.judge(f64::from(model.puts_per_second)) {
        outln!("PASS");
        return Ok(());
    }
    outln!("FAIL");
    Err(Failure::silent().into())
}

async fn datascale(session: &Session, load: &Load, prefix: &str) -> Result<()> {
    let model = model(&load.load)?;
    let clients = clients(session, prefix, &model).await?;
    let endpoint = &session.global.endpoints[0];
    let before = memory_bytes(session, endpoint).await;
    let before = before.context("could not read the memory before the puts")?;
    let (key_bytes, value_bytes) = DATASCALE_BYTES;
    outln!(
        "Start data scale check for work load [{} key-value pairs, {} bytes per key-value, {} concurrent clients].",
        model.puts,
        key_bytes + value_bytes,
        model.clients
    );
    let (puts, workers) = workers(&clients);
    let began = Instant::now();
    let writing = async {
        for count in 0..model.puts {
            if puts.send(put(prefix, DATASCALE_BYTES)?).await.is_err() {
                break;
            }
            progress(|| format!("{count} of {} puts", model.puts));
        }
        Ok(())
    };
    let written = until_interrupted(writing).await;
    drop(puts);
    let figures = Figures::gather(workers, began).await;
    end_progress();
    let after = memory_bytes(session, endpoint).await;
    clean_up(session, load, prefix, clients).await?;
    written?;
    let after = after.context("could not read the memory after the puts")?;
    if !figures.judge_failures() {
        return Err(Failure::silent().into());
    }
    let used = (after - before) / (1024.0 * 1024.0);
    outln!("PASS: Approximate system memory used : {used:.2} MB.");
    Ok(())
}

/// A connection for each client, to the endpoints in turn; an error when there are keys already.
async fn clients(session: &Session, prefix: &str, model: &Model) -> Result<Vec<KvClient<Service>>> {
    let mut first = kv::client(session).await?;
    let request = RangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: kv::prefix_end(prefix.as_bytes()).unwrap_or_default(),
        limit: 1,
        ..RangeRequest::default()
    };
    let found = session.within(first.range(request)).await?;
    if !found.kvs.is_empty() {
        let why = format!(
            "prefix {prefix:?} has keys. Delete with 'etcdctl del --prefix {prefix}' first"
        );
        return Err(invalid(why));
    }
    let mut clients = vec![first];
    let mut endpoints = session.global.endpoints.iter().cycle();
    while clients.len() < model.clients {
        let endpoint = endpoints.next().context("no endpoint is given")?;
        clients.push(KvClient::new(cluster::channel(session, endpoint).await?));
    }
    Ok(clients)
}

/// How a put ended, and how long it took.
type Done = (Duration, Result<(), String>);

/// A task for each client, all fed from one queue.
fn workers(clients: &[KvClient<Service>]) -> (mpsc::Sender<PutRequest>, JoinSet<Vec<Done>>) {
    let (puts, queue) = mpsc::channel(clients.len());
    let queue = std::sync::Arc::new(tokio::sync::Mutex::new(queue));
    let mut workers = JoinSet::new();
    for client in clients {
        let (mut client, queue) = (client.clone(), std::sync::Arc::clone(&queue));
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().await.recv().await;
                let Some(request) = next else { return done };
                let began = Instant::now();
                let answer = client.put(request).await;
                let answer = answer.map(drop);
                let answer = answer.map_err(|status| status.message().to_owned());
                done.push((began.elapsed(), answer));
            }
        });
    }
    (puts, workers)
}

/// A key that nobody guesses, and a value of zeros.
fn put(prefix: &str, (key_bytes, value_bytes): (usize, usize)) -> Result<PutRequest> {
    let mut key = prefix.as_bytes().to_vec();
    let random = key.len();
    key.resize(random + key_bytes, 0);
    getrandom::fill(&mut key[random..random + 8])?;
    Ok(PutRequest {
        key: key.into(),
        value: vec![0; value_bytes].into(),
        ..PutRequest::default()
    })
}

/// An interrupted check ends as one that is over: its keys are removed.
async fn until_interrupted(writing: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        written = writing => written,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("interrupted")
        }
    }
}

/// What came of all puts.
struct Figures {
    seconds: Vec<f64>,
    failures: BTreeMap<String, u64>,
    total_seconds: f64,
}

impl Figures {
    async fn gather(workers: JoinSet<Vec<Done>>, began: Instant) -> Figures {
        let done = workers.join_all().await;
        let total_seconds = began.elapsed().as_secs_f64();
        let mut figures = Figures {
            seconds: Vec::new(),
            failures: BTreeMap::new(),
            total_seconds,
        };
        for (took, answer) in done.into_iter().flatten() {
            match answer {
                Ok(()) => figures.seconds.push(took.as_secs_f64()),
                Err(why) => *figures.failures.entry(why).or_default() += 1,
            }
        }
        figures
    }

    fn judge_failures(&self) -> bool {
        if !self.failures.is_empty() {
            outln!("FAIL: too many errors");
        }
        for (why, count) in &self.failures {
            outln!("FAIL: ERROR({why}) -> {count}");
        }
        self.failures.is_empty()
    }

    /// Says whether the cluster passes, by etcdctl's limits.
    fn judge(&self, wanted_per_second: f64) -> bool {
        let mut passes = self.judge_failures();
        let count = self.seconds.len() as f64;
        let per_second = count / self.total_seconds;
        let shown = per_second as u64 + 1;
        if per_second / wanted_per_second <= 0.9 {
            outln!("FAIL: Throughput too low: {shown} writes/s");
            passes = false;
        } else {
            outln!("PASS: Throughput is {shown} writes/s");
        }
        let slowest = self.seconds.iter().copied().fold(0.0, f64::max);
        if slowest > 0.5 {
            outln!("Slowest request took too long: {slowest:.6}s");
            passes = false;
        } else {
            outln!("PASS: Slowest request took {slowest:.6}s");
        }
        let mean = self.seconds.iter().sum::<f64>() / count.max(1.0);
        let squares = self.seconds.iter().map(|took| (took - mean).powi(2));
        let deviation = (squares.sum::<f64>() / count.max(1.0)).sqrt();
        if deviation > 0.1 {
            outln!("Stddev too high: {deviation:.6}s");
            passes = false;
        } else {
            outln!("PASS: Stddev is {deviation:.6}s");
        }
        passes
    }
}

/// Removes the keys, and what else the flags want.
async fn clean_up(
    session: &Session,
    load: &Load,
    prefix: &str,
    mut clients: Vec<KvClient<Service>>,
) -> Result<()> {
    let client = clients.first_mut().context("there is a client")?;
    let request = DeleteRangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: kv::prefix_end(prefix.as_bytes()).unwrap_or_default(),
        ..DeleteRangeRequest::default()
    };
    let deleted = super::within(CLEAN_UP_TIMEOUT, client.delete_range(request)).await?;
    let revision = deleted.header.unwrap_or_default().revision;
    if load.auto_compact {
        outln!("Compacting with revision {revision}");
        let request = CompactionRequest {
            revision,
            physical: true,
        };
        super::within(CLEAN_UP_TIMEOUT, client.compact(request)).await?;
        outln!("Compacted with revision {revision}");
    }
    if load.auto_defrag {
        members::defrag(session, AllMembers { cluster: false }).await?;
    }
    Ok(())
}

/// Memory of a member's process, from its page of metrics.
async fn memory_bytes(session: &Session, endpoint: &str) -> Result<f64> {
    let (place, dialer) = session.security.of(endpoint)?;
    let reading = async {
        let stream = TcpStream::connect(&place).await?;
        match dialer {
            None => page(stream, &place).await,
            Some(dialer) => {
                let host = place.rsplit_once(':').map_or(&*place, |(host, _)| host);
                page(dialer.connect(host, stream).await?, &place).await
            }
        }
    };
    let page = tokio::time::timeout(session.global.command_timeout, reading).await;
    let page = page.context("context deadline exceeded")??;
    let line = page.lines().find_map(|line| line.strip_prefix(MEMORY));
    let line = line.with_context(|| format!("no {MEMORY}in the metrics of {endpoint}"))?;
    Ok(line.trim().parse()?)
}

/// HTTP/1.0, so that the answer comes in one piece.
async fn page(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> Result<String> {
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    let mut limited = stream.take(METRICS_BYTES_MAX);
    limited.read_to_end(&mut page).await?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// How far it is, in one line of a terminal.
fn progress(text: impl FnOnce() -> String) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[2K{}", text());
    }
}

fn end_progress() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}
