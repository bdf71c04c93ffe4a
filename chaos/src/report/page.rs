//! The page: one file that needs nothing else, in light and dark.

use std::fmt::Write;

use super::{chart, escape, overall, scene, span, tables, thousands};
use crate::summary::Summary;
use crate::verdict::Verdict;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Violations and doubts that are shown of one run; more are only counted.
const WORDS_MAX: usize = 20;
/// Notes that are shown of one run.
const NOTES_MAX: usize = 10;

pub(super) fn render(summaries: &[Summary]) -> String {
    let verdict = overall(summaries);
    let server = summaries.first().map_or("", |summary| &summary.server);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>chaos: {} – {verdict}</title><style>{STYLE}</style></head><body><main>",
        escape(server)
    );
    head(&mut page, summaries, verdict);
    for summary in summaries {
        words(&mut page, summary);
    }
    if summaries.len() > 1 {
        overview(&mut page, summaries);
    }
    let _ = write!(
        page,
        "<section><h2>Time without an acknowledged write</h2>{}</section>",
        tables::gaps(summaries)
    );
    for summary in summaries {
        run(&mut page, summary);
    }
    let _ = write!(
        page,
        "<section><h2>What was checked</h2>{}</section>",
        tables::checks(summaries)
    );
    let _ = writeln!(
        page,
        "<footer>The gap of a fault is the longest time without an acknowledged write by any client that touches the time from the fault to the next one. Latency is that of answered requests. Runs on processes are not deterministic: a replay repeats the faults and their times, not their effects.</footer></main><div id=\"tip\" hidden></div><script>{SCRIPT}</script></body></html>"
    );
    page
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    }
}

fn head(page: &mut String, summaries: &[Summary], verdict: Verdict) {
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    let operations = sum(|s| s.operations.iter().sum());
    let faults = sum(|s| s.injected.iter().filter(|one| one.fired).count() as u64);
    let broken = sum(broken);
    let unjudged = summaries.iter().any(|s| s.judged.lost.is_none());
    let lost = match sum(|s| s.judged.lost.unwrap_or(0)) {
        0 if unjudged => "not judged".to_owned(),
        lost => thousands(lost),
    };
    let judged = sum(|s| s.judged.counts.iter().map(|count| count.count).sum());
    let fired = |s: &Summary| {
        let gaps = s.injected.iter().zip(&s.timeline.gaps_ms);
        gaps.filter(|(one, _)| one.fired).map(|(_, gap)| *gap).max()
    };
    let worst = summaries.iter().filter_map(fired).max().unwrap_or(0);
    let server = summaries.first().map_or("", |summary| &summary.server);
    let _ = write!(
        page,
        "<header><div class=\"pill {}\">{verdict}</div><h1>{}</h1><p class=\"line\">{} operations, {} acknowledged writes, faults = {}, lost = {lost}, broken promises = {}, worst gap {}</p><div class=\"cards\">",
        class(verdict),
        escape(server),
        thousands(operations),
        thousands(sum(|s| s.acknowledged_writes)),
        thousands(faults),
        thousands(broken),
        span(worst)
    );
    let cards = [
        ("operations", thousands(operations)),
        (
            "acknowledged writes",
            thousands(sum(|s| s.acknowledged_writes)),
        ),
        ("acknowledged writes lost", lost),
        ("faults that took hold", thousands(faults)),
        ("worst gap without a write", span(worst)),
        ("answers and events judged", thousands(judged)),
    ];
    for (words, number) in cards {
        let _ = write!(
            page,
            "<div class=\"card\"><b>{number}</b><span>{words}</span></div>"
        );
    }
    page.push_str("</div>");
    if let [summary] = summaries {
        command(page, summary);
    }
    page.push_str("</header>");
}

fn command(page: &mut String, summary: &Summary) {
    let _ = write!(
        page,
        "<p class=\"command\"><span>seed {}</span><code>{}</code><button type=\"button\" class=\"copy\">copy</button></p>",
        summary.seed,
        escape(&summary.replay)
    );
}

/// How often something did not hold, by the checker's count and beside it.
fn broken(summary: &Summary) -> u64 {
    let named = summary.judged.violations.len();
    let beside = summary.violations.len().saturating_sub(named);
    summary.judged.broken + beside as u64
}

/// What was broken, and why nothing may have been shown.
fn words(page: &mut String, summary: &Summary) {
    let kinds = [
        ("violated", "What was broken", &summary.violations),
        (
            "inconclusive",
            "Why this has shown nothing",
            &summary.doubts,
        ),
    ];
    for (class, title, all) in kinds {
        if all.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "<section class=\"words {class}\"><h2>{title}: {}</h2>",
            escape(&summary.scenario)
        );
        let scenes = &summary.judged.scenes;
        let pictured = class == "violated" && !scenes.is_empty();
        if pictured {
            for one in scenes {
                let _ = write!(
                    page,
                    "<p>Promised: <b>{}</b><br>Seen: {}</p><div class=\"scroll\">{}</div>",
                    escape(&one.promise),
                    escape(&one.words),
                    scene::render(one)
                );
            }
            let _ = write!(
                page,
                "<details><summary>all in words ({})</summary>",
                thousands(broken(summary))
            );
        }
        page.push_str("<ul>");
        for one in all.iter().take(WORDS_MAX) {
            let _ = write!(page, "<li>{}</li>", escape(one));
        }
        if all.len() > WORDS_MAX {
            let _ = write!(page, "<li>and {} more</li>", all.len() - WORDS_MAX);
        }
        page.push_str("</ul>");
        page.push_str(if pictured {
            "</details></section>"
        } else {
            "</section>"
        });
    }
}

/// One line for each of several runs.
fn overview(page: &mut String, summaries: &[Summary]) {
    page.push_str("<section><h2>Scenarios</h2><div class=\"scroll\"><table><thead><tr><th>scenario</th><th>verdict</th><th class=\"n\">operations</th><th class=\"n\">acknowledged writes</th><th class=\"n\">unknown</th><th class=\"n\">faults</th><th class=\"n\">available</th></tr></thead><tbody>");
    for summary in summaries {
        let _ = write!(
            page,
            "<tr><td><a href=\"#{0}\">{0}</a></td><td><span class=\"pill small {1}\">{2}</span></td><td class=\"n\">{3}</td><td class=\"n\">{4}</td><td class=\"n\">{5}</td><td class=\"n\">{6}</td><td class=\"n\">{7:.1} %</td></tr>",
            escape(&summary.scenario),
            class(summary.verdict),
            summary.verdict,
            thousands(summary.operations.iter().sum()),
            thousands(summary.acknowledged_writes),
            thousands(summary.operations[2]),
            summary.injected.iter().filter(|one| one.fired).count(),
            summary.timeline.available_permille as f64 / 10.0
        );
    }
    page.push_str("</tbody></table></div></section>");
}

fn run(page: &mut String, summary: &Summary) {
    let [ok, failed, unknown] = summary.operations.map(thousands);
    let _ = write!(
        page,
        "<section class=\"run\" id=\"{0}\"><h2>{0} <span class=\"pill small {1}\">{2}</span></h2><p class=\"quiet\">{ok} answered, {failed} failed for certain, {unknown} unknown; revision {3}; a write in {4:.1} % of all tenths of a second under load; judged in {5}</p>",
        escape(&summary.scenario),
        class(summary.verdict),
        summary.verdict,
        thousands(u64::try_from(summary.judged.revision).unwrap_or(0)),
        summary.timeline.available_permille as f64 / 10.0,
        span(summary.judged.took_ms)
    );
    page.push_str("<div class=\"scroll wide\">");
    page.push_str(&chart::render(summary));
    page.push_str("</div><p class=\"legend\"><i class=\"all\"></i>answers <i class=\"writes\"></i>acknowledged writes <i class=\"p50\"></i>p50 <i class=\"p99\"></i>p99 <i class=\"window\"></i>no acknowledged write</p><p class=\"legend\">members: <i class=\"lane up\"></i>answers <i class=\"lane kill\"></i>killed <i class=\"lane pause\"></i>paused <i class=\"lane net\"></i>cut or slow <i class=\"lane planned\"></i>planned <i class=\"lane damage\"></i>disk broken <i class=\"lane clock\"></i>clock wrong <i class=\"lane silent\"></i>does not answer</p>");
    page.push_str(&tables::faults(summary));
    for note in summary.judged.notes.iter().take(NOTES_MAX) {
        let _ = write!(page, "<p class=\"quiet\">Note: {}</p>", escape(note));
    }
    command(page, summary);
    page.push_str("</section>");
}
