//! How two specs differ, line by line as upstream's message shows it.

use crate::Value;

/// How many lines around a change are shown.
const CONTEXT_LINES: usize = 2;

/// The lines of two values with what goes (`-`) and what comes (`+`).
pub(super) fn shown(before: &Value, after: &Value, _name: &str) -> String {
    let lines = |value: &Value| {
        serde_json::to_string_pretty(value)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let (before, after) = (lines(before), lines(after));
    let head = before
        .iter()
        .zip(&after)
        .take_while(|(left, right)| left == right)
        .count();
    let tail = before[head..]
        .iter()
        .rev()
        .zip(after[head..].iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    let mut text = Vec::new();
    let from = head.saturating_sub(CONTEXT_LINES);
    text.extend(before[from..head].iter().map(|line| format!("  {line}")));
    text.extend(
        before[head..before.len() - tail]
            .iter()
            .map(|line| format!("- {line}")),
    );
    text.extend(
        after[head..after.len() - tail]
            .iter()
            .map(|line| format!("+ {line}")),
    );
    let end = before.len() - tail;
    let until = (end + CONTEXT_LINES).min(before.len());
    text.extend(before[end..until].iter().map(|line| format!("  {line}")));
    text.join("\n")
}
