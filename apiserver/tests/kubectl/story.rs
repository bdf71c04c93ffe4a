//! A story is a file of command lines; each line that begins with `$ ` is a step, indented lines below it are its input.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cluster::await_ready;
use super::normal::Normal;

/// Most seconds of one step.
const STEP_SECONDS_MAX: &str = "60";
/// Times that a step is told which is lost.
const TELLS_MAX: usize = 20;
/// Names a folder that stories find as `manifests` where they are told.
const MANIFESTS: &str = "MANIFESTS";
/// How much of a line a difference shows.
const SHOWN_CHARS_MAX: usize = 160;

pub(crate) struct Step {
    line: String,
    input: String,
}

pub(crate) struct Story {
    pub(crate) name: String,
    steps: Vec<Step>,
}

/// What a step said.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Said {
    line: String,
    exit: String,
    output: String,
}

impl Story {
    /// The stories of a folder.
    pub(crate) fn all(folder: &Path) -> Vec<Story> {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "story")
            })
            .collect();
        files.sort();
        files.iter().map(|path| Story::read(path)).collect()
    }

    fn read(path: &Path) -> Story {
        let mut steps: Vec<Step> = Vec::new();
        for line in fs::read_to_string(path).unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step {
                    line: command.to_owned(),
                    input: String::new(),
                });
            } else if let (Some(input), Some(step)) = (line.strip_prefix("  "), steps.last_mut()) {
                step.input.push_str(input);
                step.input.push('\n');
            }
        }
        Story {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            steps,
        }
    }
}

/// Where steps are run.
pub(crate) struct Shell {
    kubeconfig: PathBuf,
    programs: tempfile::TempDir,
    normal: Normal,
}

impl Shell {
    pub(crate) fn new(kubeconfig: &Path) -> Shell {
        let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let programs = tempfile::tempdir().unwrap();
        let found = Command::new("sh")
            .args(["-c", "command -v \"$0\"", &kubectl])
            .output()
            .unwrap();
        assert!(
            found.status.success(),
            "no kubectl: put one of 1.32 or later on the PATH or name it in KUBECTL"
        );
        let found = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(found.trim(), programs.path().join("kubectl")).unwrap();
        Shell {
            kubeconfig: fs::canonicalize(kubeconfig).unwrap(),
            programs,
            normal: Normal::new(),
        }
    }

    /// Runs the steps of a story one after another, in a folder and with a home of its own.
    pub(crate) fn tell(&self, story: &Story) -> Vec<Said> {
        let home = self.home();
        story
            .steps
            .iter()
            .map(|step| self.step(step, home.path()))
            .collect()
    }

    /// As [`Shell::tell`], and tells a step again that was lost. Says of each step whether it was.
    pub(crate) fn persist(&self, story: &Story, is_lost: fn(&Said) -> bool) -> Vec<(Said, bool)> {
        let home = self.home();
        let persist = |step| {
            for told in 0..TELLS_MAX {
                let mut said = self.step(step, home.path());
                if !is_lost(&said) {
                    said.leave_out_log();
                    return (said, told > 0);
                }
                await_ready(&self.kubeconfig);
            }
            panic!("{} was lost {TELLS_MAX} times", step.line);
        };
        story.steps.iter().map(persist).collect()
    }

    fn home(&self) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::copy(&self.kubeconfig, home.path().join("kubeconfig")).unwrap();
        if let Ok(folder) = std::env::var(MANIFESTS) {
            std::os::unix::fs::symlink(folder, home.path().join("manifests")).unwrap();
        }
        home
    }

    fn step(&self, step: &Step, home: &Path) -> Said {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("timeout")
            .args([STEP_SECONDS_MAX, "sh", "-c", &step.line])
            .current_dir(home)
            .env("HOME", home)
            .env("KUBECONFIG", home.join("kubeconfig"))
            .env("PATH", format!("{}:{path}", self.programs.path().display()))
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A step that does not read its input may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(step.input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Said {
            line: step.line.clone(),
            exit: output.status.code().unwrap_or(-1).to_string(),
            output: self.normal.of(&text).trim_end().to_owned(),
        }
    }
}

impl Said {
    pub(crate) fn failed(&self) -> bool {
        self.exit != "0"
    }

    pub(crate) fn output(&self) -> &str {
        &self.output
    }

    /// Leaves out what kubectl logs of failures that it got over.
    fn leave_out_log(&mut self) {
        if !self.failed() {
            let lines = self.output.lines();
            let lines: Vec<&str> = lines.filter(|line| !line.starts_with("LOG ")).collect();
            self.output = lines.join("\n");
        }
    }

    /// Whether it is a question, which may be asked again and has the same answer.
    pub(crate) fn only_reads(&self) -> bool {
        self.line.starts_with("kubectl get ")
    }

    /// The first thing in which what was said is not what is expected.
    pub(crate) fn difference(&self, said: &Said) -> Option<String> {
        if self == said {
            return None;
        }
        let mut expected = self.output.lines();
        let mut found = said.output.lines();
        loop {
            let (expected, found) = (expected.next(), found.next());
            if expected == found && expected.is_some() {
                continue;
            }
            let show = |line: Option<&str>| -> String {
                line.unwrap_or("the end")
                    .trim()
                    .chars()
                    .take(SHOWN_CHARS_MAX)
                    .collect()
            };
            return Some(format!(
                "exit {} for {}, `{}` for `{}`",
                said.exit,
                self.exit,
                show(found),
                show(expected)
            ));
        }
    }
}

/// The golden text of a story: each step as `$ line`, `exit N`, and its output indented.
pub(crate) fn golden(said: &[Said]) -> String {
    let mut text = String::new();
    for said in said {
        text.push_str(&format!("$ {}\nexit {}\n", said.line, said.exit));
        for line in said.output.lines() {
            text.push_str(format!("  {line}").trim_end());
            text.push('\n');
        }
    }
    text
}

/// What a golden text holds.
pub(crate) fn read_golden(text: &str) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            said.push(Said {
                line: command.to_owned(),
                exit: String::new(),
                output: String::new(),
            });
        } else if let Some(last) = said.last_mut() {
            match line.strip_prefix("exit ") {
                Some(exit) => last.exit = exit.to_owned(),
                None => {
                    last.output
                        .push_str(line.strip_prefix("  ").unwrap_or(line));
                    last.output.push('\n');
                }
            }
        }
    }
    for said in &mut said {
        said.output.truncate(said.output.trim_end().len());
    }
    said
}
