//! A second process that ends the members when this one dies without doing so itself.
//!
//! The guard reads process ids from a pipe whose other end only this process holds. When this process is killed, the
//! pipe ends, and the guard kills what is still on its list. Members are leaders of process groups, so their children
//! end with them. It is a shell, so that it is there for every program that uses this library.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Reads `+ID` and `-ID`; kills the process groups that are left when there is nothing more to read. One that has ended
/// meanwhile is no longer there.
const SCRIPT: &str = r#"
ids=" "
while read -r line; do
  id="${line#?}"
  case "$line" in
    +*) ids="$ids$id " ;;
    -*) case "$ids" in *" $id "*) ids="${ids%%" $id "*} ${ids#*" $id "}" ;; esac ;;
  esac
done
for id in $ids; do kill -s KILL -- "-$id"; done
"#;

/// A guard at work.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start() -> Result<Guard> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "chaos-guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting a shell that guards the members")?;
        let pipe = child.stdin.take();
        Ok(Guard { child, pipe })
    }

    pub(super) fn add(&mut self, id: u32) {
        self.tell('+', id);
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.tell('-', id);
    }

    fn tell(&mut self, sign: char, id: u32) {
        if let Some(pipe) = &mut self.pipe {
            // A guard that is gone guards nothing; the run goes on without it.
            writeln!(pipe, "{sign}{id}").ok();
        }
    }

    /// Lets the guard go.
    pub(super) fn end(mut self) {
        self.pipe = None;
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        command.arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn only_members_that_were_not_taken_off_the_list_are_killed() {
        let (mut kept, mut killed, mut last) = (sleeper(), sleeper(), sleeper());
        let mut guard = Guard::start().unwrap();
        for child in [&kept, &killed, &last] {
            guard.add(child.id());
        }
        guard.remove(kept.id());
        guard.end();
        assert!(!killed.wait().unwrap().success());
        assert!(!last.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}
