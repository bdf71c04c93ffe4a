//! Our apiserver and a peer's in turn, over the same store and the same work; medians and ratios.

pub mod client;
pub mod drive;
pub mod lists;
pub mod objects;
pub mod options;
pub mod rows;
pub mod servers;
pub mod watchers;

use anyhow::{Context, Result, bail};

use crate::apiserver::options::Options;
use crate::apiserver::rows::Row;
use crate::apiserver::servers::Servers;
use crate::side_by_side::figures::{Figure, Results, Side};
use crate::side_by_side::servers::Binary;
use crate::side_by_side::{DataFolder, save, table};

/// Runs the selected rows and prints and saves what came of them.
pub fn run(options: &Options) -> Result<()> {
    let rows = rows::select(&options.rows)?;
    if options.list {
        for row in rows {
            println!("{:<12} {}", row.name, row.title);
        }
        return Ok(());
    }
    let sides = sides(options)?;
    let store = Binary::find(&options.etcd)?;
    let data = DataFolder::create(&options.out)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut results = Results::new(&sides);
    let mut failures = Vec::new();
    for trial in 0..options.scale().trials {
        for row in &rows {
            // Whoever goes first finds a cooler machine, so the sides take turns at it.
            let mut order: Vec<&(Side, Binary)> = sides.iter().collect();
            if trial % 2 == 1 {
                order.reverse();
            }
            for (side, binary) in order {
                if row.ours_only && *side == Side::Peer {
                    continue;
                }
                let measured = Servers::start(&store, binary, &data.path)
                    .and_then(|mut servers| runtime.block_on(measure(row, &mut servers, options)));
                match measured {
                    Ok(figures) => results.add(*side, row.name, figures),
                    // The other rows still tell something.
                    Err(error) => {
                        let failure = format!("{} on {}: {error:#}", row.name, binary.label());
                        eprintln!("FAILED {failure}");
                        failures.push(failure);
                    }
                }
            }
        }
    }
    let titles: Vec<_> = rows.iter().map(|row| (row.name, row.title, "")).collect();
    let markdown = table::markdown(&titles, &results);
    println!("{markdown}");
    save(&options.out, "apiservers", &results, &markdown)?;
    if !failures.is_empty() {
        bail!(
            "{} measurements failed:\n{}",
            failures.len(),
            failures.join("\n")
        );
    }
    Ok(())
}

async fn measure(row: &Row, servers: &mut Servers, options: &Options) -> Result<Vec<Figure>> {
    let figures = row.measure(servers, &options.scale()).await?;
    for figure in &figures {
        eprintln!("{:<12} {:<16} {figure}", row.name, servers.label());
    }
    Ok(figures)
}

fn sides(options: &Options) -> Result<Vec<(Side, Binary)>> {
    let mut sides = Vec::new();
    if options.only() != Some(Side::Peer) {
        let path = options.ours.as_ref().context(
            "where is our binary? Name it with --ours or MAINSTAY_BIN, or say --only peer",
        )?;
        sides.push((Side::Ours, Binary::find(path)?));
    }
    if options.only() != Some(Side::Ours) {
        match &options.peer {
            Some(path) => sides.push((Side::Peer, Binary::find(path)?)),
            None if sides.is_empty() => bail!("which peer? Name it with --peer or KUBE_APISERVER"),
            None => {
                eprintln!("no peer is named with --peer or KUBE_APISERVER: ours is measured alone")
            }
        }
    }
    Ok(sides)
}
