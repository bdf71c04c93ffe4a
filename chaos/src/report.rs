//! Reports of runs: a page for people, a file for CI, and lines for the terminal.

mod chart;
mod junit;
mod page;
mod scene;
mod tables;

use std::path::Path;

use anyhow::{Context, Result};

use crate::summary::Summary;
use crate::verdict::Verdict;

/// Name of the page.
pub const PAGE_FILE: &str = "report.html";
/// Name of the file for CI.
pub const JUNIT_FILE: &str = "junit.xml";

/// The gravest verdict of several runs; inconclusive of none.
pub fn overall(summaries: &[Summary]) -> Verdict {
    let worst = summaries.iter().map(|summary| summary.verdict).max();
    worst.unwrap_or(Verdict::Inconclusive)
}

/// Writes the reports of some runs into a folder.
///
/// # Errors
/// When they cannot be written.
pub fn write(folder: &Path, summaries: &[Summary]) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    put(PAGE_FILE, page::render(summaries))?;
    put(JUNIT_FILE, junit::render(summaries))
}

/// Text as it may stand in HTML and XML, attributes included.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to write the other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut spaced = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            spaced.push('\u{202f}');
        }
        spaced.push(digit);
    }
    spaced
}

/// Milliseconds, or seconds when there are many.
fn span(millis: u64) -> String {
    if millis < 10_000 {
        format!("{} ms", thousands(millis))
    } else {
        format!("{:.1} s", millis as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests;
