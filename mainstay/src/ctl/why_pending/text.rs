//! The answer for people.

use scheduler::explain::{Explanation, Rejected, Shortfall};

use super::answer::{Answer, Said, State};

/// Nodes of a reason that are named unless all are asked for.
const NODES_NAMED_MAX: usize = 5;

/// The whole text, with a line feed at its end.
pub(super) fn of(answer: &Answer, names_all: bool) -> String {
    let mut text = format!("{}\n", answer.summary);
    if let Some(explanation) = answer.explanation.as_ref() {
        // What is said of gates is that there are some.
        let differs =
            |said: &&Said| answer.state != State::Gated && said.message != explanation.message;
        if let Some(said) = answer.said.as_ref().filter(differs) {
            text.push_str(&format!("The scheduler last said: {}\n", said.message));
        }
        text.push_str(&explained(explanation, names_all));
    }
    text.push_str(&list("Warnings", &answer.warnings));
    text
}

fn explained(explanation: &Explanation, names_all: bool) -> String {
    let mut text = String::new();
    if !explanation.rejected.is_empty() {
        let rows = explanation.rejected.iter().map(|one| row(one, names_all));
        text.push('\n');
        text.push_str(&columns(["NODES", "WHY NOT", "WHICH"], rows));
    }
    if !explanation.fits.is_empty() {
        let fits = named(&explanation.fits, names_all);
        text.push_str(&format!("\nFits on {}: {fits}\n", explanation.fits.len()));
    }
    if !explanation.shortfalls.is_empty() {
        let head = [
            "RESOURCE",
            "ASKED",
            "MOST LEFT ON A NODE",
            "LEFT ON ALL",
            "LARGEST NODE",
            "NODES SHORT",
        ];
        text.push('\n');
        text.push_str(&columns(head, explanation.shortfalls.iter().map(short)));
    }
    text.push_str(&list("What would help", &explanation.advice));
    if let Some(eviction) = &explanation.preempts {
        text.push_str(&format!(
            "\nIts priority lets it take the place of {} on node {}.\n",
            eviction.pods.join(", "),
            eviction.node
        ));
    }
    text
}

fn row(rejected: &Rejected, names_all: bool) -> [String; 3] {
    [
        rejected.nodes.len().to_string(),
        rejected.reasons.join(", "),
        named(&rejected.nodes, names_all),
    ]
}

fn named(nodes: &[String], all: bool) -> String {
    let shown = if all {
        nodes.len()
    } else {
        nodes.len().min(NODES_NAMED_MAX)
    };
    let mut text = nodes[..shown].join(", ");
    if shown < nodes.len() {
        text.push_str(&format!(" and {} more", nodes.len() - shown));
    }
    text
}

fn short(short: &Shortfall) -> [String; 6] {
    [
        short.resource.clone(),
        short.asked.clone(),
        format!("{} ({})", short.free_most, short.free_most_on),
        short.free.clone(),
        short.node_most.clone(),
        short.nodes_short.to_string(),
    ]
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{title}:\n{lines}")
}

/// Columns as wide as their widest cell, and the last one as long as it is.
fn columns<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows);
    let width = |column: usize| {
        let cells = all.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    all.iter().map(line).collect()
}
