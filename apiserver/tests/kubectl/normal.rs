//! Takes out of kubectl's output what differs from run to run.

use regex::Regex;

/// What is taken out, in order, and what stands for it.
const RULES: &[(&str, &str)] = &[
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "UID",
    ),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} UTC", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"(resourceVersion\W{1,6})\d+", "${1}VERSION"),
    (
        r"[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([a-z_]+\.go):\d+\]",
        "LOG $1]",
    ),
    (r"eyJ[\w.-]{40,}", "TOKEN"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"\b10\.0\.0\.\d+\b", "CLUSTERIP"),
    (r"\b3[0-2]\d{3}\b", "NODEPORT"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-SUFFIX"),
    (r"/tmp/[\w./-]+", "FILE"),
    (r"\b(\d+d)?(\d+h)?(\d+m)?\d+s\b|<invalid>|\b\d+m\b", "AGE"),
    (r"(?m)(\S) {2,}", "$1  "),
    (r"(?m)[ \t]+$", ""),
];

/// The rules, compiled.
pub(crate) struct Normal(Vec<(Regex, &'static str)>);

impl Normal {
    pub(crate) fn new() -> Normal {
        Normal(
            RULES
                .iter()
                .map(|(from, to)| (Regex::new(from).unwrap(), *to))
                .collect(),
        )
    }

    pub(crate) fn of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| {
            from.replace_all(&text, *to).into_owned()
        })
    }
}
