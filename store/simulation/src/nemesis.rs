//! Breaks the cluster on purpose, as the seed says, and mends it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use turmoil::Sim;

use crate::member::{Member, World};
use crate::network::{MEMBERS, name};
use crate::random::Random;
use crate::run::Options;

/// Rest between two faults, in milliseconds.
const REST_MIN: u64 = 300;
const REST_MAX: u64 = 3000;
/// How long a fault lasts, in milliseconds.
const HOLD_MIN: u64 = 200;
const HOLD_MAX: u64 = 6000;
/// Faults at a time.
const ACTIVE_MAX: usize = 2;
/// No faults before the cluster has come up.
const QUIET_START: Duration = Duration::from_secs(5);
/// By how much the ways of messages usually differ, and the longest way of a slow one.
pub(crate) const LATENCY: Duration = Duration::from_millis(4);
const LATENCY_SLOW: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The process ends; what it wrote stays in the page cache.
    Kill(usize),
    /// The machine vanishes without a word, and with it what was not synced.
    PowerOff(usize),
    KillAll,
    PowerOffAll,
    /// Messages from and to a member are lost.
    Isolate(usize),
    /// They wait, as in a sender's TCP, and arrive when it is over.
    Hold(usize),
    /// Nothing gets from the one to the other; the way back is open.
    OneWay(usize, usize),
    Cut(usize, usize),
    Jitter(usize, usize),
    /// Every connection of a member breaks; nobody dies.
    Reset(usize),
    SlowDisk(usize),
    FullDisk(usize),
    FailSyncs(usize),
    /// A bit of what was acknowledged flips while the process is down.
    Damage(usize),
}

impl Fault {
    fn kind(self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::PowerOff(_) => "power-off",
            Fault::KillAll => "kill-all",
            Fault::PowerOffAll => "power-off-all",
            Fault::Isolate(_) => "isolate",
            Fault::Hold(_) => "hold",
            Fault::OneWay(..) => "one-way",
            Fault::Cut(..) => "cut",
            Fault::Jitter(..) => "jitter",
            Fault::Reset(_) => "reset",
            Fault::SlowDisk(_) => "slow-disk",
            Fault::FullDisk(_) => "full-disk",
            Fault::FailSyncs(_) => "fail-syncs",
            Fault::Damage(_) => "damage",
        }
    }

    fn is_of_network(self) -> bool {
        matches!(
            self,
            Fault::PowerOff(_)
                | Fault::PowerOffAll
                | Fault::Isolate(_)
                | Fault::Hold(_)
                | Fault::OneWay(..)
                | Fault::Cut(..)
        )
    }

    /// From where to where nothing gets through.
    fn cuts(self) -> Vec<(usize, usize)> {
        let around = |member: usize| {
            let others = (0..MEMBERS).filter(move |other| *other != member);
            others.flat_map(move |other| [(member, other), (other, member)])
        };
        match self {
            Fault::PowerOff(member) | Fault::Isolate(member) => around(member).collect(),
            Fault::PowerOffAll => (0..MEMBERS).flat_map(around).collect(),
            Fault::OneWay(from, to) => vec![(from, to)],
            Fault::Cut(one, other) => vec![(one, other), (other, one)],
            _ => Vec::new(),
        }
    }

    fn crashes(self) -> Vec<usize> {
        match self {
            Fault::Kill(member) | Fault::PowerOff(member) | Fault::Damage(member) => vec![member],
            Fault::KillAll | Fault::PowerOffAll => (0..MEMBERS).collect(),
            _ => Vec::new(),
        }
    }
}

/// A member as the nemesis has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Up,
    Down,
    /// Started on a damaged log; it has to refuse.
    MustRefuse,
    /// Started without data; it votes again once it has caught up.
    Rejoining,
}

pub(crate) struct Nemesis {
    members: Vec<Arc<Member>>,
    world: Arc<World>,
    random: Random,
    active: Vec<(Fault, Duration)>,
    processes: [Process; MEMBERS],
    /// Its disk was made to fail since it was started, so it may end by itself.
    excused: [bool; MEMBERS],
    /// When the next fault begins; never if there are to be none.
    next: Duration,
    /// Longest way of a message that nothing slows down.
    latency_max: Duration,
    fired: BTreeMap<&'static str, u64>,
}

impl Nemesis {
    pub(crate) fn new(members: Vec<Arc<Member>>, world: Arc<World>, options: &Options) -> Self {
        Nemesis {
            members,
            random: Random::new(world.seed, 2),
            world,
            active: Vec::new(),
            processes: [Process::Up; MEMBERS],
            excused: [false; MEMBERS],
            next: match options.has_faults {
                true => QUIET_START,
                false => Duration::MAX,
            },
            latency_max: options.latency + LATENCY,
            fired: BTreeMap::new(),
        }
    }

    pub(crate) fn fired(&self) -> &BTreeMap<&'static str, u64> {
        &self.fired
    }

    fn fire(&mut self, kind: &'static str) {
        *self.fired.entry(kind).or_default() += 1;
    }

    /// Called once a tick.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>, now: Duration) -> anyhow::Result<()> {
        self.look_after(sim)?;
        let over: Vec<Fault> = self
            .active
            .iter()
            .filter(|(_, until)| *until <= now)
            .map(|(fault, _)| *fault)
            .collect();
        for fault in over {
            self.heal(sim, fault)?;
        }
        if now >= self.next && !self.world.is_ending() {
            self.next = now + self.random.milliseconds(REST_MIN, REST_MAX);
            if self.active.len() < ACTIVE_MAX
                && let Some(fault) = self.choose()
            {
                let hold = self.random.milliseconds(HOLD_MIN, HOLD_MAX);
                self.active.push((fault, now + hold));
                self.world.trace.note(format_args!("fault {fault:?}"));
                self.begin(sim, fault)?;
            }
        }
        Ok(())
    }

    /// Ends every fault.
    pub(crate) fn heal_all(&mut self, sim: &mut Sim<'_>) -> anyhow::Result<()> {
        while let Some(&(fault, _)) = self.active.first() {
            self.heal(sim, fault)?;
        }
        Ok(())
    }

    /// Whether every member is a voter that runs.
    pub(crate) fn is_whole(&self) -> bool {
        self.processes.iter().all(|process| *process == Process::Up)
    }

    fn choose(&mut self) -> Option<Fault> {
        let member = self.random.below(MEMBERS);
        let other = (member + 1 + self.random.below(MEMBERS - 1)) % MEMBERS;
        let fault = match self.random.below(40) {
            0..7 => Fault::Kill(member),
            7..13 => Fault::PowerOff(member),
            13 => Fault::KillAll,
            14 => Fault::PowerOffAll,
            15..19 => Fault::Isolate(member),
            19..22 => Fault::Hold(member),
            22..25 => Fault::OneWay(member, other),
            25..27 => Fault::Cut(member, other),
            27..30 => Fault::Jitter(member, other),
            30..33 => Fault::Reset(member),
            33..35 => Fault::SlowDisk(member),
            35..37 => Fault::FullDisk(member),
            37 => Fault::FailSyncs(member),
            _ => Fault::Damage(member),
        };
        let has_network = self.active.iter().any(|(active, _)| active.is_of_network());
        let same = self
            .active
            .iter()
            .any(|(active, _)| active.kind() == fault.kind());
        let all_up = fault.crashes().iter().all(|member| {
            let process = self.processes[*member];
            process == Process::Up || process == Process::Rejoining
        });
        // Damage takes one member's copy; nothing else may be missing until it is back.
        let alone = self.active.is_empty() && self.is_whole();
        let fits = match fault {
            Fault::Damage(_) => alone,
            Fault::FailSyncs(member) | Fault::FullDisk(member) => {
                self.processes[member] == Process::Up
            }
            fault if fault.is_of_network() => !has_network && all_up,
            _ => all_up,
        };
        (fits && !same).then_some(fault)
    }

    fn begin(&mut self, sim: &mut Sim<'_>, fault: Fault) -> anyhow::Result<()> {
        for (from, to) in fault.cuts() {
            sim.partition_oneway(name(from), name(to));
            self.world.network.set_cut(from, to, true);
        }
        let is_power = matches!(fault, Fault::PowerOff(_) | Fault::PowerOffAll);
        for member in fault.crashes() {
            self.crash(sim, member, is_power)?;
        }
        // Without a connection there was nothing to break.
        if let Fault::Reset(member) = fault
            && self.world.network.reset(member) == 0
        {
            return Ok(());
        }
        match fault {
            Fault::Hold(member) => self.each_other(member, |other| {
                sim.hold(name(member), name(other));
            }),
            Fault::Jitter(one, other) => {
                sim.set_link_max_message_latency(
                    name(one),
                    name(other),
                    self.latency_max.max(LATENCY_SLOW),
                );
            }
            Fault::SlowDisk(member) => self.members[member].set_slow(true),
            Fault::FullDisk(member) => {
                self.excused[member] = true;
                self.members[member].set_full(true);
            }
            Fault::FailSyncs(member) => {
                self.excused[member] = true;
                self.members[member].disk.set_failing_syncs(true);
                // Counted when the member ends by it.
                return Ok(());
            }
            // Counted when the member refuses what it has.
            Fault::Damage(member) => {
                self.damage(member);
                return Ok(());
            }
            _ => {}
        }
        self.fire(fault.kind());
        Ok(())
    }

    fn each_other(&self, member: usize, work: impl FnMut(usize)) {
        (0..MEMBERS).filter(|other| *other != member).for_each(work);
    }

    fn heal(&mut self, sim: &mut Sim<'_>, fault: Fault) -> anyhow::Result<()> {
        self.world.trace.note(format_args!("healed {fault:?}"));
        self.active.retain(|(active, _)| *active != fault);
        for (from, to) in fault.cuts() {
            sim.repair_oneway(name(from), name(to));
            self.world.network.set_cut(from, to, false);
        }
        match fault {
            Fault::Hold(member) => self.each_other(member, |other| {
                sim.release(name(member), name(other));
            }),
            Fault::Jitter(one, other) => {
                sim.set_link_max_message_latency(name(one), name(other), self.latency_max);
            }
            Fault::SlowDisk(member) => self.members[member].set_slow(false),
            Fault::FullDisk(member) => self.members[member].set_full(false),
            Fault::FailSyncs(member) => self.members[member].disk.set_failing_syncs(false),
            _ => {}
        }
        let is_damage = matches!(fault, Fault::Damage(_));
        for member in 0..MEMBERS {
            let is_its = fault.crashes().contains(&member)
                || matches!(fault, Fault::FullDisk(of) | Fault::FailSyncs(of) if of == member);
            if self.processes[member] == Process::Down && is_its {
                self.start(sim, member, is_damage);
            }
        }
        Ok(())
    }

    fn crash(&mut self, sim: &mut Sim<'_>, member: usize, is_power: bool) -> anyhow::Result<()> {
        let of = &self.members[member];
        of.keep_durable()?;
        sim.crash(name(member));
        if is_power {
            let random = &mut self.random;
            let lost = of.disk.power_failure(&mut |bound| random.below(bound));
            self.world.trace.note(format_args!("m{member} {lost:?}"));
        }
        of.remove_old();
        self.world.network.set_dead(member, !is_power);
        self.processes[member] = Process::Down;
        Ok(())
    }

    fn start(&mut self, sim: &mut Sim<'_>, member: usize, must_refuse: bool) {
        self.world.trace.note(format_args!("m{member} starts"));
        self.processes[member] = match must_refuse {
            true => Process::MustRefuse,
            false => Process::Rejoining,
        };
        self.excused[member] = self.has_disk_fault(member);
        self.world.network.set_dead(member, false);
        sim.bounce(name(member));
    }

    fn damage(&mut self, member: usize) {
        let of = &self.members[member];
        let random = &mut self.random;
        let flipped = of
            .disk
            .flip_acknowledged_bit(&of.wal_dir(), &mut |bound| random.below(bound));
        if !flipped {
            let what = format!("m{member} has no acknowledged record to damage");
            self.world.history.violate(what);
        }
    }

    /// Sees who ended by itself, who refused, and who is whole again.
    fn look_after(&mut self, sim: &mut Sim<'_>) -> anyhow::Result<()> {
        for member in 0..MEMBERS {
            let of = Arc::clone(&self.members[member]);
            if let Some(reason) = of.ended() {
                let was = self.processes[member];
                self.crash(sim, member, true)?;
                self.world.network.set_dead(member, true);
                if was == Process::MustRefuse {
                    self.fire("damage");
                    of.wipe();
                    self.start(sim, member, false);
                } else if self.excused[member] {
                    if !of.is_full() {
                        self.fire("fail-syncs");
                    }
                    if !self.has_disk_fault(member) {
                        self.start(sim, member, false);
                    }
                } else {
                    let what = format!("m{member} ended by itself: {reason}");
                    self.world.history.violate(what);
                }
                continue;
            }
            let Some(node) = of.node() else { continue };
            match self.processes[member] {
                Process::MustRefuse => {
                    let what = format!("m{member} did not notice that its log is damaged");
                    self.world.history.violate(what);
                    self.processes[member] = Process::Up;
                }
                Process::Rejoining if node.may_vote() => self.processes[member] = Process::Up,
                _ => {}
            }
        }
        Ok(())
    }

    fn has_disk_fault(&self, member: usize) -> bool {
        self.active.contains_fault(Fault::FailSyncs(member))
            || self.active.contains_fault(Fault::FullDisk(member))
    }
}

trait ContainsFault {
    fn contains_fault(&self, fault: Fault) -> bool;
}

impl ContainsFault for Vec<(Fault, Duration)> {
    fn contains_fault(&self, fault: Fault) -> bool {
        self.iter().any(|(active, _)| *active == fault)
    }
}
