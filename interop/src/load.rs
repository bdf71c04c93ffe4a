//! Writers that go on through failures and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::cluster::READY_TIMEOUT;

/// Prefix of every key the writers put.
pub const PREFIX: &str = "load/";
/// Time a write gets at least before the writer turns to the next member.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// Time a write gets at most.
const WRITE_TIMEOUT_MAX: Duration = Duration::from_millis(32 * 200);
/// Writes in a row without an answer that an election explains. Until then the next one is sent soon, so that the end of the
/// election shows.
const ELECTION_SILENCES: u32 = 15;

/// One acknowledged write.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub key: String,
    pub value: String,
    pub at: Instant,
}

/// Writers at work. No write is ever sent twice, so each key is put once at most.
#[derive(Debug)]
pub struct Load {
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    count: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    writers: JoinSet<()>,
}

impl Load {
    /// Starts `writers` writers over all members; each begins with another one.
    pub fn start(urls: &[String], writers: usize, value_bytes: usize) -> Result<Load> {
        Load::start_with(urls, writers, value_bytes, WRITE_TIMEOUT_MAX)
    }

    /// The same, with writers that never wait longer for an answer, so that the end of an election shows at once.
    pub fn start_impatient(urls: &[String], writers: usize, value_bytes: usize) -> Result<Load> {
        Load::start_with(urls, writers, value_bytes, WRITE_TIMEOUT)
    }

    fn start_with(
        urls: &[String],
        writers: usize,
        value_bytes: usize,
        patience_max: Duration,
    ) -> Result<Load> {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let clients: Result<Vec<Client>> = urls.iter().map(|url| Client::lazy(url)).collect();
            let writer = Writer {
                number,
                clients: clients?,
                value_bytes,
                patience: Patience::new(patience_max),
                acknowledged: acknowledged.clone(),
                counter: counter.clone(),
                stopped: stopped.clone(),
            };
            tasks.spawn(writer.run());
        }
        Ok(Load {
            acknowledged,
            count,
            stop,
            writers: tasks,
        })
    }

    /// Writes acknowledged so far.
    pub fn acknowledged_count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until `more` further writes are acknowledged.
    pub async fn wait_for_more(&mut self, more: usize) -> Result<()> {
        let wanted = self.acknowledged_count() + more;
        while self.acknowledged_count() < wanted {
            match timeout(READY_TIMEOUT, self.count.changed()).await {
                Ok(Ok(())) => {}
                _ => bail!("no write was acknowledged for {READY_TIMEOUT:?}"),
            }
        }
        Ok(())
    }

    /// Stops the writers; every acknowledged write, by time.
    pub async fn stop(mut self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        while self.writers.join_next().await.is_some() {}
        let mut all = std::mem::take(&mut *self.acknowledged.lock().expect("no writer panics"));
        all.sort_by_key(|write| write.at);
        all
    }

    /// Acknowledgements so far, by time.
    pub fn times(&self) -> Vec<Instant> {
        let all = self.acknowledged.lock().expect("no writer panics");
        let mut times: Vec<Instant> = all.iter().map(|write| write.at).collect();
        times.sort();
        times
    }
}

struct Writer {
    number: usize,
    clients: Vec<Client>,
    value_bytes: usize,
    patience: Patience,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    counter: watch::Sender<usize>,
    stopped: watch::Receiver<bool>,
}

/// How long a writer waits for an answer: longer where writes take long, as on a slow disk.
struct Patience {
    time: Duration,
    time_max: Duration,
    /// Writes in a row that were not answered.
    silences: u32,
}

impl Patience {
    fn new(time_max: Duration) -> Patience {
        Patience {
            time: WRITE_TIMEOUT,
            time_max,
            silences: 0,
        }
    }

    /// A write was acknowledged after this time.
    fn acknowledged(&mut self, took: Duration) {
        self.time = (4 * took).clamp(WRITE_TIMEOUT, self.time_max);
        self.silences = 0;
    }

    /// A write was not answered in time.
    fn silent(&mut self) {
        self.silences += 1;
        if self.silences > ELECTION_SILENCES {
            self.time = (2 * self.time).min(self.time_max);
        }
    }
}

impl Writer {
    async fn run(mut self) {
        let mut member = self.number % self.clients.len();
        for sequence in 0_u64.. {
            if *self.stopped.borrow() {
                return;
            }
            let key = format!("{PREFIX}{}/{sequence:08}", self.number);
            let value = format!("{sequence:0>width$}", width = self.value_bytes);
            let begun = Instant::now();
            let put = self.clients[member].put(&key, &value);
            match timeout(self.patience.time, put).await {
                Ok(Ok(_)) => {
                    let at = Instant::now();
                    self.patience.acknowledged(at - begun);
                    let write = Acknowledged { key, value, at };
                    self.acknowledged
                        .lock()
                        .expect("no writer panics")
                        .push(write);
                    self.counter.send_modify(|count| *count += 1);
                }
                // Whether it took effect is not known, and it is not sent again.
                failed => {
                    if failed.is_err() {
                        self.patience.silent();
                    }
                    member = (member + 1) % self.clients.len();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}

/// Checks that every acknowledged write is there, as it was written.
pub async fn check_nothing_missing(client: &mut Client, writes: &[Acknowledged]) -> Result<()> {
    let stored: BTreeMap<String, String> = client.list(PREFIX).await?.into_iter().collect();
    for write in writes {
        let found = stored.get(&write.key);
        ensure!(
            found == Some(&write.value),
            "{} was acknowledged with {:?} and is now {found:?}",
            write.key,
            write.value
        );
    }
    Ok(())
}

/// The longest time between two acknowledgements that ended after `since`.
pub fn longest_gap(times: &[Instant], since: Instant) -> Duration {
    let pairs = times.windows(2).filter(|pair| pair[1] >= since);
    pairs
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}
