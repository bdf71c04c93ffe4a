//! The results as a Markdown table, with the machine they come from.

use std::fmt::Write;
use std::fs;

use crate::side_by_side::figures::{Results, Side, number};

/// Processor, cores, memory and kernel in one line.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, |count| count.get());
    format!(
        "{}, {cores} cores, {} memory, Linux {}",
        after(&read("/proc/cpuinfo"), "model name"),
        after(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// The whole table. Of a row there are its name, its title and what must be reached.
pub fn markdown(rows: &[(&'static str, &'static str, &'static str)], results: &Results) -> String {
    let mut out = format!("{}\n\n", machine());
    for (side, binary) in results.binaries() {
        writeln!(out, "- {side:?}: {binary}").expect("a string takes all");
    }
    out.push_str(
        "\n| row | figure | ours | peer | ours / peer | must reach |\n|---|---|---|---|---|---|\n",
    );
    for &(name, mut title, mut target) in rows {
        for (figure, unit) in results.figures(name) {
            let ours = results.median(Side::Ours, name, figure);
            let peer = results.median(Side::Peer, name, figure);
            let ratio = ours
                .zip(peer)
                .filter(|(_, peer)| *peer > 0.0)
                .map(|(ours, peer)| ours / peer);
            let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
            let (ours, peer, ratio) = (text(ours), text(peer), text(ratio));
            writeln!(
                out,
                "| {title} | {figure}, {unit} | {ours} | {peer} | {ratio} | {target} |"
            )
            .expect("a string takes all");
            (title, target) = ("", "");
        }
    }
    out
}
