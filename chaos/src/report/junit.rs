//! Verdicts as JUnit's XML: a violation is a failure, an inconclusive run an error.

use std::fmt::Write;

use super::escape;
use crate::summary::Summary;
use crate::verdict::Verdict;

pub(super) fn render(summaries: &[Summary]) -> String {
    let count = |verdict| summaries.iter().filter(|s| s.verdict == verdict).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"chaos\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        summaries.len(),
        count(Verdict::Violated),
        count(Verdict::Inconclusive)
    );
    for summary in summaries {
        let case = format!(
            "  <testcase classname=\"chaos.{}\" name=\"{} (seed {})\" time=\"{:.3}\">",
            escape(&summary.target),
            escape(&summary.scenario),
            summary.seed,
            summary.end_ms as f64 / 1e3
        );
        let (element, words) = match summary.verdict {
            Verdict::Held => ("", &summary.violations),
            Verdict::Violated => ("failure", &summary.violations),
            Verdict::Inconclusive => ("error", &summary.doubts),
        };
        let body = if element.is_empty() {
            String::new()
        } else {
            let text = escape(&words.join("\n"));
            format!(
                "<{element} message=\"{}\">{text}</{element}>",
                summary.verdict
            )
        };
        // Writing to a string cannot fail.
        let _ = writeln!(xml, "{case}{body}</testcase>");
    }
    xml.push_str("</testsuite>\n");
    xml
}
