//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::builder::{RUNS, free_folder};
use crate::cluster;
use crate::control_plane;
use crate::failover;
use crate::kubernetes;
use crate::random::Random;
use crate::report;
use crate::run::{self, HISTORY_FILE, Plan, SCHEDULE_FILE};
use crate::scenario::{self, SCENARIOS, Scenario};
use crate::schedule::Schedule;
use crate::selftest;
use crate::summary::{self, SUMMARY_FILE, Summary};
use crate::target::Target;
use crate::verdict::Verdict;

/// Shortest schedule, in seconds: less leaves no time for a fault.
const SECONDS_MIN: u64 = 2;
/// Violations and doubts of one run that are printed; the report has more.
const LINES_MAX: usize = 10;
/// What a beginner wants to type.
const EXAMPLES: &str = "\
Begin with one of these; the last line of each names a page to open:
  chaos run --target etcd --scenario kill-leader --duration 30s
  chaos run --target etcd:/opt/etcd/bin/etcd --scenario kill-leader,flaky-net --duration 2m
  chaos run --target my-cluster.toml --scenario pause-leader   (a cluster of your own: see docs/testing.md)";
/// Longest schedule, in seconds.
const SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Breaks a cluster on purpose and judges whether its promises held.
///
/// Exit code 0: they held. 1: one was broken. 2: the run has shown nothing, and says why.
#[derive(Parser)]
#[command(name = "chaos", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios.
    Run(RunArguments),
    /// Judge a stored history, or every history in a folder, again.
    Check {
        /// A history, or a folder with some.
        path: PathBuf,
    },
    /// Run the schedule of an earlier run again. Processes are not deterministic: the faults are the same, their
    /// effect may differ.
    Replay {
        /// The folder of the earlier run.
        path: PathBuf,
        /// Folder for the new run.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Make the page of an earlier run, or of several in a folder, again.
    Report {
        /// The folder of the run or runs.
        path: PathBuf,
    },
    /// Kill the leader again and again, and measure the time without an acknowledged write.
    BenchFailover {
        /// ours, etcd, etcd:PATH, or a TOML file.
        #[arg(long, default_value = "ours")]
        target: String,
        /// How often.
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        trials: u64,
        /// Folder for what comes out; one under chaos-runs/ if none is given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Run replicas of ours on simulated time; the arguments are those of the program `simulation`.
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prove the judge: known bugs must be found, and what is right must pass. Prints a matrix.
    Selftest(selftest::Arguments),
    /// List the scenarios.
    List,
}

#[derive(clap::Args)]
struct RunArguments {
    /// ours, etcd, etcd:PATH, or a TOML file.
    #[arg(long, default_value = "ours")]
    target: String,
    /// A scenario, several with commas between them, or all.
    #[arg(long, default_value = "all")]
    scenario: String,
    /// Time under faults for all scenarios together: 30s, 10m, 2h. Starts, ends and judgements come on top.
    #[arg(long, default_value = "60s", value_parser = seconds)]
    duration: u64,
    /// What everything is drawn from; one is chosen and printed if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for what comes out; one under chaos-runs/ if none is given.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Sim { arguments } => crate::simulation::run(&arguments),
        Command::List => {
            list();
            Ok(Verdict::Held)
        }
        Command::Check { path } => check(&path),
        Command::Run(arguments) => on_runtime(run_scenarios(arguments)),
        Command::Report { path } => report_again(&path),
        Command::BenchFailover {
            target,
            trials,
            out,
        } => on_runtime(bench_failover(target, trials, out)),
        Command::Selftest(arguments) => on_runtime(prove(arguments)),
        Command::Replay { path, out } => on_runtime(replay(path, out)),
    };
    match done {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(Verdict::Inconclusive.exit_code())
        }
    }
}

fn on_runtime(work: impl Future<Output = Result<Verdict>>) -> Result<Verdict> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// `90s`, `10m`, `2h`, or a number of seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let number: u64 = number
        .parse()
        .map_err(|error| format!("{error}; a time is 30s, 10m or 2h"))?;
    let unit = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    let seconds = number
        .checked_mul(unit)
        .filter(|s| (SECONDS_MIN..=SECONDS_MAX).contains(s));
    seconds.ok_or_else(|| format!("not between {SECONDS_MIN} s and {SECONDS_MAX} s"))
}

fn list() {
    for scenario in SCENARIOS {
        println!("{:<18} {}", scenario.name, scenario.words);
        println!("{:<18} looked at: {}", "", scenario.focus);
    }
}

/// SIGINT and SIGTERM as a flag that the parts of a run look at.
fn interruption() -> Result<(watch::Receiver<bool>, tokio::task::JoinSet<()>)> {
    let flag = watch::Sender::new(false);
    let interrupted = flag.subscribe();
    let mut waiting = tokio::task::JoinSet::new();
    let (mut int, mut term) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    waiting.spawn(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        println!("stopping: what was started is ended first; once more ends everything at once");
        flag.send_replace(true);
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        // The guard ends the members.
        std::process::exit(i32::from(Verdict::Inconclusive.exit_code()));
    });
    Ok((interrupted, waiting))
}

fn chosen(names: &str, target: &Target) -> Result<Vec<&'static Scenario>> {
    if names == "all" {
        let mut chosen = Vec::new();
        for scenario in SCENARIOS.iter().filter(|s| s.is_ordinary()) {
            match scenario.left_out(target) {
                Some(why) => println!("without {}: {why}", scenario.name),
                None => chosen.push(scenario),
            }
        }
        return Ok(chosen);
    }
    names
        .split(',')
        .map(|name| {
            scenario::named(name)
                .with_context(|| format!("no scenario {name}: there are all, {}", every_name()))
        })
        .collect()
}

fn every_name() -> String {
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    names.join(", ")
}

async fn run_scenarios(arguments: RunArguments) -> Result<Verdict> {
    let target = Target::parse(&arguments.target)?;
    let scenarios = chosen(&arguments.scenario, &target)?;
    let seed = arguments.seed.unwrap_or_else(Random::fresh_seed);
    let folder = arguments
        .out
        .unwrap_or_else(|| free_folder(Path::new(RUNS), &format!("{}-{seed}", target.name)));
    let each_ms = (arguments.duration * 1000 / scenarios.len() as u64).max(SECONDS_MIN * 1000);
    let mut plans = Vec::new();
    for scenario in &scenarios {
        plans.push(Plan {
            target: target.clone(),
            target_word: arguments.target.clone(),
            schedule: Schedule::draw(scenario, seed, each_ms),
            scenario,
            folder: if scenarios.len() > 1 {
                folder.join(scenario.name)
            } else {
                folder.clone()
            },
        });
    }
    println!("{} scenarios into {}", plans.len(), folder.display());
    carry_out(&plans, &folder).await
}

async fn carry_out(plans: &[Plan], folder: &Path) -> Result<Verdict> {
    let (interrupted, _waiting) = interruption()?;
    for plan in plans {
        run::refuse_used(&plan.folder)?;
    }
    let mut summaries: Vec<Summary> = Vec::new();
    for plan in plans {
        if *interrupted.borrow() {
            break;
        }
        println!(
            "{} on {}, seed {}, {} s, {} faults",
            plan.schedule.scenario,
            plan.target.name,
            plan.schedule.seed,
            plan.schedule.duration_ms / 1000,
            plan.schedule.steps.len()
        );
        let summary = run::run(plan, interrupted.clone()).await?;
        say(&summary);
        if summary.verdict == Verdict::Held {
            cluster::remove_data(&plan.folder);
        }
        summaries.push(summary);
    }
    report::write(folder, &summaries)?;
    let mut verdict = report::overall(&summaries);
    // Scenarios that were not reached have shown nothing.
    if summaries.len() < plans.len() {
        verdict = verdict.max(Verdict::Inconclusive);
    }
    println!("{verdict}: {}", folder.join(report::PAGE_FILE).display());
    Ok(verdict)
}

async fn prove(arguments: selftest::Arguments) -> Result<Verdict> {
    let (interrupted, _waiting) = interruption()?;
    selftest::run(arguments, interrupted).await
}

async fn bench_failover(target_word: String, trials: u64, out: Option<PathBuf>) -> Result<Verdict> {
    let target = Target::parse(&target_word)?;
    let name = format!("failover-{}", target.name);
    let folder = out.unwrap_or_else(|| free_folder(Path::new(RUNS), &name));
    let (interrupted, _waiting) = interruption()?;
    let summary = failover::measure((&target, &target_word), trials, &folder, interrupted).await?;
    say(&summary);
    println!("{}", failover::words(&summary));
    report::write(&folder, std::slice::from_ref(&summary))?;
    println!("{}", folder.join(report::PAGE_FILE).display());
    Ok(summary.verdict)
}

fn report_again(path: &Path) -> Result<Verdict> {
    let mut summaries = Vec::new();
    for file in files(path, SUMMARY_FILE)? {
        let text = std::fs::read_to_string(&file)?;
        let summary: Summary =
            serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        summaries.push(summary);
    }
    report::write(path, &summaries)?;
    println!("{}", path.join(report::PAGE_FILE).display());
    Ok(Verdict::Held)
}

fn say(summary: &Summary) {
    let [ok, failed, unknown] = summary.operations;
    println!(
        "{} {}: {ok} answered, {failed} failed, {unknown} unknown, {} acknowledged writes, {} faults, longest gap {} ms, judged in {} ms",
        summary.scenario,
        summary.verdict,
        summary.acknowledged_writes,
        summary.injected.iter().filter(|one| one.fired).count(),
        summary.timeline.gaps_ms.iter().max().copied().unwrap_or(0),
        summary.judged.took_ms
    );
    for (word, all) in [
        ("violated", &summary.violations),
        ("inconclusive", &summary.doubts),
    ] {
        for one in all.iter().take(LINES_MAX) {
            println!("  {word}: {one}");
        }
        if all.len() > LINES_MAX {
            println!("  {word}: {} more, see the report", all.len() - LINES_MAX);
        }
    }
    println!("  again: {}", summary.replay);
}

/// Every file of a name in a folder and in those directly within it.
fn files(path: &Path, name: &str) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(name);
    let mut found: Vec<PathBuf> = own.is_file().then_some(own).into_iter().collect();
    for entry in std::fs::read_dir(path).with_context(|| format!("listing {}", path.display()))? {
        let inner = entry?.path().join(name);
        found.extend(inner.is_file().then_some(inner));
    }
    found.sort();
    if found.is_empty() {
        bail!("no {name} in {}", path.display());
    }
    Ok(found)
}

fn check(path: &Path) -> Result<Verdict> {
    let mut worst = Verdict::Held;
    let mut of_others = files(path, kubernetes::HISTORY_FILE).unwrap_or_default();
    of_others.extend(files(path, control_plane::HISTORY_FILE).unwrap_or_default());
    let of_stores = match files(path, HISTORY_FILE) {
        Err(_) if !of_others.is_empty() => Vec::new(),
        found => found?,
    };
    for history in of_stores.into_iter().chain(of_others) {
        let judged = if history.ends_with(kubernetes::HISTORY_FILE) {
            kubernetes::judge_stored(&history)?
        } else if history.ends_with(control_plane::HISTORY_FILE) {
            control_plane::judge_stored(&history)?
        } else {
            summary::judge(&history)?
        };
        let verdict = Verdict::of(&judged.violations, &judged.doubts);
        println!(
            "{}: {verdict}, revision {}",
            history.display(),
            judged.revision
        );
        for count in judged.counts.iter().chain(&judged.unjudged) {
            println!("{:>10}  {}", count.count, count.words);
        }
        for words in judged.violations.iter().chain(&judged.doubts) {
            println!("  {words}");
        }
        for note in &judged.notes {
            println!("  note: {note}");
        }
        worst = worst.max(verdict);
    }
    Ok(worst)
}

async fn replay(path: PathBuf, out: Option<PathBuf>) -> Result<Verdict> {
    let read = |name: &str| {
        let file = path.join(name);
        std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}: is this the folder of one run?", file.display()))
    };
    let schedule: Schedule = serde_json::from_str(&read(SCHEDULE_FILE)?)?;
    let target: Target = serde_json::from_str(&read("target.json")?)?;
    let scenario = scenario::named(&schedule.scenario).with_context(|| {
        match read(SUMMARY_FILE).map(|text| serde_json::from_str(&text)) {
            Ok(Ok(Summary { replay, .. })) => {
                format!("its load is a program's own; again with: {replay}")
            }
            _ => format!("there is no scenario {} any more", schedule.scenario),
        }
    })?;
    println!(
        "the same faults at the same times; processes are not deterministic, so their effect may differ"
    );
    let folder = out.unwrap_or_else(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parent = path.parent().unwrap_or(Path::new("."));
        free_folder(parent, &format!("{name}.replay"))
    });
    let plan = Plan {
        target_word: target.name.clone(),
        target,
        schedule,
        scenario,
        folder: folder.clone(),
    };
    carry_out(&[plan], &folder).await
}
