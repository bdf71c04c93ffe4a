//! The files of the project, and what holds for all of them.

use anyhow::{Context, Result};

use super::Findings;
use crate::command::Run;
use crate::workspace;

/// Above this a file that is not text worth reading, or far too big, has slipped in.
const BYTES_MAX: usize = 256 * 1024;

/// Files that programs write.
const GENERATED: [&str; 1] = ["Cargo.lock"];

pub(super) struct File {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Every file that is, or would be, under version control and holds text.
pub(super) fn tracked() -> Result<Vec<File>> {
    let root = workspace::root()
        .to_str()
        .context("the workspace's name is not UTF-8")?;
    let listing = [
        "-C",
        root,
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listing = Run::new("git").args(listing).output()?;
    let mut files = Vec::new();
    for path in listing.lines() {
        let Ok(bytes) = std::fs::read(workspace::root().join(path)) else {
            // Deleted and not yet committed.
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(files)
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn check_text(&self, findings: &mut Findings) {
        if GENERATED.contains(&self.path.as_str()) {
            return;
        }
        if self.text.len() > BYTES_MAX {
            findings.error(&self.path, format!("more than {BYTES_MAX} bytes"));
        }
        for (number, line) in self.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                findings.error(
                    format!("{}:{}", self.path, number + 1),
                    "space at the line's end",
                );
            }
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            findings.error(&self.path, "no line end at the file's end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_ends_are_found() {
        let file = File {
            path: "a.md".to_owned(),
            text: "a \nb".to_owned(),
        };
        let mut findings = Findings::default();
        file.check_text(&mut findings);
        assert_eq!(
            findings.errors,
            [
                "a.md:1: space at the line's end",
                "a.md: no line end at the file's end"
            ]
        );
    }
}
