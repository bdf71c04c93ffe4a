//! Our apiserver and a peer's in turn, over the same store and the same work; medians and ratios.

pub mod client;
pub mod drive;
pub mod grpc;
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
use crate::side_by_side::figures::{Figure, Side};
use crate::side_by_side::servers::Binary;
use crate::side_by_side::{DataFolder, take_turns};

/// Runs the selected rows and prints and saves what came of them.
pub fn run(options: &Options) -> Result<()> {
    let rows = rows::select(&options.common.rows)?;
    if options.common.list {
        for row in rows {
            println!("{:<12} {}", row.name, row.title);
        }
        return Ok(());
    }
    let sides = sides(options)?;
    let store = Binary::find(&options.etcd)?;
    let data = DataFolder::create(&options.common.out)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let names: Vec<_> = rows.iter().map(|row| row.name).collect();
    let trials = options.scale().trials;
    let outcome = take_turns(trials, &names, &sides, |at, side, binary| {
        let row = &rows[at];
        if row.ours_only && side == Side::Peer {
            return Ok(None);
        }
        let mut servers = Servers::start(&store, binary, &data.path)?;
        let measured = runtime.block_on(measure(row, &mut servers, options))?;
        Ok(Some(measured))
    });
    let titles: Vec<_> = rows.iter().map(|row| (row.name, row.title, "")).collect();
    outcome.conclude(&titles, &options.common.out, "apiservers")
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
