//! The matrix: a row for each thing that is known to be wrong or right, and what came of it.

use std::fmt;
use std::time::Duration;

use crate::verdict::Verdict;

/// What came of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// What is wrong was found.
    Caught,
    /// What is right passed.
    Passed,
    /// What is wrong was not found, or what is right was found wrong; and how.
    Failed(String),
    /// It could not be tried; and why.
    Unknown(String),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// What is wrong, or what is right.
    pub(super) name: String,
    /// In what it is.
    pub(super) place: String,
    /// What came of it.
    pub(super) found: Found,
    /// Operations until it was found; of what passed, all.
    pub(super) operations: u64,
    /// Which invariants were named.
    pub(super) named: String,
    /// How often it was tried; of mutators, in how many histories.
    pub(super) tries: u64,
    /// Time for all tries.
    pub(super) took: Duration,
}

impl Row {
    /// A row of something that was not run.
    pub(super) fn of(name: &str, found: Found) -> Row {
        Row {
            name: name.to_owned(),
            place: String::new(),
            found,
            operations: 0,
            named: String::new(),
            tries: 0,
            took: Duration::ZERO,
        }
    }

    /// What came of it in a word, and why it was not what it should have been.
    fn came(&self) -> (&'static str, Option<&str>) {
        match &self.found {
            Found::Caught => ("caught", None),
            Found::Passed => ("passed", None),
            Found::Failed(why) => ("FAILED", Some(why)),
            Found::Unknown(why) => ("UNKNOWN", Some(why)),
        }
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    rows: Vec<Row>,
}

impl Matrix {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }

    /// Held only when there is something wrong that was caught, something right that passed, and nothing else.
    pub(super) fn verdict(&self) -> Verdict {
        let verdicts = self.rows.iter().map(|row| match row.found {
            Found::Caught | Found::Passed => Verdict::Held,
            Found::Unknown(_) => Verdict::Inconclusive,
            Found::Failed(_) => Verdict::Violated,
        });
        let worst = verdicts.max().unwrap_or(Verdict::Inconclusive);
        let has = |found: Found| self.rows.iter().any(|row| row.found == found);
        if has(Found::Caught) && has(Found::Passed) {
            worst
        } else {
            worst.max(Verdict::Inconclusive)
        }
    }

    fn count(&self, is: impl Fn(&Found) -> bool) -> usize {
        self.rows.iter().filter(|row| is(&row.found)).count()
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:<26} {:<9} {:>10} {:>5} {:>7}  named",
            "what", "where", "found", "operations", "tries", "seconds"
        )?;
        for row in &self.rows {
            let Row {
                name,
                place,
                operations,
                named,
                tries,
                took,
                ..
            } = row;
            let (word, _) = row.came();
            let seconds = took.as_secs_f64();
            writeln!(
                f,
                "{name:<44} {place:<26} {word:<9} {operations:>10} {tries:>5} {seconds:>7.1}  {named}"
            )?;
        }
        // Last, where whoever sees only the end of a log finds it.
        for row in &self.rows {
            if let (word, Some(why)) = row.came() {
                writeln!(f, "\n{word} {} ({}): {why}", row.name, row.place)?;
            }
        }
        let seconds: f64 = self.rows.iter().map(|row| row.took.as_secs_f64()).sum();
        writeln!(
            f,
            "selftest {}: {} caught, {} passed, {} failed, {} unknown, {seconds:.0} s",
            self.verdict(),
            self.count(|found| *found == Found::Caught),
            self.count(|found| *found == Found::Passed),
            self.count(|found| matches!(found, Found::Failed(_))),
            self.count(|found| matches!(found, Found::Unknown(_))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(found: &[Found]) -> Matrix {
        let rows = found.iter().map(|found| Row::of("row", found.clone()));
        Matrix {
            rows: rows.collect(),
        }
    }

    #[test]
    fn all_that_is_wrong_caught_and_all_that_is_right_passed_is_a_success() {
        let matrix = matrix(&[Found::Caught, Found::Passed]);
        assert_eq!(matrix.verdict().exit_code(), 0);
    }

    #[test]
    fn one_thing_that_was_not_caught_fails_the_whole() {
        let missed = Found::Failed("held".to_owned());
        let matrix = matrix(&[Found::Caught, missed, Found::Passed]);
        assert_eq!(matrix.verdict().exit_code(), 1);
        assert!(matrix.to_string().contains("FAILED"));
    }

    #[test]
    fn one_thing_that_could_not_be_tried_makes_the_whole_inconclusive() {
        let unknown = Found::Unknown("no program".to_owned());
        let matrix = matrix(&[Found::Caught, Found::Passed, unknown]);
        assert_eq!(matrix.verdict().exit_code(), 2);
    }

    #[test]
    fn a_failure_is_not_hidden_by_what_could_not_be_tried() {
        let (unknown, failed) = (Found::Unknown(String::new()), Found::Failed(String::new()));
        assert_eq!(matrix(&[failed, unknown]).verdict().exit_code(), 1);
    }

    #[test]
    fn nothing_wrong_or_nothing_right_proves_nothing() {
        assert_eq!(matrix(&[]).verdict().exit_code(), 2);
        assert_eq!(matrix(&[Found::Caught]).verdict().exit_code(), 2);
        assert_eq!(matrix(&[Found::Passed]).verdict().exit_code(), 2);
    }
}
