//! The differential test: two servers get the same requests and must answer the same.
//!
//! The requests come in episodes. Each episode has fresh servers and a seed of its own, so that any
//! of them can be replayed alone.

mod feed;
mod generate;
mod normal;
mod shrink;
mod side;
mod step;

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use proto::etcdserverpb as pb;

use crate::random::Random;
use crate::target::Target;
use crate::text::shortened;
use generate::Generator;
use side::Side;
use step::{Answer, Step};

/// A key that is put at each sync; no other request is meant for it alone.
const SENTINEL: &[u8] = b"~sentinel";
/// The first watch of each stream, so that a stream is never without one.
const SENTINEL_WATCH: i64 = 1_000_000;
/// Requests of one episode.
const EPISODE_REQUESTS: usize = 10_000;
/// Characters of one answer that are printed at most.
const PRINTED_CHARS: usize = 6_000;

/// The two servers that are compared.
#[derive(Debug, Clone)]
pub struct Pair {
    pub left: Target,
    pub right: Target,
    /// Members of the cluster on the right; the left has one.
    pub right_members: usize,
}

/// How much to ask.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub requests: usize,
    /// Episodes that run at the same time.
    pub lanes: usize,
    /// Print this many mismatches of an episode and go on, instead of shortening the first one.
    pub survey: usize,
}

impl Plan {
    /// `MAINSTAY_SEED`, `MAINSTAY_DIFF_REQUESTS` and `MAINSTAY_DIFF_SURVEY`, else a fresh seed,
    /// `requests` and no survey.
    pub fn from_environment(requests: usize) -> Result<Plan> {
        let number = |name: &str| match std::env::var(name) {
            Ok(text) => text.parse::<u64>().map(Some),
            Err(_) => Ok(None),
        };
        Ok(Plan {
            seed: number("MAINSTAY_SEED")?.unwrap_or_else(Random::fresh_seed),
            requests: number("MAINSTAY_DIFF_REQUESTS")?.map_or(requests, |count| count as usize),
            lanes: 2,
            survey: number("MAINSTAY_DIFF_SURVEY")?.map_or(0, |count| count as usize),
        })
    }
}

/// A step to which the two servers did not answer the same.
#[derive(Debug)]
pub struct Mismatch {
    kind: &'static str,
    text: String,
}

/// Runs the plan. An error describes the first mismatch, with the shortest replay that was found.
pub async fn run(pair: &Pair, plan: Plan) -> Result<()> {
    let started = std::time::Instant::now();
    println!("seed {} ({} requests)", plan.seed, plan.requests);
    let mut counts = BTreeMap::new();
    let mut left = plan.requests;
    let mut seed = plan.seed;
    while left > 0 {
        let mut lanes = tokio::task::JoinSet::new();
        for _ in 0..plan.lanes {
            let requests = left.min(EPISODE_REQUESTS);
            left -= requests;
            let survey = plan.survey;
            if requests > 0 {
                let pair = pair.clone();
                lanes.spawn(async move { episode(&pair, seed, requests, survey).await });
                seed += 1;
            }
        }
        while let Some(outcome) = lanes.join_next().await {
            for (kind, (asked, refused)) in outcome?? {
                let count: &mut (usize, usize) = counts.entry(kind).or_default();
                *count = (count.0 + asked, count.1 + refused);
            }
        }
    }
    println!("equal answers in {:.1} s:", started.elapsed().as_secs_f64());
    for (kind, (asked, refused)) in counts {
        println!("  {kind}: {asked}, of which {refused} refused");
    }
    Ok(())
}

/// Watches from the past that are cancelled as soon as both sides agree on them. etcd lets such a watch
/// catch up at its next tick, and each server ticks at its own time.
pub async fn cancel_what_catches_up(pair: &Pair, watches: i64) -> Result<()> {
    const KEY: &[u8] = b"key";
    let watch = |watch_id| pb::WatchCreateRequest {
        key: KEY.into(),
        start_revision: 1,
        watch_id,
        ..Default::default()
    };
    let mut steps = vec![Step::Put(pb::PutRequest {
        key: KEY.into(),
        ..Default::default()
    })];
    for id in 1..=watches {
        steps.push(Step::WatchCreate(watch(id)));
        steps.push(Step::Sync { progress: false });
        steps.push(Step::WatchCancel(id));
    }
    steps.push(Step::Sync { progress: false });
    match replay(pair, &steps).await? {
        Some((at, mismatch)) => bail!("step {at}, {:?}:\n{}", steps[at], mismatch.text),
        None => Ok(()),
    }
}

type Counts = BTreeMap<&'static str, (usize, usize)>;

async fn episode(pair: &Pair, seed: u64, requests: usize, survey: usize) -> Result<Counts> {
    let mut surveyed = 0;
    let mut sides = start(pair).await?;
    let mut generator = Generator::new(seed);
    let mut steps = Vec::new();
    let mut counts = Counts::new();
    for number in 0..requests {
        let last = number + 1 == requests;
        let step = if last {
            Step::Sync { progress: false }
        } else {
            generator.next()
        };
        steps.push(step);
        let step = steps.last().expect("it was pushed just now");
        match perform(&mut sides, step, pair.right_members).await {
            Ok(answer) => {
                generator.observe(step, &answer);
                let count = counts.entry(step.kind()).or_default();
                count.0 += 1;
                count.1 += usize::from(matches!(answer, Answer::Refused { .. }));
            }
            Err(mismatch) => {
                println!("seed {seed}, request {number} differs:\n{}", mismatch.text);
                surveyed += 1;
                if surveyed < survey {
                    continue;
                }
                drop(sides);
                ensure!(survey == 0, "{surveyed} mismatches");
                let (steps, mismatch) = shrink::shrink(pair, steps, mismatch).await;
                bail!(
                    "MAINSTAY_SEED={seed} MAINSTAY_DIFF_REQUESTS={} replays this; the shortest \
                     list of steps found has {}:\n{}\n{}",
                    number + 1,
                    steps.len(),
                    shortened(&listed(&steps), 2 * PRINTED_CHARS),
                    mismatch.text
                );
            }
        }
    }
    Ok(counts)
}

fn listed(steps: &[Step]) -> String {
    let from = steps.len().saturating_sub(15);
    let lines = steps[from..]
        .iter()
        .map(|step| format!("  {}", shortened(&format!("{step:?}"), 800)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs steps over fresh servers until two answers differ; which step it was.
async fn replay(pair: &Pair, steps: &[Step]) -> Result<Option<(usize, Mismatch)>> {
    let mut sides = start(pair).await?;
    for (at, step) in steps.iter().enumerate() {
        if let Err(mismatch) = perform(&mut sides, step, pair.right_members).await {
            return Ok(Some((at, mismatch)));
        }
    }
    Ok(None)
}

async fn start(pair: &Pair) -> Result<(Side, Side)> {
    let (left, right) = tokio::join!(
        Side::start(&pair.left, 1),
        Side::start(&pair.right, pair.right_members)
    );
    Ok((left?, right?))
}

/// Asks both sides one thing; the left's answer when they agree.
async fn perform(
    sides: &mut (Side, Side),
    step: &Step,
    right_members: usize,
) -> Result<Answer, Mismatch> {
    let mismatch = |text: String| Mismatch {
        kind: step.kind(),
        text,
    };
    let mut asked = step.clone();
    if right_members > 1
        && let Step::Range(request) = &mut asked
    {
        // Such a read may be late on a follower, by its definition.
        request.serializable = false;
    }
    // A compaction would end a watch that is catching up, and what a watch has caught up with comes
    // before the sentinel: only then do equal watches mean that neither side owes anything.
    if matches!(step, Step::Compact(_) | Step::Sync { .. }) {
        let waits = (sides.0.wait_watches_synced(), sides.1.wait_watches_synced());
        let (left, right) = tokio::join!(waits.0, waits.1);
        left.and(right).map_err(mismatch)?;
    }
    let (mut left, mut right) = tokio::join!(sides.0.perform(&asked), sides.1.perform(&asked));
    for side in [&mut sides.0, &mut sides.1] {
        for member in &mut side.cluster.members {
            if !member.is_running() {
                let log = member.log();
                let from = log
                    .find("panic")
                    .unwrap_or(log.len().saturating_sub(PRINTED_CHARS));
                let shown = shortened(&log[from..], PRINTED_CHARS);
                return Err(mismatch(format!("{step:?}\nended a server: {shown}")));
            }
        }
    }
    for (name, answer) in [("left", &mut left), ("right", &mut right)] {
        if let Err(fault) = normal::normalise(step, answer) {
            return Err(mismatch(format!("{step:?}\n{name}: {fault}: {answer:?}")));
        }
    }
    if left != right || left == Answer::Silent {
        return Err(mismatch(format!(
            "asked: {}\n left: {}\nright: {}",
            shortened(&format!("{step:?}"), PRINTED_CHARS),
            shortened(&format!("{left:?}"), PRINTED_CHARS),
            shortened(&format!("{right:?}"), PRINTED_CHARS)
        )));
    }
    if let Step::Sync { progress } = step {
        let revision = left.revision().unwrap_or_default();
        agree_on_watches(sides, revision).await.map_err(mismatch)?;
        if *progress {
            agree_on_progress(sides, revision).await.map_err(mismatch)?;
        }
    }
    Ok(left)
}

/// Waits until the sentinel of `revision` has come to both, and all watches have delivered the same.
async fn agree_on_watches(sides: &mut (Side, Side), revision: i64) -> Result<(), String> {
    for side in [&sides.0, &sides.1] {
        let come = |log: &mut feed::Log| {
            let mut events = log.records[0].events.iter();
            let faulty = !log.faults.is_empty();
            let arrived = |event: &proto::mvccpb::Event| {
                event
                    .kv
                    .as_ref()
                    .is_some_and(|kv| kv.mod_revision >= revision)
            };
            (faulty || events.any(arrived)).then_some(())
        };
        if side.feed.wait_for(come).await.is_none() {
            let name = side.cluster.target.name;
            return Err(format!(
                "{name}: the watch on the sentinel did not bring {revision}"
            ));
        }
        if let Some(fault) = side.feed.log().faults.first() {
            return Err(format!("{}: {fault}", side.cluster.target.name));
        }
    }
    // Either may be the later one, and it moves after the other has stopped moving.
    let equal =
        |log: &mut feed::Log, other: &Side| (log.records == other.feed.log().records).then_some(());
    let found = tokio::select! {
        found = sides.0.feed.wait_for(|log| equal(log, &sides.1)) => found,
        found = sides.1.feed.wait_for(|log| equal(log, &sides.0)) => found,
    };
    if found.is_none() {
        return Err(first_difference(sides));
    }
    for side in [&sides.0, &sides.1] {
        for record in &mut side.feed.log().records {
            record.events.clear();
        }
    }
    Ok(())
}

async fn agree_on_progress(sides: &mut (Side, Side), revision: i64) -> Result<(), String> {
    let (left, right) = tokio::join!(sides.0.feed.progress(), sides.1.feed.progress());
    if left != Some(revision) || right != Some(revision) {
        return Err(format!(
            "progress at revision {revision}: left answers {left:?}, right {right:?}"
        ));
    }
    Ok(())
}

fn first_difference(sides: &(Side, Side)) -> String {
    let (left, right) = (sides.0.feed.log(), sides.1.feed.log());
    for (l, r) in left.records.iter().zip(&right.records) {
        if l.id != r.id || l.created != r.created || l.ended != r.ended {
            return format!(
                "watch {}\n left: {:?} ended {:?}\nright: {:?} ended {:?}",
                l.id, l.created, l.ended, r.created, r.ended
            );
        }
        let count = l.events.len().max(r.events.len());
        if let Some(at) = (0..count).find(|at| l.events.get(*at) != r.events.get(*at)) {
            let shown = |events: &[proto::mvccpb::Event]| {
                shortened(&format!("{:?}", events.get(at)), PRINTED_CHARS)
            };
            return format!(
                "watch {}: event {at} since the last sync\n left ({} events): {}\nright ({} \
                 events): {}",
                l.id,
                l.events.len(),
                shown(&l.events),
                r.events.len(),
                shown(&r.events)
            );
        }
    }
    format!(
        "left has {} watches, right {}",
        left.records.len(),
        right.records.len()
    )
}

fn sentinel_watch() -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: SENTINEL.into(),
        watch_id: SENTINEL_WATCH,
        ..Default::default()
    }
}
