//! A running `mainstay up`, its processes by name, and kubectl against it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use interop::target::Target;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far above what anything needs, for machines with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Most seconds of one command, and of what it waits for.
const COMMAND_SECONDS_MAX: &str = "130";
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Nodes of the cluster.
pub(crate) const NODES: usize = 6;
/// What a server says, between two leaders of its store, of a write that may have been done or not. Nobody can promise more, and kubectl
/// does not send it again.
const UNCLEAR: [&str; 2] = [
    "the store is unavailable",
    "the store did not answer in time",
];
/// What kubectl says when it reaches no server, or one that ends before it has answered.
const CUT_OFF: [&str; 7] = [
    "EOF",
    "Unable to connect to the server",
    "broken pipe",
    "connection lost",
    "connection refused",
    "connection reset",
    "was refused",
];

/// Killed when the test fails, and all its processes end with it.
pub(crate) struct Up {
    process: Child,
    folder: TempDir,
}

/// Where commands of a test act.
pub(crate) struct Space<'a> {
    pub(crate) up: &'a Up,
    namespace: String,
}

/// What a command said, which failed or did not.
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) text: String,
}

impl Up {
    /// Waits until all nodes are ready.
    pub(crate) fn start(flags: &[&str]) -> Up {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("up.out")).unwrap();
        let program = Target::mainstay().unwrap().command();
        let process = Command::new(program.get_program())
            .args(["up", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        let up = Up {
            process: process.unwrap(),
            folder,
        };
        let from = Instant::now();
        let ready = getting(
            "nodes",
            "{.items[*].status.conditions[?(@.type==\"Ready\")].status}",
        );
        let default = Space {
            up: &up,
            namespace: "default".to_owned(),
        };
        default.until(&ready, |text| text.matches("True").count() == NODES);
        default.until(
            "get serviceaccount/default storageclass/local-path -o name",
            |_| true,
        );
        println!("ready after {:.1} s", from.elapsed().as_secs_f64());
        up
    }

    /// A namespace that is made.
    pub(crate) fn space(&self, namespace: &str) -> Space<'_> {
        let space = Space {
            up: self,
            namespace: namespace.to_owned(),
        };
        space.kubectl(&format!("create namespace {namespace}"));
        space.until("get serviceaccount/default -o name", |_| true);
        space
    }

    /// As an operator stops it.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.output());
    }

    /// The process of a part, as `controllers1`: the one that writes its log.
    pub(crate) fn process(&self, part: &str) -> Option<Pid> {
        let log = fs::canonicalize(self.log(part)).ok()?;
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut ids = processes.filter_map(|entry| {
            let writes = fs::read_link(entry.path().join("fd/1")).ok()? == log;
            writes.then(|| entry.file_name().to_str()?.parse().ok())?
        });
        ids.find_map(Pid::from_raw)
    }

    /// Ends a part with SIGKILL, and tells which process it was.
    pub(crate) fn kill(&self, part: &str) -> Pid {
        let process = self.process(part);
        let process = process.unwrap_or_else(|| panic!("{part} does not run"));
        kill_process(process, Signal::KILL).unwrap();
        process
    }

    /// Waits until a part runs again that was killed.
    pub(crate) fn await_another(&self, part: &str, killed: Pid) {
        let from = Instant::now();
        while self.process(part).is_none_or(|process| process == killed) {
            assert!(from.elapsed() < PATIENCE, "{part} is not started again");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Which of three processes holds a lease: the one whose log says so.
    pub(crate) fn leader(&self, kind: &str, holder: &str) -> String {
        let parts = (1..=3).map(|number| format!("{kind}{number}"));
        let mut leaders = parts.filter(|part| {
            fs::read_to_string(self.log(part)).is_ok_and(|log| log.contains(holder))
        });
        leaders
            .next()
            .unwrap_or_else(|| panic!("no log of {kind} names {holder}"))
    }

    fn log(&self, part: &str) -> PathBuf {
        self.folder.path().join("data").join(format!("{part}.log"))
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("up.out")).unwrap_or_default()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.output());
        }
        // Already gone after a clean stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Space<'_> {
    /// What kubectl says to a line, in which a shell's quotes count.
    pub(crate) fn try_kubectl(&self, line: &str, input: &str) -> Said {
        let home: &Path = self.up.folder.path();
        let mut child = Command::new("timeout")
            .args([COMMAND_SECONDS_MAX, "sh", "-c"])
            .arg(format!(
                "exec \"${{KUBECTL:-kubectl}}\" --namespace \"$SPACE\" {line}"
            ))
            .env("SPACE", &self.namespace)
            .env("HOME", home)
            .env("KUBECONFIG", home.join("data/kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let succeeded = output.status.success();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !succeeded {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        Said { succeeded, text }
    }

    /// What kubectl says once it is clear whether a line was done.
    pub(crate) fn certain(&self, line: &str, input: &str) -> Said {
        self.repeated(line, input, &UNCLEAR)
    }

    /// Sends a line again as long as kubectl fails with one of these texts.
    fn repeated(&self, line: &str, input: &str, again: &[&str]) -> Said {
        let from = Instant::now();
        let mut was_unclear = false;
        loop {
            let mut said = self.try_kubectl(line, input);
            said.succeeded |= is_done(line, &said.text, was_unclear);
            if said.succeeded || !said.has_any(again) || from.elapsed() > PATIENCE {
                return said;
            }
            was_unclear = true;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What kubectl prints.
    pub(crate) fn kubectl(&self, line: &str) -> String {
        let Said { succeeded, text } = self.certain(line, "");
        assert!(succeeded, "{}: {line}: {text}", self.namespace);
        text
    }

    /// As [`Space::kubectl`], while servers are killed: what was cut off is sent again too.
    pub(crate) fn kubectl_amid_kills(&self, line: &str) {
        let again = [UNCLEAR.as_slice(), CUT_OFF.as_slice()].concat();
        let Said { succeeded, text } = self.repeated(line, "", &again);
        assert!(succeeded, "{}: {line}: {text}", self.namespace);
    }

    /// As [`Space::kubectl`], for what must not be done twice: it is sent again only when a look says that it was not done.
    pub(crate) fn kubectl_once(&self, line: &str, was_done: impl Fn() -> bool) {
        let from = Instant::now();
        loop {
            let said = self.try_kubectl(line, "");
            if said.succeeded {
                return;
            }
            let is_again = said.has_any(&UNCLEAR) && from.elapsed() < PATIENCE;
            assert!(is_again, "{}: {line}: {}", self.namespace, said.text);
            thread::sleep(LOOK_AGAIN);
            if was_done() {
                return;
            }
        }
    }

    pub(crate) fn apply(&self, manifest: &str) {
        let Said { succeeded, text } = self.certain("apply -f -", manifest);
        assert!(succeeded, "{}: {text}\n{manifest}", self.namespace);
    }

    /// A path of an object or a list.
    pub(crate) fn field(&self, what: &str, path: &str) -> String {
        self.kubectl(&getting(what, path))
    }

    /// The words at a path of a list, in order.
    pub(crate) fn words(&self, what: &str, path: &str) -> Vec<String> {
        sorted(&self.field(what, path))
    }

    /// Asks until the answer is as it should be.
    pub(crate) fn until(&self, line: &str, holds: impl Fn(&str) -> bool) {
        let from = Instant::now();
        loop {
            let Said { succeeded, text } = self.try_kubectl(line, "");
            if succeeded && holds(&text) {
                return;
            }
            let namespace = &self.namespace;
            assert!(from.elapsed() < PATIENCE, "{namespace}: {line} says {text}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until a path of an object or a list is this.
    pub(crate) fn until_field(&self, what: &str, path: &str, value: &str) {
        self.until(&getting(what, path), |text| text == value);
    }

    /// Waits until there are events of all these reasons.
    pub(crate) fn until_events(&self, reasons: &[&str]) {
        self.until(&getting("events", "{.items[*].reason}"), |text| {
            let told = sorted(text);
            let is_told = |reason: &&str| told.iter().any(|event| event == reason);
            reasons.iter().all(is_told)
        });
    }

    pub(crate) fn until_rolled(&self, what: &str) {
        self.kubectl(&format!(
            "rollout status {what} --timeout={}s",
            PATIENCE.as_secs()
        ));
    }

    pub(crate) fn until_true(&self, what: &str, condition: &str) {
        let patience = PATIENCE.as_secs();
        self.kubectl(&format!(
            "wait {what} --for={condition} --timeout={patience}s"
        ));
    }
}

impl Said {
    fn has_any(&self, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.text.contains(text))
    }
}

/// Whether kubectl fails because a line has been done, which was not clear before: what it makes is there, or what it deletes is gone.
fn is_done(line: &str, text: &str, was_unclear: bool) -> bool {
    let is_there = text.contains("already exists");
    match line.split(' ').next() {
        // It tries a second version of the API by itself, and tells nothing of the first answer.
        Some("autoscale") => is_there,
        Some("create" | "expose") => was_unclear && is_there,
        Some("delete") => was_unclear && text.contains("(NotFound)"),
        _ => false,
    }
}

pub(crate) fn getting(what: &str, path: &str) -> String {
    format!("get {what} -o 'jsonpath={path}'")
}

pub(crate) fn sorted(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    words.sort();
    words
}
