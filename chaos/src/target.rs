//! What is broken: a program that is started here, or somebody's own cluster with commands for each fault.

mod etcd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Variable that names the server binary for the target `ours`.
pub const BINARY_VARIABLE: &str = "MAINSTAY_BIN";
const DEFAULT_BINARY: &str = "target/release/mainstay";

/// Time a target gets, unless it says otherwise, to serve again when nothing is broken any more, in seconds.
const RECOVERY_SECONDS: u64 = 30;

fn recovery_seconds() -> u64 {
    RECOVERY_SECONDS
}

/// A target, as a file or a name gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Shown in reports.
    pub name: String,
    /// A server that takes etcd's flags; three members of it are started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// The members of a cluster that runs already.
    #[serde(default, rename = "member", skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Hooks>,
    /// Time to serve again when nothing is broken any more, in seconds.
    #[serde(default = "recovery_seconds")]
    pub recovery_seconds: u64,
}

/// A server that takes etcd's flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// A path, or a name that is looked for in the search path.
    pub path: PathBuf,
    /// Before the flags.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Behind the flags every member gets.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Variables every member gets beside those of the harness.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Scenarios that are known to find it violated, with the reasons; `all` leaves them out and says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<String, String>,
    /// A member with a damaged log refuses to start and may join again with an emptied folder.
    #[serde(default)]
    pub rejoins_emptied: bool,
    /// Its file calls and looks at the clock go through libc, where a preloaded library can stand in between. Not so for
    /// programs in Go, which call the system themselves.
    #[serde(default)]
    pub calls_libc: bool,
    /// Flags that make it keep a log of some hundred entries at most, so that a member that was away needs a snapshot.
    #[serde(default)]
    pub short_log_flags: Vec<String>,
    /// It answers a progress request only when everything up to there was sent. etcd before 3.4.25 and 3.5.8 does not.
    #[serde(default)]
    pub answers_progress_truly: bool,
}

/// One member of a cluster that runs already, and what breaks it: lines for `sh -c`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// The member's name.
    pub name: String,
    /// Where clients reach it.
    pub endpoint: String,
    /// Starts it after `stop` or `kill`.
    pub start: Option<String>,
    /// Ends it in order.
    pub stop: Option<String>,
    /// Ends it at once.
    pub kill: Option<String>,
    /// Freezes it.
    pub pause: Option<String>,
    /// Ends `pause`.
    pub resume: Option<String>,
    /// Cuts it off from the other members.
    pub cut: Option<String>,
    /// Ends `cut`.
    pub heal: Option<String>,
}

impl Target {
    /// Reads a target: `ours`, `etcd`, `etcd:PATH`, or the path of a TOML file.
    ///
    /// # Errors
    /// When there is no such target, or its program is not there.
    pub fn parse(text: &str) -> Result<Target> {
        let target = match text {
            "ours" => Target::ours(),
            "etcd" => Target::etcd(),
            _ => match text.strip_prefix("etcd:") {
                Some(path) => Target::etcd_at(Path::new(path)),
                None => Target::from_file(Path::new(text))?,
            },
        };
        target.check()?;
        Ok(target)
    }

    /// Whether an answer to a progress request may be judged: the target says nothing before it has sent everything.
    pub fn answers_progress_truly(&self) -> bool {
        self.program
            .as_ref()
            .is_some_and(|program| program.answers_progress_truly)
    }

    /// Our own store, as another program.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn of_store(name: &str, path: PathBuf) -> Result<Target> {
        let target = Target::store(name, path);
        target.check()?;
        Ok(target)
    }

    /// Three members of the Mainstay that [`BINARY_VARIABLE`] names, or that was built last.
    pub fn ours() -> Target {
        let path = std::env::var_os(BINARY_VARIABLE)
            .map_or_else(|| PathBuf::from(DEFAULT_BINARY), PathBuf::from);
        Target::store("ours", path)
    }

    fn store(name: &str, path: PathBuf) -> Target {
        Target::of_program(
            name,
            Program {
                path,
                arguments: vec!["store".to_owned()],
                flags: Vec::new(),
                environment: BTreeMap::new(),
                known: BTreeMap::new(),
                rejoins_emptied: true,
                answers_progress_truly: true,
                calls_libc: true,
                short_log_flags: [
                    "--snapshot-count=100",
                    "--experimental-snapshot-catchup-entries=20",
                ]
                .map(str::to_owned)
                .to_vec(),
            },
        )
    }

    /// Three members of the etcd in the search path.
    pub fn etcd() -> Target {
        Target::etcd_at(Path::new("etcd"))
    }

    /// Three members of an etcd that lies elsewhere. It is asked for its version, since some have known bugs.
    pub fn etcd_at(path: &Path) -> Target {
        let minor = etcd::minor(path);
        Target::of_program(
            "etcd",
            Program {
                path: path.to_owned(),
                arguments: Vec::new(),
                flags: Vec::new(),
                environment: BTreeMap::new(),
                known: etcd::known(minor).collect(),
                rejoins_emptied: false,
                answers_progress_truly: etcd::answers_progress_truly(minor),
                calls_libc: false,
                short_log_flags: Vec::new(),
            },
        )
    }

    fn of_program(name: &str, program: Program) -> Target {
        Target {
            name: name.to_owned(),
            program: Some(program),
            members: Vec::new(),
            recovery_seconds: RECOVERY_SECONDS,
        }
    }

    fn from_file(path: &Path) -> Result<Target> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "{} is neither ours, etcd, etcd:PATH nor a file",
                path.display()
            )
        })?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.program {
            Some(program) => {
                ensure!(
                    self.members.is_empty(),
                    "a target has a program or members, not both"
                );
                ensure!(
                    find(&program.path).is_some(),
                    "the server {} is not there{}",
                    program.path.display(),
                    match self.name.as_str() {
                        "ours" => format!(": build it, or name it in {BINARY_VARIABLE}"),
                        "etcd" => ": install it, or give its path as etcd:PATH".to_owned(),
                        _ => String::new(),
                    }
                );
            }
            None if self.members.len() < 2 => {
                bail!("a target without a program needs at least two members")
            }
            None => {}
        }
        Ok(())
    }
}

/// Where a program is, by its path or by the search path.
fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_name_the_hooks_of_each_member() {
        let text = r#"
            name = "staging"
            recovery_seconds = 60
            [[member]]
            name = "a"
            endpoint = "http://10.0.0.1:2379"
            kill = "ssh a pkill -9 -x etcd"
            start = "ssh a systemctl start etcd"
            [[member]]
            name = "b"
            endpoint = "http://10.0.0.2:2379"
        "#;
        let target: Target = toml::from_str(text).unwrap();
        target.check().unwrap();
        assert_eq!(
            target.members[0].kill.as_deref(),
            Some("ssh a pkill -9 -x etcd")
        );
        assert_eq!(target.members[1].kill, None);
        assert_eq!(target.recovery_seconds, 60);
    }

    #[test]
    fn a_word_the_file_may_not_have_is_named() {
        let text = "name = \"x\"\n[[member]]\nname = \"a\"\nendpoint = \"e\"\nslay = \"rm\"";
        let error = toml::from_str::<Target>(text).unwrap_err().to_string();
        assert!(error.contains("slay"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Target::parse("etcd:/nowhere/etcd").unwrap_err().to_string();
        assert!(error.contains("/nowhere/etcd"), "{error}");
    }
}
