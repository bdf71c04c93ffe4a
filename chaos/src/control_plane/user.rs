//! A user who carries out a script: each wish again and again until it is acknowledged.

use std::time::Duration;

use tokio::time::Instant;

use super::fields::{is_terminating, list, name, uid};
use super::script::{Script, Wish};
use super::wire;
use crate::clock::Clock;
use crate::kubernetes::client::{Answer, Ask, Client, NoAnswer};
use crate::record::{Class, Point};
use crate::workload::Stop;

/// Time a wish gets until it is acknowledged.
const WISH_TIMEOUT: Duration = Duration::from_secs(90);
/// Pause before a request is made again at the next server.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause between two wishes when nothing is broken.
const CALM_PAUSE: Duration = Duration::from_millis(300);
const OK: std::ops::Range<u16> = 200..300;
/// Answers after which the same is asked again: somebody else wrote, there is too much to do, or the server cannot say.
const AGAIN: [u16; 2] = [409, 429];

/// Where everybody speaks to, and by which clock.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) ports: Vec<u16>,
    pub(super) clock: Clock,
}

/// What came of a script.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// Request by request.
    pub(super) points: Vec<Point>,
    /// Pods that the user deleted, or may have.
    pub(super) deleted: Vec<String>,
    /// Wishes that nobody took.
    pub(super) complaints: Vec<String>,
}

/// One user.
#[derive(Debug)]
pub(super) struct User {
    namespace: &'static str,
    setting: Setting,
    server: usize,
    client: Client,
    done: Done,
}

impl User {
    pub(super) fn new(namespace: &'static str, setting: Setting, number: usize) -> User {
        let server = number % setting.ports.len();
        User {
            namespace,
            server,
            client: Client::new(setting.ports[server]),
            setting,
            done: Done::default(),
        }
    }

    /// Makes what is there before the first wish.
    pub(super) async fn prepare(mut self) -> Done {
        for ask in wire::preparations(self.namespace) {
            self.insist(&ask).await;
        }
        self.done
    }

    /// Carries out a script, with its pauses or at once, unless it is told to stop.
    pub(super) async fn run(mut self, script: Script, has_pauses: bool, stop: Stop) -> Done {
        for (pause_ms, wish) in &script.wishes {
            let pause = if has_pauses {
                Duration::from_millis(*pause_ms)
            } else {
                CALM_PAUSE
            };
            stop.within(pause).await;
            if stop.is_reached() {
                break;
            }
            match wish {
                Wish::DeletePod(pick) => self.delete_pod(script.name, *pick).await,
                _ => {
                    let workload = (script.resource, script.name);
                    if let Some(ask) = wire::ask(self.namespace, workload, wish) {
                        self.insist(&ask).await;
                    }
                }
            }
        }
        self.done
    }

    /// Deletes one of the pods that are there, if there is one: once, whatever comes of it.
    async fn delete_pod(&mut self, workload: &str, pick: u64) {
        let Some(answer) = self.insist(&wire::pods(self.namespace, workload)).await else {
            return;
        };
        let pods = list(&answer.body, "/items").iter();
        let mut pods: Vec<_> = pods.filter(|pod| !is_terminating(pod)).collect();
        pods.sort_by_key(|pod| name(pod));
        let count = pods.len() as u64;
        let chosen = pick
            .checked_rem(count)
            .and_then(|at| usize::try_from(at).ok());
        let Some(pod) = chosen.and_then(|at| pods.get(at)) else {
            return;
        };
        self.done.deleted.push(uid(pod).to_owned());
        let ask = wire::delete(self.namespace, (name(pod), uid(pod)));
        if self.ask(&ask).await.is_err() {
            self.move_on();
        }
    }

    /// Asks until it is done.
    async fn insist(&mut self, ask: &Ask) -> Option<Answer> {
        let deadline = Instant::now() + WISH_TIMEOUT;
        loop {
            let said = match self.ask(ask).await {
                Ok(answer) if OK.contains(&answer.code) => return Some(answer),
                // What was created before its answer was lost is there.
                Ok(answer) if answer.code == 409 && ask.method == http::Method::POST => {
                    return Some(answer);
                }
                Ok(answer) if answer.code < 500 && !AGAIN.contains(&answer.code) => {
                    let words = format!("{} {}: {}", ask.method, ask.path, answer.body);
                    self.done.complaints.push(words);
                    return None;
                }
                Ok(answer) => format!("{}: {}", answer.code, answer.body),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                let words = format!(
                    "{} {} is not done within {WISH_TIMEOUT:?}: {said}",
                    ask.method, ask.path
                );
                self.done.complaints.push(words);
                return None;
            }
            self.move_on();
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let begun = self.setting.clock.nanos();
        let answer = self.client.ask(ask.clone()).await;
        let end_ns = self.setting.clock.nanos();
        let class = match &answer {
            Ok(answer) if OK.contains(&answer.code) => Class::Ok,
            Ok(answer) if answer.code < 500 => Class::Failed,
            Err(NoAnswer::NotSent(_)) => Class::Failed,
            Ok(_) | Err(NoAnswer::Lost(_)) => Class::Unknown,
        };
        self.done.points.push(Point {
            end_ns,
            took_ns: end_ns - begun,
            class,
            writes: ask.method != http::Method::GET,
        });
        answer
    }

    /// The next server, as a door in front of them chooses it.
    fn move_on(&mut self) {
        self.server = (self.server + 1) % self.setting.ports.len();
        self.client.turn_to(self.setting.ports[self.server]);
    }
}
