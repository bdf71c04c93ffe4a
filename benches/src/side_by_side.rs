//! Our cluster and a peer's in turn on the same machine and the same work; medians and ratios.

pub mod figures;
pub mod options;
pub mod rows;
pub mod servers;
pub mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::side_by_side::figures::{Figure, Results, Side};
use crate::side_by_side::options::{Options, Scale};
use crate::side_by_side::rows::Row;
use crate::side_by_side::servers::{Binary, Cluster};

/// Runs the selected rows and prints and saves what came of them.
pub fn run(options: &Options) -> Result<()> {
    let rows = rows::select(&options.rows)?;
    if options.list {
        for row in rows {
            println!("{:<20} {}", row.name, row.title);
        }
        return Ok(());
    }
    let scale = options.scale();
    let sides = sides(options)?;
    let data = DataFolder::create(&options.out)?;
    let mut results = Results::new(&sides);
    let mut failures = Vec::new();
    for trial in 0..scale.trials {
        for row in &rows {
            // Whoever goes first finds a cooler machine, so the sides take turns at it.
            let mut order: Vec<&(Side, Binary)> = sides.iter().collect();
            if trial % 2 == 1 {
                order.reverse();
            }
            for (side, binary) in order {
                match measure(row, binary, &data.path, &scale) {
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
    let titles: Vec<_> = rows
        .iter()
        .map(|row| (row.name, row.title, row.target))
        .collect();
    let markdown = table::markdown(&titles, &results);
    println!("{markdown}");
    save(&options.out, "side-by-side", &results, &markdown)?;
    if !failures.is_empty() {
        bail!(
            "{} measurements failed:\n{}",
            failures.len(),
            failures.join("\n")
        );
    }
    Ok(())
}

fn measure(row: &Row, binary: &Binary, data: &Path, scale: &Scale) -> Result<Vec<Figure>> {
    let mut cluster = Cluster::start(binary, data, row.work.flags())?;
    let figures = row.work.measure(&mut cluster, scale)?;
    let text: Vec<String> = figures.iter().map(ToString::to_string).collect();
    eprintln!(
        "{:<20} {:<10} {}",
        row.name,
        binary.label(),
        text.join("  ")
    );
    Ok(figures)
}

fn sides(options: &Options) -> Result<Vec<(Side, Binary)>> {
    let mut sides = Vec::new();
    if options.only() != Some(Side::Peer) {
        let Some(path) = &options.ours else {
            bail!("where is our binary? Name it with --ours or MAINSTAY_BIN, or say --only peer");
        };
        sides.push((Side::Ours, Binary::find(path)?));
    }
    if options.only() != Some(Side::Ours) {
        sides.push((Side::Peer, Binary::find(&options.peer)?));
    }
    Ok(sides)
}

/// Where the servers keep their data; gone when the run is over.
pub(crate) struct DataFolder {
    pub(crate) path: PathBuf,
}

impl DataFolder {
    pub(crate) fn create(out: &Path) -> Result<DataFolder> {
        let path = out.join(format!("data-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(DataFolder {
            path: path.canonicalize()?,
        })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Writes the results under a name that begins so.
pub(crate) fn save(out: &Path, name: &str, results: &Results, markdown: &str) -> Result<()> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let path = out.join(format!("{name}-{seconds}"));
    fs::write(path.with_extension("md"), markdown)?;
    let json = serde_json::to_string_pretty(&results.json(&table::machine()))?;
    fs::write(path.with_extension("json"), json)?;
    println!("Saved as {}.md and .json", path.display());
    Ok(())
}
