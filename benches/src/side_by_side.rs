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
    let rows = rows::select(&options.common.rows)?;
    if options.common.list {
        for row in rows {
            println!("{:<20} {}", row.name, row.title);
        }
        return Ok(());
    }
    let scale = options.scale();
    let sides = sides(options)?;
    let data = DataFolder::create(&options.common.out)?;
    let names: Vec<_> = rows.iter().map(|row| row.name).collect();
    let outcome = take_turns(scale.trials, &names, &sides, |at, _, binary| {
        measure(rows[at], binary, &data.path, &scale).map(Some)
    });
    let titles: Vec<_> = rows
        .iter()
        .map(|row| (row.name, row.title, row.target))
        .collect();
    outcome.conclude(&titles, &options.common.out, "side-by-side")
}

/// What came of all rows.
pub(crate) struct Outcome {
    results: Results,
    failures: Vec<String>,
}

/// Measures every row on every side, so many times; a row that a side does not have gives nothing. When one fails, the others
/// still tell something.
pub(crate) fn take_turns(
    trials: usize,
    rows: &[&'static str],
    sides: &[(Side, Binary)],
    mut measure: impl FnMut(usize, Side, &Binary) -> Result<Option<Vec<Figure>>>,
) -> Outcome {
    let mut results = Results::new(sides);
    let mut failures = Vec::new();
    for trial in 0..trials {
        for (at, row) in rows.iter().enumerate() {
            // Whoever goes first finds a cooler machine, so the sides take turns at it.
            let mut order: Vec<&(Side, Binary)> = sides.iter().collect();
            if trial % 2 == 1 {
                order.reverse();
            }
            for (side, binary) in order {
                match measure(at, *side, binary) {
                    Ok(Some(figures)) => results.add(*side, row, figures),
                    Ok(None) => {}
                    Err(error) => {
                        let failure = format!("{row} on {}: {error:#}", binary.label());
                        eprintln!("FAILED {failure}");
                        failures.push(failure);
                    }
                }
            }
        }
    }
    Outcome { results, failures }
}

impl Outcome {
    /// Prints and saves what was measured.
    ///
    /// # Errors
    ///
    /// If a row failed, or nothing can be saved.
    pub(crate) fn conclude(
        &self,
        titles: &[(&'static str, &'static str, &'static str)],
        out: &Path,
        name: &str,
    ) -> Result<()> {
        let markdown = table::markdown(titles, &self.results);
        println!("{markdown}");
        save(out, name, &self.results, &markdown)?;
        if !self.failures.is_empty() {
            bail!(
                "{} measurements failed:\n{}",
                self.failures.len(),
                self.failures.join("\n")
            );
        }
        Ok(())
    }
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
