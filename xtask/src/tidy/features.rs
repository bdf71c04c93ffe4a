//! What programs are made of is what tests are made of, feature by feature; otherwise everything that stands on it is compiled twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Findings;
use crate::command::Run;

/// The choices of features of each package, and there may be two: one for this machine's tools, one for programs.
type Choices = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(findings: &mut Findings) -> Result<()> {
    let programs = choices("normal,build")?;
    let tests = choices("normal,build,dev")?;
    for (package, of_programs) in programs {
        let of_tests = tests.get(&package);
        if !of_tests.is_some_and(|of_tests| of_programs.is_subset(of_tests)) {
            let rule = "tests ask for other features of it than programs do: name the widest in benches/Cargo.toml";
            findings.error(package, rule);
        }
    }
    Ok(())
}

fn choices(edges: &str) -> Result<Choices> {
    let tree = Run::cargo().args(["tree", "--workspace", "--prefix", "none", "--edges", edges]);
    let told = tree.args(["--format", "{p}|{f}"]).output()?;
    Ok(read(&told))
}

fn read(tree: &str) -> Choices {
    let mut choices = Choices::new();
    for line in tree.lines() {
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        if let Some((package, features)) = line.split_once('|') {
            let of_package = choices.entry(package.to_owned()).or_default();
            of_package.insert(features.to_owned());
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_the_features_of_all_its_lines() {
        let choices = read("a v1.0.0|default,std\nb v2.0.0| (*)\na v1.0.0|std (*)\n\n");
        let of = |package| {
            choices[package]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("a v1.0.0"), ["default,std", "std"]);
        assert_eq!(of("b v2.0.0"), [""]);
    }
}
