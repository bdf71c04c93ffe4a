//! A watcher as informers are: it lists once, watches from there, and goes on from the last version when a watch ends.

use std::time::Duration;

use tokio::sync::watch;

use super::client::{Ask, Client, Lines};
use super::history::{Kind, Record, Saw, Sight};
use super::record::Recorder;
use super::wire::{self, Line};
use crate::random::Random;

/// Bounds of the time that one watch lasts, in seconds: watchers have to go on often for their going on to be seen.
const WATCH_SECONDS_MIN: u64 = 1;
const WATCH_SECONDS_MAX: u64 = 15;
/// Pause before the next server is asked, when one does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a watch may outlive the time that was asked for, in seconds: its server may be frozen.
const WATCH_SECONDS_MORE: u64 = 5;
/// How much of a line that cannot be read is kept.
const SHOWN_BYTES_MAX: usize = 200;

/// One watcher.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) number: u32,
    pub(super) kind: Kind,
    server: usize,
    ports: Vec<u16>,
    recorder: Recorder,
    random: Random,
    /// How far it is; 0 before its list.
    reached: watch::Sender<u64>,
}

impl Watcher {
    /// A watcher that begins at a server, and where it says how far it is.
    pub(super) fn new(
        number: u32,
        kind: Kind,
        ports: &[u16],
        recorder: Recorder,
        seed: u64,
    ) -> (Watcher, watch::Receiver<u64>) {
        let (reached, place) = watch::channel(0);
        let server = usize::try_from(number).expect("watchers are few") % ports.len();
        let watcher = Watcher {
            number,
            kind,
            server,
            ports: ports.to_vec(),
            recorder,
            random: Random::for_purpose(seed, "kubernetes watch", u64::from(number)),
            reached,
        };
        (watcher, place)
    }

    /// Watches until told to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.watch_once() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.server = (self.server + 1) % self.ports.len();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One list if there was none, and one watch at one server.
    async fn watch_once(&mut self) {
        let mut client = Client::new(self.ports[self.server]);
        if *self.reached.borrow() == 0 && self.list(&mut client).await.is_none() {
            return;
        }
        let from = *self.reached.borrow();
        let seconds = self.random.between(WATCH_SECONDS_MIN, WATCH_SECONDS_MAX);
        let ask = Ask::get(format!(
            "{}?watch=1&allowWatchBookmarks=true&resourceVersion={from}&timeoutSeconds={seconds}",
            wire::path(self.kind)
        ));
        let Ok((code, body)) = client.begin(ask).await else {
            return;
        };
        if code == wire::GONE {
            self.reached.send_replace(0);
        }
        if code != 200 {
            return;
        }
        let limit = Duration::from_secs(seconds + WATCH_SECONDS_MORE);
        let following = self.follow(Lines::new(body));
        // One that takes longer is left for the next server; what was seen of it counts.
        let _ = tokio::time::timeout(limit, following).await;
    }

    async fn follow(&self, mut lines: Lines) {
        while let Some(text) = lines.next().await {
            let line = serde_json::from_slice(&text).ok();
            match line.and_then(|line| wire::line(&line)) {
                Some(Line::Saw(saw)) => {
                    let revision = match &saw {
                        Saw::Event { object, .. } => object.version,
                        Saw::Began { revision, .. } | Saw::Bookmark { revision } => *revision,
                        Saw::Unreadable { .. } => return self.note(saw).await,
                    };
                    // Dropped while it waits, it has noted nothing and is told again.
                    self.note(saw).await;
                    self.reached.send_replace(revision);
                }
                Some(Line::Other) => {}
                Some(Line::Error(code)) => {
                    if code == u64::from(wire::GONE) {
                        self.reached.send_replace(0);
                    }
                    return;
                }
                None => {
                    let shown = &text[..text.len().min(SHOWN_BYTES_MAX)];
                    let line = String::from_utf8_lossy(shown).into_owned();
                    return self.note(Saw::Unreadable { line }).await;
                }
            }
        }
    }

    async fn list(&self, client: &mut Client) -> Option<()> {
        let answer = client.ask(Ask::get(wire::path(self.kind))).await.ok()?;
        if wire::failure(&answer).is_some() {
            return None;
        }
        let revision = wire::version(&answer.body["metadata"])?;
        let items = wire::objects(&answer.body)?;
        self.note(Saw::Began { revision, items }).await;
        self.reached.send_replace(revision);
        Some(())
    }

    async fn note(&self, saw: Saw) {
        let sight = Sight {
            watcher: self.number,
            kind: self.kind,
            server: self.server,
            time_ns: self.recorder.clock.nanos(),
            saw,
        };
        self.recorder.add(Record::Watch(sight)).await;
    }
}
