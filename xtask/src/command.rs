//! Other programs: run with a line that says so, and an error that says which one failed.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Seconds after which fetching packages is given up.
const FETCH_SECONDS_MAX: &str = "600";
/// Pause before packages are fetched again.
pub(crate) const FETCH_PAUSE: Duration = Duration::from_secs(5);

/// A program to run. Its output goes to ours.
pub(crate) struct Run {
    command: Command,
    text: String,
}

impl Run {
    pub(crate) fn new(program: &str) -> Run {
        Run {
            command: Command::new(program),
            text: program.to_owned(),
        }
    }

    /// A program that waits for a network, and is ended when it waits for too long.
    pub(crate) fn fetching(program: &str) -> Run {
        Run::new("timeout").args([FETCH_SECONDS_MAX, program])
    }

    /// The cargo that runs us, at the root of the workspace.
    pub(crate) fn cargo() -> Run {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.current_dir(crate::workspace::root());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_our_package(name)) {
            command.env_remove(name);
        }
        Run {
            command,
            text: "cargo".to_owned(),
        }
    }

    pub(crate) fn args<I: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = I>) -> Run {
        for argument in arguments {
            self.text.push(' ');
            self.text.push_str(argument.as_ref());
            self.command.arg(argument.as_ref());
        }
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Run {
        self.command.env(key, value);
        self
    }

    /// Waits for the end. Says what runs, and how long it took when that was long.
    pub(crate) fn run(mut self) -> Result<()> {
        const WORTH_SAYING_SECONDS: u64 = 5;
        println!("[xtask] {}", self.text);
        let started = Instant::now();
        let status = self.command.stdin(Stdio::null()).status();
        let status = status.with_context(|| format!("cannot start {}", self.text))?;
        let seconds = started.elapsed().as_secs();
        if !status.success() {
            bail!("{} failed after {seconds} s ({status})", self.text);
        }
        if seconds >= WORTH_SAYING_SECONDS {
            println!("[xtask] done in {seconds} s");
        }
        Ok(())
    }

    /// Standard output of a program that has to succeed.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start {}", self.text))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed ({}): {}", self.text, output.status, said.trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("{} printed no text", self.text))
    }

    /// Becomes the program, so that signals and the exit code are its own. Returns only when that fails.
    pub(crate) fn become_it(mut self) -> anyhow::Error {
        use std::os::unix::process::CommandExt;
        println!("[xtask] {}", self.text);
        anyhow::Error::from(self.command.exec()).context(format!("cannot start {}", self.text))
    }
}

/// Does what a network can fail, so many times at most: who refuses now may answer after a pause.
pub(crate) fn with_retries(
    tries: u32,
    pause: Duration,
    attempt: impl Fn() -> Result<()>,
) -> Result<()> {
    for _ in 1..tries {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(why) => println!("[xtask] again in {} s: {why:#}", pause.as_secs()),
        }
        thread::sleep(pause);
    }
    attempt()
}

/// Whether a variable tells of this package, as cargo does to what it runs. Some build scripts ask for such names, and are built
/// anew, with all that is above them, when a cargo that was started by hand has others.
fn is_of_our_package(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a program of that name is on the search path.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
