//! The texts of `--help` and of a wrong command line.

use std::fmt::Write;

use super::table::{FLAGS, Role};

pub(super) const USAGE: &str = "Usage:

  etcd [flags]
    Start an etcd server.

  etcd --version
    Show the version of etcd.

  etcd -h | --help
    Show the help information about etcd.

";

/// Every flag with an effect, its default and its meaning.
pub(super) fn flags() -> String {
    let mut text = String::from(USAGE);
    text.push_str("Flags (each also as a variable: --data-dir is ETCD_DATA_DIR):\n");
    for flag in FLAGS.iter().filter(|flag| flag.role == Role::Used) {
        write!(
            text,
            "  --{} '{}'\n    {}\n",
            flag.name, flag.default, flag.help
        )
        .expect("a String takes every text");
    }
    text.push_str("\nThese flags of etcd are taken and have no effect:\n");
    push_names(&mut text, |role| matches!(role, Role::Ignored(_)));
    text.push_str("\nThese flags of etcd are refused:\n");
    push_names(&mut text, |role| matches!(role, Role::Refused(_)));
    text
}

fn push_names(text: &mut String, wanted: impl Fn(Role) -> bool) {
    for flag in FLAGS.iter().filter(|flag| wanted(flag.role)) {
        let (Role::Ignored(why) | Role::Refused(why)) = flag.role else {
            continue;
        };
        writeln!(text, "  --{} ({why})", flag.name).expect("a String takes every text");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Rows of the table in docs/operating.md: a reason, and the flags it is for.
    fn rows(wanted: impl Fn(Role) -> Option<&'static str>) -> String {
        let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for flag in FLAGS {
            if let Some(why) = wanted(flag.role) {
                let names = by_reason.entry(why).or_default();
                names.push(format!("`{}`", flag.name));
            }
        }
        let rows = by_reason
            .iter()
            .map(|(why, names)| format!("| {} | {why} |\n", names.join(" ")));
        rows.collect()
    }

    #[test]
    fn the_operators_manual_has_every_flag_without_effect() {
        let manual = include_str!("../../../docs/operating.md");
        let ignored = rows(|role| match role {
            Role::Ignored(why) => Some(why),
            _ => None,
        });
        let refused = rows(|role| match role {
            Role::Refused(why) => Some(why),
            _ => None,
        });
        for table in [ignored, refused] {
            assert!(
                manual.contains(&table),
                "docs/operating.md should have\n{table}"
            );
        }
    }
}
