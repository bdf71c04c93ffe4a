//! Samples under their heads, as Prometheus reads them.

use std::fmt::{Display, Write};

use super::super::{Counter, Histogram};

/// The text so far.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    pub(super) fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("text can always be appended");
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(name, help, "counter");
        self.sample(name, "", counter.get());
    }

    /// A gauge that is 1 and says something in its label.
    pub(super) fn labelled(&mut self, name: &str, help: &str, labels: &str) {
        self.head(name, help, "gauge");
        self.sample(name, labels, 1);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        self.buckets(name, "", histogram);
    }

    /// The samples of one histogram of those that share a name.
    pub(super) fn buckets(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let (buckets, total, sum) = histogram.read();
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in buckets {
            self.line(format_args!(
                "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"
            ));
        }
        self.line(format_args!(
            "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {total}"
        ));
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, total);
    }
}
