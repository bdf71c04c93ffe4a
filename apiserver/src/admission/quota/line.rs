//! The line before the quotas of a namespace. Whoever is first counts for all who stand in it, so a hundred creates at a time are a
//! few writes of a quota and not a hundred that get in each other's way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use objects::amounts::{self, Amounts};
use objects::status::Status;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::super::chain::Parts;
use super::asked::{Asked, Charge};
use super::ledger::{self, Account, Ledger};
use crate::registry::CHANGED;
use crate::storage::Written;

/// Requests that are counted together.
const BATCH_MAX: usize = 256;
/// How often quotas are counted anew on top of what other servers wrote.
const TRIES_MAX: u32 = 10;
/// Pause before the second try; before each further one it is longer by as much.
const PAUSE_STEP: Duration = Duration::from_millis(5);
/// How long a request stands in the line.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Namespaces remembered before those are forgotten that nobody waits for.
const NAMESPACES_IDLE_MAX: usize = 256;

/// What becomes of a request: the inner refusal is a quota's, which the request itself turns into an answer.
type Verdict = Result<Result<(), String>, Status>;

/// The lines of all namespaces.
#[derive(Default)]
pub(crate) struct Lines {
    namespaces: Mutex<HashMap<String, Weak<Line>>>,
}

/// The line of one namespace.
#[derive(Default)]
struct Line {
    waiting: Mutex<Vec<Waiter>>,
    /// Held by whoever counts.
    counting: tokio::sync::Mutex<()>,
}

/// A request in the line.
struct Waiter {
    /// What has yet to be taken for it.
    asked: Asked,
    /// What was.
    written: Vec<Charge>,
    verdict: oneshot::Sender<Verdict>,
}

impl Waiter {
    fn tell(self, verdict: Verdict) {
        // Nobody is there any more where the client went away.
        let _ = self.verdict.send(verdict);
    }
}

impl Lines {
    fn of(&self, namespace: &str) -> Arc<Line> {
        let mut namespaces = self.namespaces.lock();
        if let Some(line) = namespaces.get(namespace).and_then(Weak::upgrade) {
            return line;
        }
        if namespaces.len() >= NAMESPACES_IDLE_MAX {
            namespaces.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::<Line>::default();
        namespaces.insert(namespace.to_owned(), Arc::downgrade(&line));
        line
    }

    /// Takes what a request needs out of its quotas. The inner error is the refusal of one of them.
    pub(super) async fn take(&self, parts: &Parts, namespace: &str, asked: Asked) -> Verdict {
        let line = self.of(namespace);
        let taking = line.take(parts, namespace, asked);
        match tokio::time::timeout(WAIT_MAX, taking).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Status::internal("resource quota evaluation timed out")),
        }
    }
}

impl Line {
    async fn take(&self, parts: &Parts, namespace: &str, asked: Asked) -> Verdict {
        let mut verdict = self.stand(asked.clone());
        let _counting = self.counting.lock().await;
        loop {
            match verdict.try_recv() {
                Ok(verdict) => return verdict,
                Err(TryRecvError::Empty) => {}
                // Whoever counted for this one went away meanwhile. What was taken by then is given back with the next count of
                // the controller.
                Err(TryRecvError::Closed) => verdict = self.stand(asked.clone()),
            }
            let batch = {
                let mut waiting = self.waiting.lock();
                let end = waiting.len().min(BATCH_MAX);
                // Whoever went away takes nothing.
                let here = |waiter: &Waiter| !waiter.verdict.is_closed();
                waiting.drain(..end).filter(here).collect()
            };
            settle(&Quotas { parts, namespace }, batch).await;
        }
    }

    fn stand(&self, asked: Asked) -> oneshot::Receiver<Verdict> {
        let (verdict, told) = oneshot::channel();
        let written = Vec::new();
        self.waiting.lock().push(Waiter {
            asked,
            written,
            verdict,
        });
        told
    }
}

/// The quotas of a namespace in the store.
struct Quotas<'a> {
    parts: &'a Parts,
    namespace: &'a str,
}

impl Quotas<'_> {
    fn key(&self, name: &str) -> Option<String> {
        let table = self.parts.resources.table();
        let served = table.any_version("", "resourcequotas")?;
        let key = served.key(self.namespace, name);
        Some(format!("{}{key}", self.parts.prefix))
    }

    async fn read(&self, names: &BTreeSet<String>) -> Result<Ledger, Status> {
        let mut ledger = Ledger::new();
        for name in names {
            let Some(key) = self.key(name) else {
                continue;
            };
            if let Some(stored) = self.parts.storage.get(key.as_bytes()).await?.0 {
                let value = crate::registry::decode(&stored.value).map_err(Status::internal)?;
                ledger.insert(name.clone(), Account::new(value, stored.revision));
            }
        }
        Ok(ledger)
    }

    /// Writes what changed, and gives the names of those that somebody else wrote meanwhile.
    async fn write(&self, ledger: &Ledger) -> Result<BTreeSet<String>, Status> {
        let mut late = BTreeSet::new();
        for (name, account) in ledger.iter().filter(|(_, account)| account.is_changed) {
            let Some(key) = self.key(name) else {
                continue;
            };
            let bytes = account.to_value().to_string().into_bytes().into();
            let storage = &self.parts.storage;
            let written = storage.replace(key.as_bytes(), account.revision, bytes, 0);
            if !matches!(written.await?, Written::At(_)) {
                late.insert(name.clone());
            }
        }
        Ok(late)
    }
}

/// Tells every request of a batch whether its quotas have room for it.
async fn settle(quotas: &Quotas<'_>, batch: Vec<Waiter>) {
    let charges = batch.iter().flat_map(|waiter| &waiter.asked.charges);
    let mut names: BTreeSet<String> = charges.map(|charge| charge.quota.clone()).collect();
    let mut batch = Batch {
        open: batch,
        owed: BTreeMap::new(),
    };
    for attempt in 0..TRIES_MAX {
        if attempt > 0 {
            tokio::time::sleep(pause(attempt)).await;
        }
        match batch.count(quotas, &names).await {
            Ok(late) if late.is_empty() => return,
            Ok(late) => names = late,
            Err(status) => return batch.end(&status),
        }
    }
    // What was taken for them out of other quotas comes back when the controller counts anew.
    let name = names.first().map(String::as_str).unwrap_or_default();
    batch.end(&Status::conflict("", "resourcequotas", name, CHANGED));
}

/// The time before a further try: longer each time, and another one on every server.
fn pause(attempt: u32) -> Duration {
    let mut random = [0_u8; 1];
    getrandom::fill(&mut random).expect("the system has randomness");
    let step = PAUSE_STEP * attempt;
    step + step * u32::from(random[0]) / u32::from(u8::MAX)
}

/// Requests that are counted together.
struct Batch {
    /// Those that were not told yet.
    open: Vec<Waiter>,
    /// What was taken for requests that were refused by another quota later, until it is given back.
    owed: BTreeMap<String, Amounts>,
}

impl Batch {
    /// Holds the open requests against some quotas, and writes what they take. Gives the names of the quotas that are left.
    async fn count(
        &mut self,
        quotas: &Quotas<'_>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Status> {
        let mut ledger = quotas.read(names).await?;
        for (name, amounts) in &self.owed {
            if let Some(account) = ledger.get_mut(name) {
                account.give_back(amounts);
            }
        }
        let mut owed = BTreeMap::new();
        let mut taken = Vec::new();
        for waiter in std::mem::take(&mut self.open) {
            match ledger::take(&mut ledger, &waiter.asked) {
                Ok(()) if waiter.asked.dry_run => waiter.tell(Ok(Ok(()))),
                Ok(()) => taken.push(waiter),
                Err(why) => {
                    for charge in &waiter.written {
                        let owed = owed.entry(charge.quota.clone()).or_default();
                        amounts::add(owed, &charge.amounts);
                    }
                    waiter.tell(Ok(Err(why)));
                }
            }
        }
        self.open = taken;
        let mut late = quotas.write(&ledger).await?;
        self.owed.retain(|name, _| late.contains(name));
        for (name, amounts) in owed {
            amounts::add(self.owed.entry(name).or_default(), &amounts);
        }
        for mut waiter in std::mem::take(&mut self.open) {
            let is_late = |charge: &Charge| late.contains(&charge.quota);
            let (left, written) = waiter.asked.charges.into_iter().partition(is_late);
            waiter.asked.charges = left;
            waiter.written.extend::<Vec<Charge>>(written);
            if waiter.asked.charges.is_empty() {
                waiter.tell(Ok(Ok(())));
            } else {
                self.open.push(waiter);
            }
        }
        late.extend(self.owed.keys().cloned());
        Ok(late)
    }

    /// Tells all who are left that they cannot be counted.
    fn end(self, status: &Status) {
        for waiter in self.open {
            waiter.tell(Err(status.clone()));
        }
    }
}
