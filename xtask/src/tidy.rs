//! The rules a compiler does not hold: who may import whom, one door per library, what is compiled once, and the shape of files.

mod features;
mod files;
mod imports;
mod sources;

use anyhow::{Result, bail};

/// What was found, each with the place and the rule.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl std::fmt::Display, rule: impl std::fmt::Display) {
        self.errors.push(format!("{place}: {rule}"));
    }

    fn warning(&mut self, place: impl std::fmt::Display, rule: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {rule}"));
    }
}

/// Prints what it finds; errors fail.
pub(crate) fn run() -> Result<()> {
    let findings = check()?;
    for warning in &findings.warnings {
        println!("[tidy] warning: {warning}");
    }
    for error in &findings.errors {
        println!("[tidy] error: {error}");
    }
    if !findings.errors.is_empty() {
        bail!("{} tidy errors", findings.errors.len());
    }
    println!("[tidy] the walls stand");
    Ok(())
}

fn check() -> Result<Findings> {
    let mut findings = Findings::default();
    imports::check(&crate::workspace::metadata()?, &mut findings)?;
    features::check(&mut findings)?;
    for file in files::tracked()? {
        file.check_text(&mut findings);
        if file.is_rust() {
            sources::check(&file, &mut findings);
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walls_stand() {
        let errors = check().unwrap().errors;
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }
}
