//! One run: a cluster, its faults, what must hold at every moment, and what must hold in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use state_machine::AlarmKind;
use turmoil::Sim;

use crate::history::{Counts, History};
use crate::member::{Member, World, process};
use crate::nemesis::{LATENCY, Nemesis};
use crate::network::{MEMBERS, Network, name};
use crate::trace::Trace;

const TICK: Duration = Duration::from_millis(2);
/// Messages that a simulated connection holds.
const TCP_SEGMENTS: usize = 4096;
/// After the last fault every member has to take a write within this time.
const RECOVERY_MAX: Duration = Duration::from_secs(40);
/// States of members at the same log index are compared this often.
const COMPARE_INTERVAL: Duration = Duration::from_secs(3);
/// Simulated time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(120);
/// Fewer acknowledged writes per simulated second say too little.
const WRITES_PER_SECOND_MIN: u64 = 2;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub seed: u64,
    /// Simulated time under faults.
    pub duration: Duration,
    pub trace: Option<PathBuf>,
    /// Shortest way of a message.
    pub latency: Duration,
    /// Whether anything is broken on purpose.
    pub has_faults: bool,
    /// Told the simulated time whenever it moves, before anything happens in it.
    pub clock: fn(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    Violated,
    Inconclusive,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Report {
    pub verdict: Verdict,
    pub simulated: Duration,
    /// Faults that took hold, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub reads: u64,
    /// Terms that had a leader.
    pub elections: u64,
    /// Elections called because the leader's process had ended.
    pub early_elections: u64,
    pub trace_hash: u64,
    pub trace_lines: u64,
    /// Violations, or why the run shows nothing.
    pub reasons: Vec<String>,
}

/// What is seen of the members from outside.
#[derive(Default)]
struct Observed {
    leaders: BTreeMap<u64, u64>,
    hashes: BTreeMap<u64, (usize, u32)>,
    applied: [u64; MEMBERS],
    /// Early elections that each member's process has called, and those of all processes.
    early: [u64; MEMBERS],
    early_elections: u64,
    compared: Duration,
}

/// Runs one seed.
///
/// # Errors
/// When the folder for the members' states cannot be made or used: the harness's failure, not the store's.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let shared_memory = std::path::Path::new("/dev/shm");
    let root = match shared_memory.is_dir() {
        true => tempfile::tempdir_in(shared_memory)?,
        false => tempfile::tempdir()?,
    };
    let trace = Trace::new(options.trace.as_deref())?;
    let world = Arc::new(World {
        seed: options.seed,
        network: Network::new(trace.clone()),
        trace,
        history: History::default(),
        ending: AtomicBool::new(false),
    });
    let members: Vec<Arc<Member>> = (0..MEMBERS)
        .map(|index| {
            Arc::new(Member::new(
                index,
                root.path().join(name(index)),
                options.seed,
            ))
        })
        .collect();
    let mut sim = build(options, &members, &world);
    let mut nemesis = Nemesis::new(members.clone(), Arc::clone(&world), options);
    let mut observed = Observed::default();
    let mut progress = PROGRESS_INTERVAL;
    let recovered = loop {
        let now = sim.elapsed();
        (options.clock)(now);
        world.trace.set_now(now);
        if let Err(error) = sim.step() {
            world
                .history
                .violate(format!("a member's process failed: {error}"));
            break false;
        }
        nemesis.step(&mut sim, now)?;
        observed.look(&members, &world, now);
        if now >= options.duration && !world.is_ending() {
            world.trace.note(format_args!("healing"));
            nemesis.heal_all(&mut sim)?;
            world.ending.store(true, Ordering::Relaxed);
        }
        if world.is_ending() && nemesis.is_whole() && is_settled(&members) {
            break true;
        }
        if now >= options.duration + RECOVERY_MAX || !world.history.violations().is_empty() {
            break false;
        }
        if now >= progress {
            progress += PROGRESS_INTERVAL;
            let acknowledged = world.history.counts().acknowledged;
            eprintln!(
                "seed {}: {} s simulated, {acknowledged} writes acknowledged",
                options.seed,
                now.as_secs()
            );
        }
    };
    conclude(&members, &world, recovered);
    let simulated = sim.elapsed();
    let report = report(&world, (&nemesis, options), &observed, simulated)?;
    drop(sim);
    Ok(report)
}

fn build<'a>(options: &Options, members: &[Arc<Member>], world: &Arc<World>) -> Sim<'a> {
    let mut sim = turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH)
        .simulation_duration(Duration::MAX)
        .tick_duration(TICK)
        .min_message_latency(options.latency)
        .max_message_latency(options.latency + LATENCY)
        .tcp_capacity(TCP_SEGMENTS)
        .enable_random_order()
        .rng_seed(options.seed)
        .build();
    for member in members {
        let (member, world) = (Arc::clone(member), Arc::clone(world));
        sim.host(name(member.index), move || {
            let (member, world) = (Arc::clone(&member), Arc::clone(&world));
            async move {
                process(member, world).await;
                Ok(())
            }
        });
    }
    sim
}

/// Whether every member has taken a write and all have applied the same.
fn is_settled(members: &[Arc<Member>]) -> bool {
    let applied: Vec<Option<u64>> = members
        .iter()
        .map(|member| Some(member.node()?.replica().raft_status().applied_index))
        .collect();
    members.iter().all(|member| member.is_finished())
        && applied[0].is_some()
        && applied.iter().all(|index| *index == applied[0])
}

fn conclude(members: &[Arc<Member>], world: &World, recovered: bool) {
    let nodes: Vec<_> = members.iter().filter_map(|member| member.node()).collect();
    if recovered && nodes.len() == MEMBERS {
        let machines: Vec<_> = nodes.iter().map(|node| node.replica().machine()).collect();
        let digests = machines.iter().map(|machine| machine.digest());
        if digests.clone().any(|digest| digest != machines[0].digest()) {
            let digests: Vec<_> = digests.collect();
            let what = format!("members that applied the same have digests {digests:x?}");
            world.history.violate(what);
        }
        let hashes: Vec<u32> = machines.iter().map(|machine| machine.hash()).collect();
        if hashes.iter().any(|hash| *hash != hashes[0]) {
            let what = format!("members that applied the same differ: {hashes:x?}");
            world.history.violate(what);
        }
        world.history.judge(&machines);
    } else if world.history.violations().is_empty() {
        let states: Vec<String> = members
            .iter()
            .map(|member| match (member.node(), member.ended()) {
                (Some(node), _) => format!(
                    "m{} {:?} may vote {} finished {}",
                    member.index,
                    node.replica().raft_status(),
                    node.may_vote(),
                    member.is_finished()
                ),
                (None, ended) => format!("m{} does not run: {ended:?}", member.index),
            })
            .collect();
        world.history.violate(format!(
            "the cluster was not whole {} s after the last fault: {}",
            RECOVERY_MAX.as_secs(),
            states.join("; ")
        ));
    }
}

impl Observed {
    fn look(&mut self, members: &[Arc<Member>], world: &World, now: Duration) {
        let compares = now >= self.compared + COMPARE_INTERVAL;
        if compares {
            self.compared = now;
        }
        for member in members {
            let Some(node) = member.node() else { continue };
            if let (Some(leader), term) = node.led() {
                let known = *self.leaders.entry(term).or_insert_with(|| {
                    world
                        .trace
                        .note(format_args!("term {term} is led by {leader:x}"));
                    leader
                });
                if known != leader {
                    world
                        .history
                        .violate(format!("term {term} has two leaders"));
                }
            }
            self.look_at_early_elections(member.index, node.early_elections());
            let applied = node.replica().raft_status().applied_index;
            if std::mem::replace(&mut self.applied[member.index], applied) != applied {
                world
                    .trace
                    .note(format_args!("m{} applied {applied}", member.index));
            }
            if compares {
                let machine = node.replica().machine();
                // The store compares its members too, and has to find what is found here and nothing else.
                if machine
                    .alarms()
                    .iter()
                    .any(|(_, kind)| *kind == AlarmKind::Corrupt)
                {
                    let what = format!("m{} knows of a CORRUPT alarm", member.index);
                    world.history.violate(what);
                }
                let hash = machine.hash();
                let (first, known) = *self.hashes.entry(applied).or_insert((member.index, hash));
                if known != hash {
                    world.history.violate(format!(
                        "m{first} and m{} differ at log index {applied}",
                        member.index
                    ));
                }
            }
        }
    }

    /// A new process counts from zero.
    fn look_at_early_elections(&mut self, member: usize, called: u64) {
        let known = std::mem::replace(&mut self.early[member], called);
        self.early_elections += called.checked_sub(known).unwrap_or(called);
    }
}

fn report(
    world: &World,
    (nemesis, options): (&Nemesis, &Options),
    observed: &Observed,
    simulated: Duration,
) -> anyhow::Result<Report> {
    let Counts {
        acknowledged,
        refused,
        unknown,
        reads,
    } = world.history.counts();
    let mut reasons = world.history.violations();
    let mut verdict = Verdict::Violated;
    if reasons.is_empty() {
        verdict = Verdict::Held;
        if options.has_faults && nemesis.fired().is_empty() {
            reasons.push("no fault took hold".to_owned());
        }
        if acknowledged < WRITES_PER_SECOND_MIN * simulated.as_secs() || reads == 0 {
            reasons.push(format!(
                "only {acknowledged} writes and {reads} reads were answered"
            ));
        }
        if !reasons.is_empty() {
            verdict = Verdict::Inconclusive;
        }
    }
    let (trace_hash, trace_lines) = world.trace.finish()?;
    Ok(Report {
        verdict,
        simulated,
        faults: nemesis.fired().clone(),
        acknowledged,
        refused,
        unknown,
        reads,
        elections: observed.leaders.len() as u64,
        early_elections: observed.early_elections,
        trace_hash,
        trace_lines,
        reasons,
    })
}
