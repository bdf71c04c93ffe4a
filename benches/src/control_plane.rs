//! Whole control planes of ours as processes: what the scheduler decides, what deployments come to, and what it all costs.

pub mod api;
pub mod cases;
pub mod figures;
pub mod objects;
pub mod options;
pub mod plane;
pub mod pods;
pub mod schedule;
pub mod table;
pub mod up;
pub mod whole;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::control_plane::cases::{Row, Work};
use crate::control_plane::options::{Options, Scale};
use crate::control_plane::plane::{Plane, Shape};
use crate::side_by_side::figures::{Figure, Results, Side};
use crate::side_by_side::servers::Binary;
use crate::side_by_side::{DataFolder, save};

/// Runs the selected rows and prints and saves what came of them. An interrupt ends all processes that were started.
pub fn run(options: &Options) -> Result<()> {
    let rows = cases::select(&options.common.rows, options.common.smoke)?;
    if options.common.list {
        for row in rows {
            println!("{:<28} {}", row.name, row.title);
        }
        return Ok(());
    }
    let ours = options.ours.as_ref();
    let ours = ours.context("where is our binary? Name it with --ours or MAINSTAY_BIN")?;
    let ours = Binary::find(ours)?;
    let store = match &options.etcd {
        Some(etcd) => Binary::find(etcd)?,
        None => ours.clone(),
    };
    let shape = Shape {
        stores: options.stores(),
        apiservers: usize::from(options.apiservers),
        ours,
        store,
    };
    let (data, scale) = (DataFolder::create(&options.common.out)?, options.scale());
    // The processes end with the thread that started them: this one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut results = Results::new(&[(Side::Ours, shape.ours.clone())]);
    let mut notes = vec![
        format!(
            "{} of {} as store, {} apiservers, {} trials",
            shape.stores,
            shape.store.label(),
            shape.apiservers,
            scale.trials
        ),
        format!("{} at the start", table::load_average()),
    ];
    let failures = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        // In this order: an interrupt that reaches the processes too is not their failure.
        tokio::select! {
            biased;
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
            failures = all(&rows, &shape, (&data.path, &scale), &mut results) => Ok(failures),
        }
    })?;
    notes.push(format!("{} at the end", table::load_average()));
    let markdown = table::markdown(&rows, &results, &notes);
    println!("{markdown}");
    save(&options.common.out, "control-plane", &results, &markdown)?;
    if !failures.is_empty() {
        let count = failures.len();
        bail!("{count} measurements failed:\n{}", failures.join("\n"));
    }
    Ok(())
}

/// Measures all rows, each so many times on a new control plane. When one fails, the others still tell something.
async fn all(
    rows: &[&Row],
    shape: &Shape,
    (data, scale): (&Path, &Scale),
    results: &mut Results,
) -> Vec<String> {
    let mut failures = Vec::new();
    for trial in 1..=scale.trials {
        for (number, row) in rows.iter().enumerate() {
            let place = format!("[{}/{}, trial {trial}]", number + 1, rows.len());
            eprintln!("{place} {}", row.name);
            let began = Instant::now();
            match measure(row, shape, data, scale).await {
                Ok(figures) => {
                    let text: Vec<String> = figures.iter().map(ToString::to_string).collect();
                    let seconds = began.elapsed().as_secs();
                    eprintln!("  {}  ({seconds} s in all)", text.join("  "));
                    results.add(Side::Ours, row.name, figures);
                }
                Err(error) => {
                    let failure = format!("{}: {error:#}", row.name);
                    eprintln!("FAILED {failure}");
                    failures.push(failure);
                }
            }
        }
    }
    failures
}

async fn measure(row: &Row, shape: &Shape, data: &Path, scale: &Scale) -> Result<Vec<Figure>> {
    match row.work {
        Work::Schedule(load) => {
            let mut plane = Plane::start(shape, data, schedule::LEFT_OUT).await?;
            schedule::measure(&load, &mut plane, scale).await
        }
        Work::Deployments => {
            let mut plane = Plane::start(shape, data, "").await?;
            whole::loaded(&mut plane, scale, false).await
        }
        Work::Jobs => {
            let mut plane = Plane::start(shape, data, "").await?;
            whole::loaded(&mut plane, scale, true).await
        }
        Work::Idle => {
            let single = Shape {
                stores: 1,
                apiservers: 1,
                ..shape.clone()
            };
            let mut plane = Plane::start(&single, data, "").await?;
            whole::idle(&mut plane, scale).await
        }
        Work::Up(started) => up::idle(&shape.ours, data, started, scale.idle_seconds).await,
    }
}
