//! The clients and watchers of a run, from the first list to the last event.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::client::{Ask, Client};
use super::history::{KINDS, Key, Kind};
use super::record::Recorder;
use super::user::User;
use super::watcher::Watcher;
use super::wire;
use crate::cluster::POLL_INTERVAL;
use crate::workload::Stop;

/// Clients of each apiserver.
const CLIENTS_A_SERVER: usize = 3;
/// Watchers of each kind: one begins at each apiserver.
const WATCHERS_A_KIND: u32 = 3;
/// Time clients get to end: their last request may have to time out.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Number of the client that ends a run.
const CLOSER: u32 = 1_000;

/// What all share.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) ports: Vec<u16>,
    pub(super) recorder: Recorder,
    pub(super) seed: u64,
}

/// Clients and watchers at work.
#[derive(Debug)]
pub(super) struct Load {
    setting: Setting,
    clients: JoinSet<()>,
    stop_clients: watch::Sender<bool>,
    watchers: JoinSet<()>,
    stop_watchers: watch::Sender<bool>,
    places: Vec<(u32, Kind, watch::Receiver<u64>)>,
}

/// Waits until every apiserver is ready.
pub(crate) async fn wait_ready(ports: &[u16], limit: Duration) -> Result<()> {
    for port in ports {
        insist(*port, &Ask::get("/readyz"), limit)
            .await
            .with_context(|| format!("the apiserver on port {port} does not get ready"))?;
    }
    Ok(())
}

/// Asks again and again until the answer is that it is done, or was done.
async fn insist(port: u16, ask: &Ask, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let mut client = Client::new(port);
    loop {
        let said = match client.ask(ask.clone()).await {
            Ok(answer) if (200..300).contains(&answer.code) || answer.code == wire::CONFLICT => {
                return Ok(());
            }
            Ok(answer) => format!("{}: {}", answer.code, answer.body),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            bail!("{said}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

impl Load {
    /// Makes what the workload needs, and has watchers begin before there is anything to see.
    pub(super) async fn prepare(setting: Setting, limit: Duration) -> Result<Load> {
        for ask in wire::preparations() {
            insist(setting.ports[0], &ask, limit)
                .await
                .with_context(|| format!("preparing {}", ask.path))?;
        }
        for port in &setting.ports {
            for kind in KINDS {
                insist(*port, &Ask::get(wire::path(kind)), limit)
                    .await
                    .with_context(|| format!("{kind:?}s are not served on port {port}"))?;
            }
        }
        let mut load = Load {
            setting,
            clients: JoinSet::new(),
            stop_clients: watch::Sender::new(false),
            watchers: JoinSet::new(),
            stop_watchers: watch::Sender::new(false),
            places: Vec::new(),
        };
        load.start_watchers();
        load.wait_for_watchers(1, limit).await?;
        Ok(load)
    }

    fn start_watchers(&mut self) {
        let Setting {
            ports,
            recorder,
            seed,
            ..
        } = &self.setting;
        let all = KINDS
            .iter()
            .flat_map(|kind| (0..WATCHERS_A_KIND).map(move |_| *kind));
        for (number, kind) in (0..).zip(all) {
            let (watcher, place) = Watcher::new(number, kind, ports, recorder.clone(), *seed);
            self.places.push((number, kind, place));
            self.watchers
                .spawn(watcher.run(self.stop_watchers.subscribe()));
        }
    }

    async fn wait_for_watchers(&mut self, revision: u64, limit: Duration) -> Result<()> {
        for (number, _, place) in &mut self.places {
            let reached = place.wait_for(|at| *at >= revision);
            timeout(limit, reached)
                .await
                .with_context(|| format!("watcher {number} does not begin"))??;
        }
        Ok(())
    }

    /// Starts the clients.
    pub(super) fn start_clients(&mut self) {
        let Setting {
            ports,
            recorder,
            seed,
            ..
        } = &self.setting;
        for number in (0..).take(ports.len() * CLIENTS_A_SERVER) {
            let user = User::new(number, ports, recorder.clone(), *seed);
            self.clients
                .spawn(user.run(Stop::new(self.stop_clients.subscribe())));
        }
    }

    /// Stops the clients, and waits until each has had its last answer or given it up.
    pub(super) async fn stop_clients(&mut self) -> Result<()> {
        self.stop_clients.send_replace(true);
        let ending = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.context("a client panicked")?;
            }
            Ok(())
        };
        timeout(STOP_TIMEOUT, ending)
            .await
            .context("a client does not end")?
    }

    /// Last objects, last lists on every server, and every watcher at the end; in words, what does not come in time.
    pub(super) async fn end(&mut self, limit: Duration) -> Vec<String> {
        let Setting {
            ports,
            recorder,
            seed,
            ..
        } = &self.setting;
        let mut closer = User::new(CLOSER, ports, recorder.clone(), *seed);
        let deadline = Instant::now() + limit;
        let mut complaints = Vec::new();
        for kind in KINDS {
            let key = Key {
                kind,
                name: format!("{}end", wire::PREFIX),
            };
            let last = loop {
                if let Some(revision) = closer.insist(key.clone()).await {
                    break revision;
                }
                if Instant::now() > deadline {
                    complaints.push(format!("no write of {key} once all was healed"));
                    return complaints;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            };
            for (number, _, place) in self.places.iter_mut().filter(|one| one.1 == kind) {
                let reached = place.wait_for(|at| *at >= last);
                if timeout_at(deadline, reached).await.is_err() {
                    let at = *place.borrow();
                    complaints.push(format!("watcher {number} is at {at} and not at {last}"));
                }
            }
        }
        for number in (CLOSER + 1..).take(ports.len()) {
            let mut last = User::new(number, ports, recorder.clone(), *seed);
            for kind in KINDS {
                while !last.list(kind, None).await {
                    if Instant::now() > deadline {
                        complaints.push(format!("client {number} gets no last list"));
                        break;
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        }
        complaints
    }

    /// Stops the watchers.
    pub(super) async fn stop_watchers(mut self) -> Result<()> {
        self.stop_watchers.send_replace(true);
        while let Some(ended) = self.watchers.join_next().await {
            ended.context("a watcher panicked")?;
        }
        Ok(())
    }
}
