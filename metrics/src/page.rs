//! Samples under their heads, as Prometheus reads them.

use std::fmt::{Display, Write};

use crate::Histogram;

/// Names of labels with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// What all of it says.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Begins a metric, whose samples follow.
    pub fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One value of the metric that was begun.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let labels = braced(&pairs(labels));
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// A metric of one value.
    pub fn single(&mut self, name: &str, help: &str, kind: Kind, value: impl Display) {
        self.head(name, help, kind);
        self.sample(name, &[], value);
    }

    /// The values of one histogram of those that share a name.
    pub fn buckets(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let pairs = pairs(labels);
        let comma = if pairs.is_empty() { "" } else { "," };
        for (bound, count) in histogram.buckets() {
            let bound = as_go(bound);
            self.line(format_args!(
                "{name}_bucket{{{pairs}{comma}le=\"{bound}\"}} {count}"
            ));
        }
        let count = histogram.count();
        self.line(format_args!(
            "{name}_bucket{{{pairs}{comma}le=\"+Inf\"}} {count}"
        ));
        let labels = braced(&pairs);
        self.line(format_args!("{name}_sum{labels} {}", histogram.sum()));
        self.line(format_args!("{name}_count{labels} {count}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("text can always be appended");
    }
}

fn braced(pairs: &str) -> String {
    if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{pairs}}}")
    }
}

/// A number as Go writes it, which bounds are known by: `0.001`, `1e-05`, `1e+06`.
fn as_go(number: f64) -> String {
    let told = format!("{number:e}");
    let (digits, exponent) = told.split_once('e').unwrap_or((&told, "0"));
    match exponent.parse::<i32>() {
        Ok(small @ ..=-5) => format!("{digits}e-{:02}", -small),
        Ok(large @ 6..) => format!("{digits}e+{large:02}"),
        _ => number.to_string(),
    }
}

/// `a="1",b="2"`, with what would end a value written so that it does not.
fn pairs(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for one in value.chars() {
            match one {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_as_prometheus_reads_it() {
        let mut page = Page::default();
        page.single("up", "Whether.", Kind::Gauge, 1);
        page.head("took_seconds", "How long.", Kind::Histogram);
        let mut histogram = Histogram::exponential(0.5, 2.0, 2);
        histogram.observe(0.75);
        page.buckets("took_seconds", &[("of", "a\"b\\")], &histogram);
        let told = "# HELP up Whether.\n# TYPE up gauge\nup 1\n\
             # HELP took_seconds How long.\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{of=\"a\\\"b\\\\\",le=\"0.5\"} 0\n\
             took_seconds_bucket{of=\"a\\\"b\\\\\",le=\"1\"} 1\n\
             took_seconds_bucket{of=\"a\\\"b\\\\\",le=\"+Inf\"} 1\n\
             took_seconds_sum{of=\"a\\\"b\\\\\"} 0.75\n\
             took_seconds_count{of=\"a\\\"b\\\\\"} 1\n";
        assert_eq!(page.into_text(), told);
    }

    #[test]
    fn bounds_are_written_as_go_writes_them() {
        for (number, told) in [
            (10e-9, "1e-08"),
            (0.000_012_5, "1.25e-05"),
            (0.0001, "0.0001"),
            (1.0, "1"),
            (5242.88, "5242.88"),
            (1_000_000.0, "1e+06"),
        ] {
            assert_eq!(as_go(number), told);
        }
    }
}
