//! The results as Markdown: rows with the same figures are lines of one table, a row of its own kind has a line for each figure.

use std::fmt::Write;
use std::fs;

use crate::control_plane::cases::Row;
use crate::side_by_side::figures::{Results, Side, number};
use crate::side_by_side::table::machine;

/// How busy the machine was, as the kernel counts it.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let figures: Vec<&str> = text.split_ascii_whitespace().take(3).collect();
    format!("load average {}", figures.join(" "))
}

/// All tables. `notes` say how it was measured.
pub fn markdown(rows: &[&Row], results: &Results, notes: &[String]) -> String {
    let mut out = format!("{}\n\n", machine());
    let binaries = results.binaries().iter().map(|(_, binary)| binary);
    for note in binaries.chain(notes) {
        writeln!(out, "- {note}").expect("a string takes all");
    }
    let measured = |row: &&&Row| !results.figures(row.name).is_empty();
    let rows: Vec<&Row> = rows.iter().filter(measured).copied().collect();
    for alike in rows.chunk_by(|a, b| results.figures(a.name) == results.figures(b.name)) {
        match alike {
            [row] => alone(&mut out, row, results),
            rows => together(&mut out, rows, results),
        }
    }
    out
}

/// A line for each row.
fn together(out: &mut String, rows: &[&Row], results: &Results) {
    let figures = results.figures(rows[0].name);
    out.push_str("\n| row |");
    for (figure, unit) in &figures {
        write!(out, " {} |", named(figure, unit)).expect("a string takes all");
    }
    out.push_str("\n|---|");
    out.push_str(&"---|".repeat(figures.len()));
    for row in rows {
        write!(out, "\n| {} |", row.title).expect("a string takes all");
        for (figure, _) in &figures {
            write!(out, " {} |", value(row, figure, results)).expect("a string takes all");
        }
    }
    out.push('\n');
}

/// A line for each figure.
fn alone(out: &mut String, row: &Row, results: &Results) {
    write!(out, "\n| {} | |\n|---|---|\n", row.title).expect("a string takes all");
    for (figure, unit) in results.figures(row.name) {
        let (name, value) = (named(figure, unit), value(row, figure, results));
        writeln!(out, "| {name} | {value} |").expect("a string takes all");
    }
}

fn named(figure: &str, unit: &str) -> String {
    match unit {
        "" => figure.to_owned(),
        unit => format!("{figure}, {unit}"),
    }
}

fn value(row: &Row, figure: &str, results: &Results) -> String {
    let value = results.median(Side::Ours, row.name, figure);
    value.map_or_else(|| "–".to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::cases::Work;
    use crate::side_by_side::figures::Figure;

    #[test]
    fn rows_with_the_same_figures_share_a_table_and_others_have_their_own() {
        let row = |name| Row {
            name,
            title: name,
            work: Work::Idle,
        };
        let (a, b, c) = (row("a"), row("b"), row("c"));
        let mut results = Results::new(&[]);
        for (name, figure) in [("a", "x"), ("b", "x"), ("c", "y")] {
            results.add(Side::Ours, name, vec![Figure::new(figure, "s", 1.0)]);
        }
        let text = markdown(&[&a, &b, &c], &results, &["note".to_owned()]);
        let shared = "- note\n\n| row | x, s |\n|---|---|\n| a | 1.00 |\n| b | 1.00 |\n";
        let alone = "\n| c | |\n|---|---|\n| y, s | 1.00 |\n";
        assert!(text.ends_with(&format!("{shared}{alone}")), "{text}");
    }
}
