//! Histories of a cluster that does everything right, drawn from a seed: what a checker must let pass, and what
//! [`crate::mutate`] damages.

mod random;
mod requests;
mod store;
mod watchers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::history::{
    Barrier, HashKv, Operation, Outcome, Put, Record, Refusal, RefusalKind, Request, Run,
};

pub(crate) use random::Random;
use requests::Requests;
use store::Store;
#[cfg(test)]
pub(crate) use store::Store as PlainStore;
use watchers::Watchers;

const NS_PER_MS: u64 = 1_000_000;

/// How long clients wait for an answer, in nanoseconds.
pub const TIMEOUT_NS: u64 = 500 * NS_PER_MS;

/// The longest time an operation without an answer may take to have its effect after it was called, in nanoseconds.
const LATE_MAX_NS: u64 = 3 * TIMEOUT_NS;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything else is drawn from this.
    pub seed: u64,
    /// How many operations clients call.
    pub operations: u64,
    /// How many clients call at the same time.
    pub clients: u32,
    /// How many members answer.
    pub members: u32,
    /// How many keys there are, about.
    pub keys: u64,
    /// How many of a thousand operations have an unknown outcome.
    pub unknown_per_thousand: u64,
    /// Whether there are watches besides the witnesses.
    pub watches: bool,
    /// Whether there are leases.
    pub leases: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            operations: 2000,
            clients: 8,
            members: 3,
            keys: 12,
            unknown_per_thousand: 20,
            watches: true,
            leases: true,
        }
    }
}

/// A whole history, its records in the order of their times.
#[must_use]
pub fn history(plan: &Plan) -> Vec<Record> {
    Simulation::new(plan.clone()).collect()
}

/// A history as it is made, record by record.
#[derive(Debug)]
pub struct Simulation {
    plan: Plan,
    random: Random,
    requests: Requests,
    store: Store,
    watchers: Watchers,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    pushed: u64,
    called: u64,
    under_way: u64,
    /// Up to which revision each member has applied the log.
    applied: Vec<i64>,
    out: VecDeque<Record>,
    ended: bool,
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A client calls.
    Call(u32),
    /// An operation has its effect, and how it ends for the client.
    Effect(Box<Call>, Fate),
    /// A client learns the outcome.
    Return(Box<Call>, Box<Ending>),
    /// A member applies what it has not yet.
    Apply(u32),
    /// A watch sends what it has not yet.
    Deliver(u64),
    /// Watches come and go.
    Watches,
    /// A lease may have run out.
    Lease(i64),
}

/// A call under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    id: u64,
    client: u32,
    member: u32,
    call_ns: u64,
    request: Comparable<Request>,
}

/// How an operation ends for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Answered,
    /// The client has given up.
    Unheard,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ending(Comparable<Outcome>);

/// Takes no part in the order of steps.
#[derive(Clone, Debug)]
struct Comparable<T>(T);

impl<T> PartialEq for Comparable<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Comparable<T> {}

impl<T> PartialOrd for Comparable<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Comparable<T> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// Enough revisions for the slowest watch and the oldest read.
const KEPT_REVISIONS: usize = 600;

impl Simulation {
    /// Begins a history.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let members = usize::try_from(plan.members).expect("a small number");
        let mut simulation = Self {
            random: Random::new(plan.seed),
            requests: Requests::new(plan.keys, plan.leases),
            store: Store::new(KEPT_REVISIONS),
            watchers: Watchers::default(),
            steps: BinaryHeap::new(),
            pushed: 0,
            called: 0,
            under_way: 0,
            applied: vec![1; members],
            out: VecDeque::new(),
            ended: false,
            plan,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        self.out.push_back(Record::Run(Run {
            server: "simulated".to_owned(),
            seed: self.plan.seed,
            members: self.plan.members,
            ..Run::default()
        }));
        for member in 0..self.plan.members {
            let id = self.watchers.open_witness(member, &mut self.out);
            self.push(1, Step::Deliver(id));
            self.push(1, Step::Apply(member));
        }
        for client in 0..self.plan.clients {
            let first_ns = 1 + self.random.below(10 * NS_PER_MS);
            self.push(first_ns, Step::Call(client));
        }
        if self.plan.watches {
            let id = self.watchers.open_standing(&mut self.out);
            self.push(1, Step::Deliver(id));
            self.push(NS_PER_MS, Step::Watches);
        }
    }

    fn push(&mut self, time_ns: u64, step: Step) {
        self.pushed += 1;
        self.steps.push(Reverse((time_ns, self.pushed, step)));
    }

    fn step(&mut self) {
        let Some(Reverse((now_ns, _, step))) = self.steps.pop() else {
            self.ended = true;
            return;
        };
        if self.called >= self.plan.operations && self.under_way == 0 {
            self.end(now_ns);
            return;
        }
        match step {
            Step::Call(client) => self.call(client, now_ns),
            Step::Effect(call, fate) => self.effect(call, fate, now_ns),
            Step::Return(call, ending) => {
                let Ending(Comparable(outcome)) = *ending;
                self.returned(*call, outcome, now_ns);
            }
            Step::Apply(member) => self.apply(member, now_ns),
            Step::Deliver(watch) => self.deliver(watch, now_ns),
            Step::Watches => {
                let opened = self.watchers.come_and_go(
                    (&mut self.random, &self.store, &self.applied),
                    now_ns,
                    &mut self.out,
                );
                if let Some(id) = opened {
                    self.push(now_ns + NS_PER_MS, Step::Deliver(id));
                }
                let next_ns = now_ns + self.random.below(80 * NS_PER_MS);
                self.push(next_ns, Step::Watches);
            }
            Step::Lease(id) => self.lease(id, now_ns),
        }
    }

    fn call(&mut self, client: u32, now_ns: u64) {
        if self.called >= self.plan.operations {
            return;
        }
        self.called += 1;
        self.under_way += 1;
        let request = self.requests.draw(&mut self.random, &self.store);
        let member = self.random.below(u64::from(self.plan.members));
        let call = Box::new(Call {
            id: self.called,
            client,
            member: u32::try_from(member).expect("below the number of members"),
            call_ns: now_ns,
            request: Comparable(request),
        });
        let soon_ns = now_ns + 1 + self.random.below(20 * NS_PER_MS);
        let unknown = self.random.chance(self.plan.unknown_per_thousand);
        if unknown {
            let gives_up_ns = now_ns + TIMEOUT_NS;
            if self.random.chance(500) {
                self.under_way += 1;
                let effect_ns = now_ns + 1 + self.random.below(LATE_MAX_NS);
                self.push(effect_ns, Step::Effect(call.clone(), Fate::Unheard));
            }
            let error = "the time for an answer was over".to_owned();
            let ending = Box::new(Ending(Comparable(Outcome::Unknown { error })));
            self.push(gives_up_ns, Step::Return(call, ending));
        } else if self.random.chance(10) {
            let refusal = Refusal {
                kind: RefusalKind::Other,
                text: "too many requests".to_owned(),
            };
            let ending = Box::new(Ending(Comparable(Outcome::Failed(refusal))));
            self.push(soon_ns, Step::Return(call, ending));
        } else {
            self.push(soon_ns, Step::Effect(call, Fate::Answered));
        }
    }

    fn effect(&mut self, call: Box<Call>, fate: Fate, now_ns: u64) {
        let member = usize::try_from(call.member).expect("a small number");
        let Comparable(request) = &call.request;
        let done = match request {
            Request::Range(range) if range.serializable => self
                .store
                .read_behind(range, self.applied[member])
                .ok_or(RefusalKind::Other),
            Request::Compact(compact) if compact.revision > self.watchers.slowest() => {
                Err(RefusalKind::Other)
            }
            request => self.store.execute(request, now_ns),
        };
        if let Request::LeaseGrant(grant) = request {
            self.watch_lease(grant.id);
        }
        if fate == Fate::Unheard {
            self.under_way -= 1;
            return;
        }
        let outcome = match done {
            Ok(response) => Outcome::Ok(response),
            Err(kind) => Outcome::Failed(Refusal {
                kind,
                text: String::new(),
            }),
        };
        let return_ns = now_ns + 1 + self.random.below(20 * NS_PER_MS);
        let ending = Box::new(Ending(Comparable(outcome)));
        self.push(return_ns, Step::Return(call, ending));
    }

    fn returned(&mut self, call: Call, outcome: Outcome, now_ns: u64) {
        self.under_way -= 1;
        let answered = !matches!(outcome, Outcome::Unknown { .. });
        let Comparable(request) = call.request;
        self.out.push_back(Record::Op(Operation {
            id: call.id,
            client: call.client,
            member: call.member,
            call_ns: call.call_ns,
            return_ns: answered.then_some(now_ns),
            request,
            outcome,
        }));
        let next_ns = now_ns + 1 + self.random.below(4 * NS_PER_MS);
        self.push(next_ns, Step::Call(call.client));
    }

    fn apply(&mut self, member: u32, now_ns: u64) {
        let index = usize::try_from(member).expect("a small number");
        self.applied[index] = self.store.revision;
        let next_ns = now_ns + 1 + self.random.below(30 * NS_PER_MS);
        self.push(next_ns, Step::Apply(member));
    }

    fn deliver(&mut self, watch: u64, now_ns: u64) {
        let open = self.watchers.deliver(
            watch,
            (&mut self.random, &self.store, &self.applied),
            now_ns,
            &mut self.out,
        );
        if open {
            let next_ns = now_ns + 1 + self.random.below(30 * NS_PER_MS);
            self.push(next_ns, Step::Deliver(watch));
        }
    }

    fn watch_lease(&mut self, id: i64) {
        if let Some(ends_ns) = self.store.lease_ends_ns(id) {
            let late_ns = self.random.below(300 * NS_PER_MS);
            self.push(ends_ns + late_ns, Step::Lease(id));
        }
    }

    fn lease(&mut self, id: i64, now_ns: u64) {
        match self.store.lease_ends_ns(id) {
            Some(ends_ns) if ends_ns <= now_ns => {
                self.store.end_lease(id);
            }
            Some(_) => self.watch_lease(id),
            None => {}
        }
    }

    /// The barrier, everything that watches have not got yet, and the members' hashes.
    fn end(&mut self, now_ns: u64) {
        self.steps.clear();
        let put = Request::Put(Put {
            key: "barrier".into(),
            value: self.requests.value(),
            ..Put::default()
        });
        let mut now_ns = now_ns + 1;
        self.after_load(put, 0, &mut now_ns);
        let revision = self.store.revision;
        self.out.push_back(Record::Barrier(Barrier {
            time_ns: now_ns,
            revision,
        }));
        self.applied.fill(revision);
        now_ns += 1;
        self.watchers.flush(
            (&mut self.random, &self.store, &self.applied),
            now_ns,
            &mut self.out,
        );
        for member in 0..self.plan.members {
            let question = Request::HashKv(HashKv { revision });
            self.after_load(question, member, &mut now_ns);
        }
        self.ended = true;
    }

    fn after_load(&mut self, request: Request, member: u32, now_ns: &mut u64) {
        let call_ns = *now_ns;
        let response = self
            .store
            .execute(&request, call_ns + 1)
            .expect("neither a plain put nor a hash is refused");
        *now_ns += 3;
        self.called += 1;
        self.out.push_back(Record::Op(Operation {
            id: self.called,
            client: self.plan.clients,
            member,
            call_ns,
            return_ns: Some(call_ns + 2),
            request,
            outcome: Outcome::Ok(response),
        }));
    }
}

impl Iterator for Simulation {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        while self.out.is_empty() && !self.ended {
            self.step();
        }
        self.out.pop_front()
    }
}
