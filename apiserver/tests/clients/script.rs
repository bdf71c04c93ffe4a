//! A script that `cargo xtask` has made ready: it is run, and what it wants broken is broken.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::servers;

/// Most seconds that a script takes.
const SECONDS_MAX: &str = "300";
/// What a script prints when it is through.
const THROUGH: &str = "is through";

pub(crate) struct Script {
    pub(crate) command: Command,
}

/// What runs the scripts of a library.
pub(crate) fn program(library: &str) -> PathBuf {
    let run = servers::built()
        .join("interop-clients")
        .join(library)
        .join("run");
    assert!(
        run.is_file(),
        "there is no {}: cargo xtask test makes it",
        run.display()
    );
    run
}

impl Script {
    pub(crate) fn of(library: &str) -> Script {
        let mut command = Command::new("timeout");
        command.arg(SECONDS_MAX).arg(program(library));
        Script { command }
    }

    pub(crate) fn run(mut self, kubeconfig: &Path) {
        self.command.env("KUBECONFIG", kubeconfig);
        self.run_to(THROUGH);
    }

    /// Runs to a good end, before which it has to print that.
    pub(crate) fn run_to(mut self, last: &str) {
        let output = self.command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (printed, complaints) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && printed.contains(last),
            "{}\n{printed}\n{complaints}",
            output.status
        );
    }

    /// Whenever the script prints `fault: NAME`, does that, and says so on the script's input.
    pub(crate) fn run_with_faults(mut self, kubeconfig: &Path, mut fault: impl FnMut(&str)) {
        let complaints = tempfile::NamedTempFile::new().unwrap();
        let mut child = self
            .command
            .env("KUBECONFIG", kubeconfig)
            .env("CLIENTS_FAULTS", "asked")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut printed = String::new();
        let mut faults = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(name) = line.strip_prefix("fault: ") {
                fault(name);
                faults += 1;
                // A script that has ended by now says why in its status.
                let _ = input.write_all(b"done\n");
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        let status = child.wait().unwrap();
        println!("{printed}");
        let complaints = std::fs::read_to_string(complaints.path()).unwrap();
        assert!(
            status.success() && printed.contains(THROUGH),
            "{status}\n{printed}\n{complaints}"
        );
        assert!(faults > 0, "the script asked for no fault");
    }
}
