//! Following: the source's revisions to the target as they come, until clients change over.

mod lag;
mod signals;

use std::future::pending;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::lag::Lag;
use self::signals::Signals;
use super::super::message;
use super::super::progress::Line;
use super::auth::{self, Agreement};
use super::compaction;
use super::leases::{self, Leases};
use super::oversized;
use super::proof::{self, Hashes};
use super::replay::{Replay, Turn, foreign_write};
use super::revision::Revision;
use super::side::{Connection, RETURN_TIMEOUT, Side, is_final, stop};
use super::watched::{self, Revisions};
use super::way::Way;

/// Pause between two looks at the source.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two comparisons of the lists of leases.
const LEASES_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at users, roles and compaction.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How long the cut-over goes on for a source that is still written to.
const CUT_OVER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often in a row a side may be lost while no revision comes to the target.
const RECOVERIES_MAX: u32 = 10;

/// How to follow, and until when.
pub(super) struct Plan {
    pub(super) cuts_over_by_itself: bool,
    /// How long a source without a write counts as quiet.
    pub(super) quiet: Duration,
    /// Longest wait for the target to be started.
    pub(super) wait: Duration,
    pub(super) operations_max: usize,
}

/// Follows until both are equal and nobody writes to the source any more.
pub(super) async fn run(source: &Side, target: &Side, plan: &Plan) -> Result<()> {
    // A source that does not answer is told before anybody waits.
    source.connect().await?;
    eprintln!("waiting for the target at {}", target.endpoints());
    let to = target.connect_within(plan.wait).await?;
    // Before anything else, since a lease that ends there makes it another store.
    let leases = Leases::of(&to).await?;
    let signals = Signals::new()?;
    let following = async {
        let from = source.connect_within(RETURN_TIMEOUT).await?;
        let start = begin(&from, &to).await?;
        let (queue, revisions) = watched::queue();
        let mut follower = Follower {
            sides: (source, target),
            plan,
            lag: Lag::new(start),
            replay: Replay::new(Way::open(to.clone()).await?, start, plan.operations_max),
            from,
            leases: leases.clone(),
            held: None,
            is_bringing: false,
            recoveries: 0,
            due: Due::now(),
            ending: None,
            line: Line::new(),
        };
        let watching = async {
            watched::run(source, start, queue).await;
            pending().await
        };
        tokio::select! {
            ended = follower.run(revisions, &signals) => ended,
            never = watching => never,
        }
    };
    tokio::select! {
        ended = following => ended,
        never = leases.keep_alive(target) => never,
        () = signals.second() => Err(stop(
            "interrupted before the proof: the target follows no more, and is not known to be equal".to_owned(),
        )),
    }
}

/// Shows that the target is a copy; its revision.
async fn begin(from: &Connection, to: &Connection) -> Result<i64> {
    let (source, target) = (from.header().await?, to.header().await?);
    if source.cluster_id == target.cluster_id {
        return Err(stop(
            "source and target are one cluster: --from and --to have the same cluster id. Restore the target with an \
             --initial-cluster-token of its own"
                .to_owned(),
        ));
    }
    let start = target.revision;
    if start > source.revision {
        return Err(stop(format!(
            "the target is at revision {start}, the source at {}: the target is no copy of it, or --from and --to are \
             exchanged",
            source.revision
        )));
    }
    eprintln!("comparing both at revision {start}");
    let hashes = proof::hashes(from, to, start).await?;
    if hashes.source != hashes.target {
        return Err(stop(format!(
            "the target is no copy of the source: at revision {start} their hashes are {} and {}. It has to be restored from a \
             snapshot of the source, and nobody may have written to it since, nor a lease have ended there",
            hashes.target, hashes.source
        )));
    }
    auth::compare(from, to).await?;
    eprintln!(
        "the target is a copy at revision {start}, HashKV {}; following the source from there",
        hashes.source
    );
    Ok(start)
}

/// When something is to be done again.
struct Due {
    leases: Instant,
    upkeep: Instant,
}

impl Due {
    fn now() -> Due {
        let now = Instant::now();
        Due {
            leases: now,
            upkeep: now,
        }
    }
}

/// The cut-over under way.
struct Ending {
    /// The source's revision when it began.
    goal: i64,
    /// When the target had that.
    reached: Option<Instant>,
    /// The lease that differed at the last look, in words.
    difference: Option<String>,
}

struct Follower<'a> {
    /// Source and target.
    sides: (&'a Side, &'a Side),
    plan: &'a Plan,
    from: Connection,
    replay: Replay,
    leases: Leases,
    /// A revision that was read and not yet taken by the replay.
    held: Option<Revision>,
    /// Whether it may be on the target already.
    is_bringing: bool,
    recoveries: u32,
    lag: Lag,
    due: Due,
    ending: Option<Ending>,
    line: Line,
}

impl Follower<'_> {
    async fn run(&mut self, mut revisions: Revisions, signals: &Signals) -> Result<()> {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let before = self.replay.acknowledged();
            let stepped = self.step(&mut revisions, &mut looks, signals).await;
            if self.replay.acknowledged() > before {
                self.recoveries = 0;
            }
            match stepped {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// One thing that has happened; true at the end.
    async fn step(
        &mut self,
        revisions: &mut Revisions,
        looks: &mut tokio::time::Interval,
        signals: &Signals,
    ) -> Result<bool> {
        self.place().await?;
        self.replay.send();
        tokio::select! {
            turn = self.replay.turn(), if self.replay.is_under_way() => match turn? {
                Turn::GoOn => {}
                Turn::Lost => bail!("the target was lost"),
                Turn::LeaseMissing => self.grant_again().await?,
            },
            revision = revisions.recv(), if self.held.is_none() && self.replay.has_room() => match revision {
                Some(Ok(revision)) => self.held = Some(revision),
                Some(Err(error)) => return Err(stop(format!("the source cannot be followed: {}", message(&error)))),
                None => return Err(stop("the source is not watched any more".to_owned())),
            },
            _ = looks.tick() => return self.look(signals).await,
        }
        Ok(false)
    }

    async fn leases_of(&self, ids: &[i64]) -> Result<()> {
        self.leases
            .ensure(ids, &self.from, self.replay.target())
            .await
    }

    /// A lease ended on the target, with no key and so without a revision.
    async fn grant_again(&mut self) -> Result<()> {
        let ids = self.replay.leases();
        ids.iter().for_each(|id| self.leases.forget(*id));
        self.leases_of(&ids).await?;
        self.replay.settle().await
    }

    /// Gives the revision that was read to the replay.
    async fn place(&mut self) -> Result<()> {
        let Some(revision) = self.held.take() else {
            return Ok(());
        };
        if let Err(error) = self.leases_of(&revision.leases()).await {
            self.held = Some(revision);
            return Err(error);
        }
        let Some(large) = self.replay.push(revision) else {
            return Ok(());
        };
        let brought = self.bring(&large).await;
        match brought {
            Ok(()) => {
                self.replay.passed(&large);
                self.is_bringing = false;
                Ok(())
            }
            Err(error) => {
                self.held = Some(large);
                Err(error)
            }
        }
    }

    /// Brings a revision that is too large for a transaction of its changes, alone.
    async fn bring(&mut self, revision: &Revision) -> Result<()> {
        self.finish().await?;
        self.is_bringing = true;
        let target = self.replay.target();
        let operations_max = self.plan.operations_max;
        let at = oversized::bring(target, revision, &self.leases, operations_max).await?;
        if at == revision.number {
            Ok(())
        } else {
            Err(foreign_write(revision.number, at))
        }
    }

    /// Waits until everything that was taken is on the target.
    async fn finish(&mut self) -> Result<()> {
        while !self.replay.is_done() {
            self.replay.send();
            match self.replay.turn().await? {
                Turn::GoOn => {}
                Turn::Lost => bail!("the target was lost"),
                Turn::LeaseMissing => self.grant_again().await?,
            }
        }
        Ok(())
    }

    /// Connects to both sides anew, and goes on from where the target is: nobody else writes to it, so its revision says
    /// which of the transactions under way it took.
    async fn recover(&mut self, error: anyhow::Error) -> Result<()> {
        self.recoveries += 1;
        if self.recoveries > RECOVERIES_MAX {
            return Err(error.context(format!(
                "given up after {RECOVERIES_MAX} tries; the target is still a copy up to revision {}, so this can be begun again",
                self.replay.acknowledged()
            )));
        }
        eprintln!("{}; connecting again", message(&error));
        self.replay.collect().await?;
        self.from = self.sides.0.connect_within(RETURN_TIMEOUT).await?;
        let to = self.sides.1.connect_within(RETURN_TIMEOUT).await?;
        if let Some(held) = self.held.take() {
            if self.is_bringing && to.revision().await? == held.number {
                self.replay.passed(&held);
            } else {
                self.held = Some(held);
            }
            self.is_bringing = false;
        }
        self.replay.resume(to).await
    }

    /// Looks at the source and does what is due; true when the cut-over is done.
    async fn look(&mut self, signals: &Signals) -> Result<bool> {
        let source = self.from.revision().await?;
        let (target, now) = (self.replay.acknowledged(), Instant::now());
        self.lag.seen(source, target, now);
        let (lag, leases, resent) = (&self.lag, self.leases.count(), self.replay.resent);
        self.line.say(|| lag.line(leases, resent));
        if self.due.leases <= now {
            self.replay.settle().await?;
            let at = self.replay.acknowledged();
            self.leases
                .sync(&self.from, self.replay.target(), at)
                .await?;
            self.due.leases = Instant::now() + LEASES_INTERVAL;
        }
        if self.due.upkeep <= now {
            self.upkeep().await?;
            self.due.upkeep = Instant::now() + UPKEEP_INTERVAL;
        }
        let is_quiet = self.plan.cuts_over_by_itself
            && target >= source
            && self.lag.is_quiet(self.plan.quiet, now);
        if self.ending.is_none() && (signals.has_come() || is_quiet) {
            self.line.end();
            eprintln!("cutting over: bringing everything up to revision {source}");
            self.ending = Some(Ending {
                goal: source,
                reached: None,
                difference: None,
            });
        }
        self.end(source).await
    }

    /// Users and roles have to be those of the copy; history that the source gave up is given up here too.
    async fn upkeep(&mut self) -> Result<()> {
        auth::compare(&self.from, self.replay.target()).await?;
        if let Some(revision) = compaction::compact_revision(&self.from).await?
            && revision <= self.replay.acknowledged()
        {
            compaction::compact(self.replay.target(), revision).await?;
        }
        Ok(())
    }

    /// The cut-over, if one is under way and the target has everything; true when it is done.
    async fn end(&mut self, source: i64) -> Result<bool> {
        let target = self.replay.acknowledged();
        let Some(ending) = &mut self.ending else {
            return Ok(false);
        };
        if target < ending.goal {
            return Ok(false);
        }
        let goal = ending.goal;
        if ending.reached.get_or_insert_with(Instant::now).elapsed() > CUT_OVER_TIMEOUT {
            return Err(stop(ending.difference.take().unwrap_or_else(|| format!(
                "the source is still written to: its revision went from {goal} to {source} since the cut-over began. Stop \
                 whoever writes, then begin again; the target is a copy up to revision {target} and is gone on from"
            ))));
        }
        if target < source || !self.replay.is_done() || self.held.is_some() {
            return Ok(false);
        }
        let Some((hashes, leases, accounts)) = self.prove(source).await? else {
            return Ok(false);
        };
        self.line.end();
        say(&hashes, leases, &accounts);
        Ok(true)
    }

    /// Compares everything at a revision. None when the source goes on meanwhile, with a write or the end of a lease.
    async fn prove(&mut self, revision: i64) -> Result<Option<(Hashes, usize, Agreement)>> {
        let (from, to) = (&self.from, self.replay.target());
        self.leases.sync(from, to, revision).await?;
        let accounts = auth::compare(from, to).await?;
        let hashes = proof::hashes(from, to, revision).await;
        let leases = leases::compare(from, to).await;
        let (source, target) = (from.revision().await?, to.revision().await?);
        if target != revision {
            return Err(foreign_write(revision + 1, target));
        }
        let went_on = source != revision;
        let difference = match &leases {
            Ok(Err(lease)) if !went_on => Some(lease.clone()),
            _ => None,
        };
        if let Some(ending) = &mut self.ending {
            ending.difference = difference;
        }
        if went_on {
            return Ok(None);
        }
        let (hashes, leases) = (hashes?, leases?);
        if hashes.source != hashes.target {
            return Err(stop(format!(
                "source and target differ at revision {revision}: their hashes are {} and {}. Do not use the target",
                hashes.source, hashes.target
            )));
        }
        Ok(leases.ok().map(|leases| (hashes, leases, accounts)))
    }
}

fn say(hashes: &Hashes, leases: usize, accounts: &Agreement) {
    let Hashes {
        revision,
        compact_revision,
        source,
        target,
    } = hashes;
    outln!("Cut over at revision {revision}: source and target are equal");
    outln!(
        "HashKV of the source {source}, of the target {target}; both compacted up to {}",
        (*compact_revision).max(0)
    );
    outln!("{leases} leases, with the same times");
    match accounts.revision {
        Some(revision) => outln!("{} users, auth revision {revision}", accounts.users),
        None => outln!(
            "{} users with the same roles; a side does not tell its auth revision (etcd before 3.5), so a password changed \
             since the copy would not be noticed",
            accounts.users
        ),
    }
    outln!(
        "Leases are no longer kept alive by this program: let the clients come to the target now"
    );
}
