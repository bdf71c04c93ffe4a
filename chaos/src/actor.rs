//! One client of the load: a connection to one member, a place in the history, and choices of its own.

mod requests;

use std::time::Duration;

use anyhow::Result;
use check::history::{Blob, Operation, Outcome, Record, Request, Response};

use crate::client::Client;
use crate::random::Random;
use crate::record::Recorder;

/// Wait after a request that was not answered, so that a member that refuses at once is not asked in a circle.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It certainly had no effect.
    #[error("it had no effect: {0}")]
    Failed(String),
    /// It may have had its effect, may have it later, or never.
    #[error("its effect is unknown: {0}")]
    Unknown(String),
}

/// A client of the load: everything it does is recorded, and judged after the run.
#[derive(Debug)]
pub struct Actor {
    /// Its number in the history.
    pub number: u32,
    /// The member it is connected to.
    pub member: u32,
    /// Its choices.
    pub random: Random,
    client: Client,
    recorder: Recorder,
    values: u64,
    /// Serializable reads are recorded as linearizable ones: a lie that the checker has to find.
    lies: bool,
}

impl Actor {
    /// A client of the member at `url`.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn new(
        (number, member): (u32, u32),
        url: &str,
        recorder: Recorder,
        seed: u64,
    ) -> Result<Actor> {
        Ok(Actor {
            number,
            member,
            random: Random::for_purpose(seed, "client", u64::from(number)),
            client: Client::new(url)?,
            recorder,
            values: 0,
            lies: false,
        })
    }

    /// Passes serializable reads off as linearizable from now on.
    pub fn lie(&mut self) {
        self.lies = true;
    }

    /// A value that nothing else in the history has.
    pub fn value(&mut self) -> Blob {
        self.values += 1;
        Blob::from(format!("v{}.{}", self.number, self.values))
    }

    /// A lease id that nothing else in the history has.
    pub fn lease_id(&mut self) -> i64 {
        self.values += 1;
        let number = i64::from(self.number) + 1;
        (number << 40) + i64::try_from(self.values).expect("fewer values than that")
    }

    /// Makes a request, once, and records it. The answer, if there was one.
    pub async fn ask(&mut self, request: Request) -> Option<Response> {
        self.request(request).await.ok()
    }

    /// Makes a request, once, and records it. One without an answer is followed by a short wait.
    ///
    /// # Errors
    /// When there is no answer: what is known of its effect.
    pub async fn request(&mut self, request: Request) -> Result<Response, NoAnswer> {
        let sent = if self.lies { lie(&request) } else { None };
        let clock = self.recorder.clock();
        let id = self.recorder.next_id();
        let call_ns = clock.nanos();
        let outcome = self.client.ask(sent.as_ref().unwrap_or(&request)).await;
        let now = clock.nanos();
        let (answer, return_ns) = match &outcome {
            Outcome::Ok(response) => (Ok(response.clone()), Some(now)),
            Outcome::Failed(refusal) => (Err(NoAnswer::Failed(refusal.text.clone())), Some(now)),
            Outcome::Unknown { error } => (Err(NoAnswer::Unknown(error.clone())), None),
        };
        let operation = Operation {
            id,
            client: self.number,
            member: self.member,
            call_ns,
            return_ns,
            request,
            outcome,
        };
        self.recorder.add(Record::Op(operation)).await;
        if answer.is_err() {
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
        }
        answer
    }
}

/// What is sent in place of a linearizable read.
fn lie(request: &Request) -> Option<Request> {
    match request {
        Request::Range(range) => {
            let mut range = range.clone();
            range.serializable = true;
            Some(Request::Range(range))
        }
        _ => None,
    }
}
