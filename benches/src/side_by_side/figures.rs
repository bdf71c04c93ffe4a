//! Figures of rows, their medians over trials, and the ratio between the sides.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::side_by_side::servers::Binary;

/// Whose cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Side {
    Ours,
    Peer,
}

/// One measured number.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub value: f64,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: &'static str, value: f64) -> Figure {
        let name = name.into();
        Figure { name, unit, value }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, number(self.value), self.unit)
    }
}

/// Three significant digits, or all digits before the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Values of one figure over the trials.
#[derive(Clone, Debug)]
struct Trials {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

/// All that was measured.
pub struct Results {
    binaries: Vec<(Side, String)>,
    rows: BTreeMap<(&'static str, Side), Vec<Trials>>,
}

impl Results {
    pub fn new(sides: &[(Side, Binary)]) -> Results {
        let binaries = sides
            .iter()
            .map(|(side, binary)| (*side, binary.description()))
            .collect();
        Results {
            binaries,
            rows: BTreeMap::new(),
        }
    }

    /// Which binaries were measured.
    pub fn binaries(&self) -> &[(Side, String)] {
        &self.binaries
    }

    /// Adds a trial of a row.
    pub fn add(&mut self, side: Side, row: &'static str, figures: Vec<Figure>) {
        let known = self.rows.entry((row, side)).or_default();
        for Figure { name, unit, value } in figures {
            match known.iter_mut().find(|trials| trials.name == name) {
                Some(trials) => trials.values.push(value),
                None => known.push(Trials {
                    name,
                    unit,
                    values: vec![value],
                }),
            }
        }
    }

    /// Names and units of a row's figures, in the order they were measured.
    pub fn figures(&self, row: &'static str) -> Vec<(&str, &'static str)> {
        let mut names = Vec::new();
        for side in [Side::Ours, Side::Peer] {
            for trials in self.rows.get(&(row, side)).into_iter().flatten() {
                let named = (trials.name.as_str(), trials.unit);
                if !names.contains(&named) {
                    names.push(named);
                }
            }
        }
        names
    }

    /// The median over the trials.
    pub fn median(&self, side: Side, row: &'static str, figure: &str) -> Option<f64> {
        let trials = self
            .rows
            .get(&(row, side))?
            .iter()
            .find(|trials| trials.name == figure)?;
        median(&trials.values)
    }

    /// Everything, with all trials.
    pub fn json(&self, machine: &str) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .flat_map(|((row, side), figures)| {
                figures.iter().map(move |trials| {
                    json!({
                        "row": row, "side": format!("{side:?}"), "figure": trials.name,
                        "unit": trials.unit, "median": median(&trials.values), "trials": trials.values,
                    })
                })
            })
            .collect();
        let binaries: BTreeMap<String, &String> = self
            .binaries
            .iter()
            .map(|(side, text)| (format!("{side:?}"), text))
            .collect();
        json!({ "machine": machine, "binaries": binaries, "figures": rows })
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn trials_of_a_figure_come_together() {
        let mut results = Results::new(&[]);
        for value in [3.0, 1.0, 2.0] {
            results.add(
                Side::Ours,
                "put",
                vec![Figure::new("throughput", "/s", value)],
            );
        }
        assert_eq!(results.median(Side::Ours, "put", "throughput"), Some(2.0));
        assert_eq!(results.median(Side::Peer, "put", "throughput"), None);
        assert_eq!(results.figures("put"), [("throughput", "/s")]);
    }
}
