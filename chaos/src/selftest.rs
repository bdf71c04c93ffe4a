//! Proves the judge: what is known to be wrong must be found, and what is known to be right must pass.

mod cases;
mod clusters;
mod histories;
mod matrix;
mod simulated;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use crate::random::Random;
use crate::verdict::Verdict;

use cases::{CASES, Case, On};
use clusters::Bench;
use matrix::{Found, Matrix, Row};
use simulated::Simulation;

/// Variable by which a program with planted bugs is told its bug.
const BUG_VARIABLE: &str = "MAINSTAY_PLANTED_BUG";
/// Name of the matrix in the selftest's folder.
const MATRIX_FILE: &str = "matrix.txt";

/// What to prove it with.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The program with planted bugs; without it those are not proven, and the selftest is inconclusive.
    #[arg(long, env = "MAINSTAY_PLANTED_BIN")]
    planted: Option<PathBuf>,
    /// Simulated histories that each mutator damages.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    histories: u64,
    /// What everything is drawn from; one is chosen and printed if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Damage histories alone, and start no cluster.
    #[arg(long, conflicts_with_all = ["planted", "only"])]
    judge_alone: bool,
    /// Only these rows, with commas between them. A part proves no whole: the selftest is inconclusive then.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for what comes out; one under chaos-runs/ if none is given.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs every part and prints one matrix. Held: all that is wrong was found, and all that is right passed.
///
/// # Errors
/// When nothing can be run or written at all.
pub async fn run(arguments: Arguments, interrupted: watch::Receiver<bool>) -> Result<Verdict> {
    let seed = arguments.seed.unwrap_or_else(Random::fresh_seed);
    let name = format!("selftest-{seed}");
    let folder = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new("chaos-runs").join(name));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    println!("selftest, seed {seed}, in {}", folder.display());
    let mut matrix = Matrix::default();
    for row in histories::rows(seed, arguments.histories, &arguments.only).await? {
        matrix.add(row);
    }
    if !arguments.judge_alone {
        run_members(&arguments, (&folder, seed), interrupted, &mut matrix).await?;
    }
    if !arguments.only.is_empty() {
        matrix.add(Row::of(
            "only",
            Found::Unknown("the other rows were left out".to_owned()),
        ));
    }
    let text = matrix.to_string();
    std::fs::write(folder.join(MATRIX_FILE), &text)?;
    println!("\n{text}");
    Ok(matrix.verdict())
}

/// What needs clusters and simulations.
async fn run_members(
    arguments: &Arguments,
    (folder, seed): (&Path, u64),
    interrupted: watch::Receiver<bool>,
    matrix: &mut Matrix,
) -> Result<()> {
    let bench = Bench::new(
        folder.to_owned(),
        seed,
        arguments.planted.as_deref(),
        interrupted.clone(),
    );
    matrix.extend(bench.look_at_planted());
    for case in CASES.iter().filter(|case| is_wanted(case, arguments)) {
        if *interrupted.borrow() {
            bail!("interrupted");
        }
        matrix.add(bench.prove(case).await);
    }
    if let Some(planted) = &arguments.planted {
        let simulation = Simulation::new(planted, seed, interrupted);
        matrix.extend(simulation.rows(|name| is_named(name, arguments)).await);
    }
    Ok(())
}

fn is_wanted(case: &Case, arguments: &Arguments) -> bool {
    // Without the program its rows would only say so again and again.
    let can_run = case.on != On::Planted || arguments.planted.is_some();
    can_run && is_named(case.name, arguments)
}

fn is_named(row: &str, arguments: &Arguments) -> bool {
    arguments.only.is_empty() || arguments.only.iter().any(|name| name == row)
}
