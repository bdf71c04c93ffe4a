//! The tables of the page: faults of a run, gaps of all runs, and what was checked.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{escape, span, thousands};
use crate::summary::{Count, Summary, gaps_by_fault};
use crate::timeline::percentile;

/// What was done in one run.
pub(super) fn faults(summary: &Summary) -> String {
    if summary.injected.is_empty() {
        return "<p class=\"quiet\">Nothing was broken.</p>".to_owned();
    }
    let mut rows = String::new();
    for (one, gap) in summary.injected.iter().zip(&summary.timeline.gaps_ms) {
        let members: Vec<String> = one.members.iter().map(|m| format!("m{m}")).collect();
        let role = one
            .role
            .map_or_else(|| "–".to_owned(), |role| role.to_string());
        let fired = if one.fired {
            "yes"
        } else {
            "<b class=\"bad\">no</b>"
        };
        let _ = write!(
            rows,
            "<tr><td class=\"n\">{:.1}</td><td>{}</td><td>{}</td><td>{role}</td><td class=\"n\">{} → {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{fired}</td><td class=\"words\">{}</td></tr>",
            one.start_ms as f64 / 1e3,
            escape(&one.fault),
            members.join(" "),
            one.terms.0,
            one.terms.1,
            span(one.end_ms - one.start_ms),
            span(*gap),
            escape(&one.evidence)
        );
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th class=\"n\">at s</th><th>fault</th><th>hit</th><th>really</th><th class=\"n\">term</th><th class=\"n\">lasted</th><th class=\"n\">gap</th><th>fired</th><th>evidence</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// The longest times without an acknowledged write, by scenario and fault.
pub(super) fn gaps(summaries: &[Summary]) -> String {
    let gaps = gaps_by_fault(summaries);
    let most = gaps.values().flatten().copied().max().unwrap_or(1).max(1);
    let mut rows = String::new();
    for ((scenario, fault), all) in &gaps {
        let max = all.last().copied().unwrap_or(0);
        let (p50, p99) = (percentile(all, 50), percentile(all, 99));
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"bar\"><i style=\"width:{:.1}%\"></i><b style=\"left:{:.1}%\"></b></td></tr>",
            escape(scenario),
            escape(fault),
            all.len(),
            span(p50),
            span(p99),
            span(max),
            max as f64 * 100.0 / most as f64,
            p50 as f64 * 100.0 / most as f64
        );
    }
    if rows.is_empty() {
        return "<p class=\"quiet\">No fault took hold, so there is no gap to measure.</p>"
            .to_owned();
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th>scenario</th><th>fault</th><th class=\"n\">n</th><th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">max</th><th class=\"bar\">p50 and max</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// How often each check had something to judge, over all runs.
pub(super) fn checks(summaries: &[Summary]) -> String {
    let all = |of: fn(&Summary) -> &Vec<Count>| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        for count in summaries.iter().flat_map(of) {
            if !order.contains(&count.words.as_str()) {
                order.push(&count.words);
            }
            *sums.entry(&count.words).or_default() += count.count;
        }
        order
            .into_iter()
            .map(|words| (words, sums[words]))
            .collect::<Vec<(&str, u64)>>()
    };
    let mut rows = String::new();
    for (words, count) in all(|summary| &summary.judged.counts) {
        let class = if count == 0 { " class=\"quiet\"" } else { "" };
        let _ = write!(
            rows,
            "<tr{class}><td class=\"n\">{}</td><td>{}</td></tr>",
            thousands(count),
            escape(words)
        );
    }
    for (words, count) in all(|summary| &summary.judged.unjudged) {
        let _ = write!(
            rows,
            "<tr class=\"quiet\"><td class=\"n\">{}</td><td>not judged: {}</td></tr>",
            thousands(count),
            escape(words)
        );
    }
    format!(
        "<table class=\"checks\"><thead><tr><th class=\"n\">judged</th><th>invariant</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}
