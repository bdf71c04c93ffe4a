//! What came of a run from Rust, and how a test says what it expects.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cluster;
use crate::report::PAGE_FILE;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// Violations and doubts that are said; the page has more.
const LINES_MAX: usize = 5;

/// What a run came to. It shows as text: verdict, figures, what was broken, the line that makes it again, and the page.
#[derive(Debug, Clone)]
#[must_use = "a run is worth what is asked of it"]
pub struct Judgement {
    summary: Summary,
    folder: PathBuf,
}

impl Judgement {
    pub(crate) fn new(summary: Summary, folder: PathBuf) -> Judgement {
        Judgement { summary, folder }
    }

    /// Everything there is to know.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Where history, logs, data and report are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The report.
    pub fn page(&self) -> PathBuf {
        self.folder.join(PAGE_FILE)
    }

    /// Ends the test unless everything held. The data of a run that held is removed; its report and history stay.
    ///
    /// # Panics
    /// When something was broken, or when the run has shown nothing.
    pub fn assert_held(&self) {
        assert!(self.summary.verdict == Verdict::Held, "{self}");
        cluster::remove_data(&self.folder);
    }

    /// Ends the test unless something was broken, and one of the words said of it has `words` in it: for tests of tests.
    ///
    /// # Panics
    /// When the run held or has shown nothing, or was broken in another way.
    pub fn assert_violated(&self, words: &str) {
        let found = self
            .summary
            .violations
            .iter()
            .any(|one| one.contains(words));
        assert!(found, "no violation says {words:?}\n{self}");
        cluster::remove_data(&self.folder);
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        let faults = summary.injected.iter().filter(|one| one.fired).count();
        writeln!(
            f,
            "{} on {}: {}, {} acknowledged writes, {faults} faults",
            summary.scenario, summary.server, summary.verdict, summary.acknowledged_writes
        )?;
        let said = [
            ("violated", &summary.violations),
            ("inconclusive", &summary.doubts),
        ];
        for (word, all) in said {
            for one in all.iter().take(LINES_MAX) {
                writeln!(f, "  {word}: {one}")?;
            }
            if all.len() > LINES_MAX {
                writeln!(f, "  {word}: {} more", all.len() - LINES_MAX)?;
            }
        }
        writeln!(f, "  again: {}", summary.replay)?;
        write!(f, "  report: {}", self.page().display())
    }
}
