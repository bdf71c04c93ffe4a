//! The clients and watchers of a run, from the first request to the last event.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use check::history::Blob;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::actor::Actor;
use crate::record::Recorder;
use crate::scenario::Scenario;
use crate::watcher::{Place, Watched, Watcher};
use crate::workload::{Kind, Shared, Stop, prefix_end};

/// Clients of each member.
const CLIENTS_A_MEMBER: usize = 4;
/// Number of the first watcher as a client.
const FIRST_WATCHER: u32 = 1_000;
/// Time clients get to end: their last request may have to time out.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What all clients share.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// How they do it.
    pub scenario: &'a Scenario,
    /// What they do.
    pub workload: &'a Shared,
    /// Where the members are.
    pub urls: &'a [String],
    /// What they draw from.
    pub seed: u64,
    /// Watches that begin in the past ask how far they are.
    pub asks_progress: bool,
    /// Where they leave what they see.
    pub recorder: Recorder,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Result<()>>,
    stop_clients: watch::Sender<bool>,
    watchers: JoinSet<Result<()>>,
    stop_watchers: watch::Sender<bool>,
    places: Vec<Place>,
}

impl Load {
    /// Starts the clients and watchers of a scenario.
    ///
    /// # Errors
    /// When an address cannot be read.
    pub fn start(setting: &Setting<'_>) -> Result<Load> {
        let stop_clients = watch::Sender::new(false);
        let mut clients = JoinSet::new();
        for number in 0..setting.urls.len() * CLIENTS_A_MEMBER {
            let member = number % setting.urls.len();
            let numbers = (u32::try_from(number)?, u32::try_from(member)?);
            let recorder = setting.recorder.clone();
            let mut actor = Actor::new(numbers, &setting.urls[member], recorder, setting.seed)?;
            if setting.scenario.lies {
                actor.lie();
            }
            let workload = setting.workload.clone();
            clients.spawn(work(actor, workload, stop_clients.subscribe()));
        }
        let stop_watchers = watch::Sender::new(false);
        let mut watchers = JoinSet::new();
        let mut places = Vec::new();
        for (number, (member, watched)) in watches(setting).into_iter().enumerate() {
            let number = FIRST_WATCHER + u32::try_from(number)?;
            let (watcher, place) = Watcher::new(
                watched,
                (number, member),
                setting.urls.to_vec(),
                setting.recorder.clone(),
                stop_watchers.subscribe(),
            );
            watchers.spawn(watcher.run());
            places.push(place);
        }
        Ok(Load {
            clients,
            stop_clients,
            watchers,
            stop_watchers,
            places,
        })
    }

    /// Stops the clients, and waits until each has had its last answer or given it up; in words, what they say must not
    /// have been.
    ///
    /// # Errors
    /// When one panicked or does not end.
    pub async fn stop_clients(&mut self) -> Result<Vec<String>> {
        self.stop_clients.send_replace(true);
        let ending = async {
            let mut complaints = Vec::new();
            while let Some(ended) = self.clients.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(complaint)) => complaints.push(format!("{complaint:#}")),
                    Err(panic) => bail!("a client of the workload panicked: {}", words(panic)),
                }
            }
            Ok(complaints)
        };
        match timeout(STOP_TIMEOUT, ending).await {
            Ok(ended) => ended,
            Err(_) => bail!("a client does not end within {STOP_TIMEOUT:?} after it was told to"),
        }
    }

    /// Waits until every watcher has seen the last event that concerns it; in words, those that do not get there in
    /// time.
    pub async fn drain(&mut self, last: &Last, limit: Duration) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut late = Vec::new();
        for place in &mut self.places {
            let wanted = last.for_watch(&place.watched);
            let reached = place.seen.wait_for(|seen| *seen >= wanted);
            if tokio::time::timeout_at(deadline, reached).await.is_err() {
                let what = if place.watched.witness {
                    "witness"
                } else {
                    "watch"
                };
                late.push(format!(
                    "the {what} of client {} has seen revision {} and not {wanted}",
                    place.number,
                    *place.seen.borrow()
                ));
            }
        }
        late
    }

    /// Stops the watchers.
    ///
    /// # Errors
    /// When one failed.
    pub async fn stop_watchers(mut self) -> Result<()> {
        self.stop_watchers.send_replace(true);
        while let Some(ended) = self.watchers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// The last writes of a run, for whoever has to have seen them.
#[derive(Debug, Clone, Default)]
pub struct Last {
    /// Revision of the last put and of the last delete for each beginning of keys that has watches of its own.
    pub of_prefix: Vec<(String, i64, i64)>,
    /// Revision of the barrier.
    pub barrier: i64,
}

impl Last {
    fn for_watch(&self, watched: &Watched) -> i64 {
        let key = watched.key.as_slice();
        let own = self
            .of_prefix
            .iter()
            .find(|(prefix, _, _)| prefix.as_bytes() == key);
        match own {
            Some((_, put, _)) if watched.no_delete => *put,
            Some((_, _, delete)) => *delete,
            None => self.barrier,
        }
    }
}

async fn work(mut actor: Actor, workload: Shared, stop: watch::Receiver<bool>) -> Result<()> {
    let done = workload.run(&mut actor, &Stop::new(stop)).await;
    done.with_context(|| format!("client {} of member {}", actor.number, actor.member))
}

/// What a panic said.
fn words(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was cancelled".to_owned();
    };
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without words".to_owned())
}

/// One witness for each member, and watches of other shapes.
fn watches(setting: &Setting<'_>) -> Vec<(usize, Watched)> {
    let members = setting.urls.len();
    let witness = Watched {
        witness: true,
        ..Watched::everything()
    };
    let asks_progress = setting.scenario.asks_progress;
    let mut watches: Vec<(usize, Watched)> = (0..members)
        .map(|member| (member, witness.clone()))
        .collect();
    let everything = Watched {
        prev_kv: true,
        fragment: true,
        asks_progress,
        ..Watched::everything()
    };
    watches.push((0, everything));
    for (number, prefix) in setting.workload.prefixes().iter().enumerate() {
        let of_prefix = Watched {
            key: Blob::from(prefix.as_str()),
            range_end: prefix_end(prefix),
            prev_kv: number % 2 == 0,
            asks_progress,
            ..Watched::default()
        };
        watches.push(((number + 1) % members, of_prefix.clone()));
        let filtered = Watched {
            no_put: number % 2 == 0,
            no_delete: number % 2 == 1,
            ..of_prefix
        };
        watches.push(((number + 2) % members, filtered));
    }
    let compacts = |prefix: &String| prefix == Kind::History.prefix();
    if setting.workload.prefixes().iter().any(compacts) {
        let past = |member| {
            let watched = Watched {
                past: true,
                asks_progress: setting.asks_progress,
                prev_kv: member % 2 == 0,
                ..Watched::everything()
            };
            (member, watched)
        };
        watches.extend((0..members).map(past));
    }
    watches
}
