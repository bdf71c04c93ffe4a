//! A client at work: it looks at an object and changes it, or lists all of them.

use std::time::Duration;

use super::client::{Ask, Client, NoAnswer};
use super::history::{KINDS, Key, Kind, Object, Operation, Outcome, Record, Request};
use super::record::Recorder;
use super::wire;
use crate::random::Random;
use crate::workload::Stop;

/// Objects of each kind: few, so that clients meet.
const OBJECTS: u64 = 8;
/// Objects on one page of a list.
const PAGE_OBJECTS: usize = 3;
/// Most pages of one list: more than there can be.
const PAGES_MAX: usize = 16;
/// Pause after a request without an answer, before the next server is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// One client.
#[derive(Debug)]
pub(super) struct User {
    number: u32,
    ports: Vec<u16>,
    server: usize,
    client: Client,
    recorder: Recorder,
    random: Random,
    words: u64,
}

impl User {
    pub(super) fn new(number: u32, ports: &[u16], recorder: Recorder, seed: u64) -> User {
        let server = usize::try_from(number).expect("clients are few") % ports.len();
        User {
            number,
            ports: ports.to_vec(),
            server,
            client: Client::new(ports[server]),
            recorder,
            random: Random::for_purpose(seed, "kubernetes", u64::from(number)),
            words: 0,
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: Stop) {
        while !stop.is_reached() {
            let answered = match self.random.below(100) {
                0..80 => self.change().await,
                80..90 => {
                    let kind = *self.random.pick(&KINDS);
                    self.list(kind, None).await
                }
                _ => {
                    let kind = *self.random.pick(&KINDS);
                    self.list(kind, Some(PAGE_OBJECTS)).await
                }
            };
            if !answered {
                self.move_on();
                stop.within(PAUSE).await;
            }
        }
    }

    /// The next server, as a door in front of them chooses it.
    fn move_on(&mut self) {
        self.server = (self.server + 1) % self.ports.len();
        self.client.turn_to(self.ports[self.server]);
    }

    /// A word that no other request has.
    fn word(&mut self) -> String {
        self.words += 1;
        format!("{}-{}", self.number, self.words)
    }

    async fn change(&mut self) -> bool {
        let key = Key {
            kind: *self.random.pick(&KINDS),
            name: format!("{}{}", wire::PREFIX, self.random.below(OBJECTS)),
        };
        let found = self.make(Request::Get { key: key.clone() }, "").await;
        let (request, patch) = match found {
            Outcome::Object(object) => self.choose(key, object),
            Outcome::Refused { code, .. } if code != 0 => {
                let value = self.word();
                (Request::Create { key, value }, String::new())
            }
            _ => return false,
        };
        is_answer(&self.make(request, &patch).await)
    }

    /// What is done to an object that is there, and what an update leaves as it is.
    fn choose(&mut self, key: Key, object: Object) -> (Request, String) {
        let request = match self.random.below(100) {
            0..50 => Request::Update {
                key,
                version: object.version,
                value: self.word(),
            },
            50..80 => Request::Patch {
                key,
                patch: self.word(),
            },
            _ => Request::Delete {
                key,
                uid: object.uid,
                version: self.random.percent(50).then_some(object.version),
            },
        };
        (request, object.patch)
    }

    /// Makes a request that is no list.
    async fn make(&mut self, request: Request, patch: &str) -> Outcome {
        let call_ns = self.recorder.clock.nanos();
        let answer = self.client.ask(wire::ask(&request, patch)).await;
        let outcome = wire::outcome(&request, answer);
        self.note(call_ns, request, outcome.clone()).await;
        outcome
    }

    /// Creates an object, again and again until it is there; the revision at which it was seen.
    pub(super) async fn insist(&mut self, key: Key) -> Option<u64> {
        let value = self.word();
        let create = Request::Create {
            key: key.clone(),
            value,
        };
        if let Outcome::Object(object) = self.make(create, "").await {
            return Some(object.version);
        }
        self.move_on();
        match self.make(Request::Get { key }, "").await {
            Outcome::Object(object) => Some(object.version),
            _ => None,
        }
    }

    /// Lists a kind, in pages if they have a size; one that breaks off goes on at the next server.
    pub(super) async fn list(&mut self, kind: Kind, page: Option<usize>) -> bool {
        let call_ns = self.recorder.clock.nanos();
        let mut query = page.map_or(String::new(), |size| format!("?limit={size}"));
        let (mut found, mut all) = (None, Vec::new());
        for _ in 0..PAGES_MAX {
            let ask = Ask::get(format!("{}{query}", wire::path(kind)));
            let body = match self.client.ask(ask).await {
                Ok(answer) => match wire::failure(&answer) {
                    None => answer.body,
                    Some(outcome) => {
                        self.note(call_ns, Request::List { kind }, outcome).await;
                        return false;
                    }
                },
                // The rest of a list that has begun is there on every server.
                Err(_) if found.is_some() => {
                    self.move_on();
                    continue;
                }
                Err(error) => {
                    self.note(call_ns, Request::List { kind }, no_answer(error))
                        .await;
                    return false;
                }
            };
            let metadata = &body["metadata"];
            let revision = *found.get_or_insert_with(|| wire::version(metadata).unwrap_or(0));
            all.extend(wire::objects(&body).unwrap_or_default());
            let next = metadata["continue"].as_str().unwrap_or_default();
            if next.is_empty() {
                let items = all;
                let outcome = Outcome::Objects { revision, items };
                self.note(call_ns, Request::List { kind }, outcome).await;
                return true;
            }
            let size = page.unwrap_or(PAGE_OBJECTS);
            query = format!("?limit={size}&continue={next}");
        }
        false
    }

    async fn note(&self, call_ns: u64, request: Request, outcome: Outcome) {
        let operation = Operation {
            client: self.number,
            server: self.server,
            call_ns,
            return_ns: self.recorder.clock.nanos(),
            request,
            outcome,
        };
        self.recorder.add(Record::Op(operation)).await;
    }
}

fn no_answer(error: NoAnswer) -> Outcome {
    match error {
        NoAnswer::NotSent(reason) => Outcome::Refused { code: 0, reason },
        NoAnswer::Lost(error) => Outcome::Unknown { error },
    }
}

/// Whether the server works: also a refusal says so.
fn is_answer(outcome: &Outcome) -> bool {
    !matches!(
        outcome,
        Outcome::Unknown { .. } | Outcome::Refused { code: 0, .. }
    )
}
