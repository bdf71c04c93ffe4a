//! Asks the agents of nodes what is used there when somebody wants to know, and keeps what they said for a moment.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use daemon::CancellationToken;
use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::summary::Summary;
use crate::objects_view::ObjectsView;
use crate::relay::{Target, nothing};
use crate::rest::Outward;

/// How long what an agent said is told again, and that it said nothing.
const KEPT: Duration = Duration::from_secs(15);
/// What nobody asked for in so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Agents that are asked at a time.
const ASKED_MAX: usize = 64;
/// Time that an agent has.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which an answer is given without those who have not told yet.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// The largest answer of an agent.
const SUMMARY_BYTES_MAX: usize = 16 << 20;
/// Where agents tell it: processors and memory alone.
const PATH: &str = "/stats/summary?only_cpu_and_memory=true";

/// What agents said of late.
pub(crate) struct Agents {
    way: Arc<Way>,
    asked: Mutex<HashMap<String, Asked>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is needed to ask one.
struct Way {
    view: Arc<dyn ObjectsView>,
    outward: Arc<Outward>,
    places: Semaphore,
}

/// An agent that was asked.
struct Asked {
    at: Instant,
    told: watch::Receiver<Told>,
}

/// What comes of it.
#[derive(Clone)]
enum Told {
    NotYet,
    Nothing,
    Usage(Arc<Summary>),
}

impl Asked {
    /// Whether it is still good at a time: one who is being asked is not asked again.
    fn is_good(&self, now: Instant) -> bool {
        let is_waiting = matches!(*self.told.borrow(), Told::NotYet);
        is_waiting && self.told.has_changed().is_ok() || now - self.at < KEPT
    }
}

impl Agents {
    pub(crate) fn new(view: Arc<dyn ObjectsView>, outward: Arc<Outward>) -> Agents {
        let places = Semaphore::new(ASKED_MAX);
        Agents {
            way: Arc::new(Way {
                view,
                outward,
                places,
            }),
            asked: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Ends what is under way when the server stops.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// What is used on nodes, by their names. A node whose agent says nothing is not among them.
    pub(super) async fn ask(&self, names: &BTreeSet<String>) -> HashMap<String, Arc<Summary>> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut found = HashMap::new();
        for (name, mut told) in self.begin(names) {
            let waiting = told.wait_for(|told| !matches!(told, Told::NotYet));
            let told = match tokio::time::timeout_at(deadline, waiting).await {
                Ok(Ok(told)) => told.clone(),
                Ok(Err(_)) | Err(_) => Told::Nothing,
            };
            if let Told::Usage(summary) = told {
                found.insert(name, summary);
            }
        }
        found
    }

    /// Asks those of whom nothing is known, and gives what all of them will say.
    fn begin(&self, names: &BTreeSet<String>) -> Vec<(String, watch::Receiver<Told>)> {
        let now = Instant::now();
        let mut asked = self.asked.lock();
        asked.retain(|name, one| {
            if names.contains(name) {
                one.is_good(now)
            } else {
                now - one.at < FORGOTTEN
            }
        });
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let one = asked.entry(name.clone()).or_insert_with(|| Asked {
                at: now,
                told: self.spawn(name.clone()),
            });
            all.push((name.clone(), one.told.clone()));
        }
        all
    }

    fn spawn(&self, name: String) -> watch::Receiver<Told> {
        let (tell, told) = watch::channel(Told::NotYet);
        let (way, stop) = (self.way.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                summary = way.ask(&name) => {
                    let said = summary.map_or(Told::Nothing, |summary| Told::Usage(Arc::new(summary)));
                    // Those who waited may be gone.
                    let _ = tell.send(said);
                }
                () = stop.cancelled() => {}
            }
        });
        told
    }
}

impl Way {
    /// What one agent says, once there is a place to ask it.
    async fn ask(&self, name: &str) -> Option<Summary> {
        let _place = self.places.acquire().await.ok()?;
        let asking = tokio::time::timeout(ANSWER_TIMEOUT, self.read(name));
        let said = asking
            .await
            .unwrap_or_else(|_elapsed| Err("it did not answer in time".to_owned()));
        said.inspect_err(|why| {
            tracing::debug!(
                node = name,
                error = why,
                "an agent does not tell what is used"
            )
        })
        .ok()
    }

    async fn read(&self, name: &str) -> Result<Summary, String> {
        let node = self.view.get("", "nodes", "", name);
        let node = node.ok_or("there is no such node")?;
        let Outward {
            kubelets, relay, ..
        } = self.outward.as_ref();
        let place = kubelets.place(&node)?;
        let target = Target {
            tls: Some(kubelets.tls(&place, true)),
            place,
            path: PATH.to_owned(),
        };
        let request = Request::get(&target.path)
            .header(HOST, target.place.to_string())
            .body(nothing())
            .map_err(|error| error.to_string())?;
        let sent = relay.send(&target, request).await;
        let response = sent.map_err(|failed| failed.to_string())?;
        let code = response.status();
        if !code.is_success() {
            return Err(format!("it answers with {}", code.as_u16()));
        }
        let read = Limited::new(response.into_body(), SUMMARY_BYTES_MAX);
        let bytes = read.collect().await.map_err(|error| error.to_string())?;
        Summary::read(&bytes.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_said_is_good_for_a_moment_and_who_is_being_asked_is_not_asked_again() {
        let at = Instant::now();
        let (soon, late) = (at + KEPT / 2, at + KEPT * 4);
        let (tell, told) = watch::channel(Told::NotYet);
        let asked = Asked { at, told };
        assert!(asked.is_good(soon) && asked.is_good(late));
        tell.send(Told::Nothing).unwrap();
        assert!(asked.is_good(soon));
        assert!(!asked.is_good(late));
        let (_, told) = watch::channel(Told::NotYet);
        let given_up = Asked { at, told };
        assert!(!given_up.is_good(late));
    }
}
