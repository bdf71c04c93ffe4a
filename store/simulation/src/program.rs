//! The program: one fresh process a seed, and what held in each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;

use crate::run::{Options, Verdict, run};

/// Set in the process that runs a seed.
const SEED_VARIABLE: &str = "SIMULATION_SEED";

/// Replicas of the store on simulated time, network and disk, with faults drawn from a seed.
#[derive(Parser)]
#[command(name = "simulation", version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after another.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Simulated time of each run, in seconds (60s), minutes (5m) or hours (1h).
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Go on with further seeds until one does not hold.
    #[arg(long)]
    until_fail: bool,
    /// Write everything that happens into this file.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// The shortest way of a message from one member to another, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_milliseconds: u64,
    /// Break nothing: what is seen is how the members do by themselves.
    #[arg(long)]
    no_faults: bool,
}

impl Arguments {
    /// What every run is told, whatever its seed.
    fn of_a_run(&self) -> Vec<String> {
        let mut told = vec![format!("--duration={}s", self.duration.as_secs())];
        if self.latency_milliseconds > 0 {
            told.push(format!(
                "--latency-milliseconds={}",
                self.latency_milliseconds
            ));
        }
        if self.no_faults {
            told.push("--no-faults".to_owned());
        }
        told
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{unit:?} is none of s, m and h")),
    };
    let count: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

/// What a program answers its own libraries in place of the system.
#[derive(Clone, Copy)]
pub struct Surroundings {
    /// Draws this thread's randomness from the seed, and gives it the simulated wall clock.
    pub simulate: fn(u64),
    /// Told the simulated time whenever it moves.
    pub set_clock: fn(Duration),
}

/// The whole program. Nothing may have drawn a random number before.
#[must_use]
pub fn main(surroundings: Surroundings) -> ExitCode {
    let seed = std::env::var(SEED_VARIABLE).ok();
    if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
        (surroundings.simulate)(seed);
        return run_one(seed, surroundings.set_clock);
    }
    match run_all(&Arguments::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Held => 0,
        Verdict::Violated => 1,
        Verdict::Inconclusive => 2,
    }
}

/// The process of one seed. Prints one line of names and numbers, and reasons below it.
fn run_one(seed: u64, clock: fn(Duration)) -> ExitCode {
    let arguments = Arguments::parse();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        println!("verdict=Violated\nreason: a panic: {panic}");
        std::process::exit(i32::from(exit_code(Verdict::Violated)));
    }));
    let options = Options {
        seed,
        duration: arguments.duration,
        trace: arguments.trace,
        latency: Duration::from_millis(arguments.latency_milliseconds),
        has_faults: !arguments.no_faults,
        clock,
    };
    let report = match run(&options) {
        Ok(report) => report,
        Err(error) => {
            println!("verdict=Inconclusive\nreason: {error:#}");
            return ExitCode::from(exit_code(Verdict::Inconclusive));
        }
    };
    let faults: Vec<String> = report
        .faults
        .iter()
        .map(|(kind, count)| format!("{kind}={count}"))
        .collect();
    println!(
        "verdict={:?} simulated_milliseconds={} acknowledged={} refused={} unknown={} reads={} elections={} early_elections={} \
         trace={:016x} lines={} {}",
        report.verdict,
        report.simulated.as_millis(),
        report.acknowledged,
        report.refused,
        report.unknown,
        report.reads,
        report.elections,
        report.early_elections,
        report.trace_hash,
        report.trace_lines,
        faults.join(" ")
    );
    for reason in &report.reasons {
        println!("reason: {reason}");
    }
    ExitCode::from(exit_code(report.verdict))
}

/// Sums over all runs.
#[derive(Default)]
struct Totals {
    runs: u64,
    simulated_milliseconds: u64,
    numbers: BTreeMap<String, u64>,
    worst: u8,
}

impl Totals {
    fn add(&mut self, line: &str) {
        self.runs += 1;
        for (name, value) in line
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
        {
            match (name, value.parse::<u64>()) {
                ("simulated_milliseconds", Ok(value)) => self.simulated_milliseconds += value,
                ("trace" | "lines" | "verdict", _) | (_, Err(_)) => {}
                (name, Ok(value)) => *self.numbers.entry(name.to_owned()).or_default() += value,
            }
        }
    }

    /// A violation outweighs what shows nothing.
    fn judge(&mut self, code: u8) {
        if self.worst != exit_code(Verdict::Violated) && code != 0 {
            self.worst = code;
        }
    }
}

fn run_all(arguments: &Arguments) -> anyhow::Result<u8> {
    let begun = Instant::now();
    let mut totals = Totals::default();
    let mut seed = arguments.seed;
    while arguments.until_fail || totals.runs < arguments.runs {
        let run_begun = Instant::now();
        let output = child(arguments, seed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let wall = run_begun.elapsed().as_secs_f64();
        let (line, reasons) = text.split_once('\n').unwrap_or((&text, ""));
        println!("seed={seed} {line} wall_seconds={wall:.1}");
        totals.add(line);
        let code = match output.status.code() {
            Some(code) => u8::try_from(code).unwrap_or(1),
            // A signal: an abort is a broken invariant.
            None => exit_code(Verdict::Violated),
        };
        totals.judge(code);
        if code != 0 {
            print!("{reasons}");
            println!(
                "replay: simulation --seed {seed} {} --trace FILE",
                arguments.of_a_run().join(" ")
            );
            if arguments.until_fail {
                break;
            }
        }
        seed += 1;
    }
    let simulated = totals.simulated_milliseconds as f64 / 1000.0;
    let wall = begun.elapsed().as_secs_f64();
    let numbers: Vec<String> = totals
        .numbers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!(
        "total: runs={} simulated_seconds={simulated:.0} wall_seconds={wall:.0} ratio={:.1} {}",
        totals.runs,
        simulated / wall,
        numbers.join(" ")
    );
    Ok(totals.worst)
}

fn child(arguments: &Arguments, seed: u64) -> anyhow::Result<std::process::Output> {
    if arguments.duration.is_zero() {
        bail!("a run needs some simulated time");
    }
    let own = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(own);
    command
        .env(SEED_VARIABLE, seed.to_string())
        .args(arguments.of_a_run())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(trace) = &arguments.trace {
        command.arg("--trace").arg(trace);
    }
    command.output().context("running a seed")
}
