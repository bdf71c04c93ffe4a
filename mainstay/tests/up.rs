//! `mainstay up` as an operator uses it: start, write, kill the leader, write again, stop, start again, read.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay");
/// Far above what is needed, for machines with much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A running `mainstay up`; killed when the test fails, and its replicas end with it.
struct Up {
    process: Child,
    folder: std::path::PathBuf,
}

impl Up {
    fn start(folder: &Path, run: u32) -> Up {
        let output =
            File::create(folder.join(format!("up{run}.out"))).expect("the test's own set-up");
        let process = Command::new(PROGRAM)
            .args(["up", "--data-dir"])
            .arg(folder.join("data"))
            .stdout(Stdio::from(
                output.try_clone().expect("the test's own set-up"),
            ))
            .stderr(Stdio::from(output))
            .spawn();
        let up = Up {
            process: process.expect("the test's own set-up"),
            folder: folder.to_owned(),
        };
        up.wait_for(run, "Ctrl-C stops everything.");
        up
    }

    fn output(&self, run: u32) -> String {
        fs::read_to_string(self.folder.join(format!("up{run}.out"))).expect("the test's own set-up")
    }

    fn wait_for(&self, run: u32, text: &str) {
        let what = || format!("{text:?} was not printed:\n{}", self.output(run));
        wait_until(&what, || self.output(run).contains(text));
    }

    fn leader(&self, run: u32) -> Pid {
        let output = self.output(run);
        let (_, rest) = output
            .split_once("kill -9 ")
            .expect("the leader's process is printed");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Pid::from_raw(digits.parse().expect("the test's own set-up"))
            .expect("the test's own set-up")
    }

    fn stop(mut self, run: u32) {
        kill_process(pid(&self.process), Signal::INT).expect("the test's own set-up");
        let status = self.process.wait().expect("the test's own set-up");
        assert!(status.success(), "{status}:\n{}", self.output(run));
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already gone after a clean stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(process.id().cast_signed()).expect("the test's own set-up")
}

fn wait_until(what: &dyn Fn() -> String, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "{}", what());
        sleep(LOOK_AGAIN);
    }
}

/// Runs `mainstay ctl` against the members that the folder names.
fn ctl(folder: &Path, words: &[&str]) -> Result<String, String> {
    let ports =
        fs::read_to_string(folder.join("data").join("ports")).expect("the test's own set-up");
    let endpoints = ports.lines().map(|line| {
        format!(
            "127.0.0.1:{}",
            line.split(' ').next().expect("the test's own set-up")
        )
    });
    let endpoints = endpoints.collect::<Vec<_>>().join(",");
    let output = Command::new(PROGRAM)
        .args(["ctl", "--endpoints", &endpoints])
        .args(words)
        .env_remove("ETCDCTL_ENDPOINTS")
        .output()
        .expect("the test's own set-up");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("the test's own set-up"))
    } else {
        Err(String::from_utf8(output.stderr).expect("the test's own set-up"))
    }
}

/// What `mainstay ctl` prints once it succeeds: a start, or the end of a leader, may leave a moment without one.
fn said(folder: &Path, words: &[&str]) -> String {
    let last = RefCell::new(Err(String::new()));
    wait_until(&|| format!("{words:?}: {:?}", last.borrow()), || {
        let answer = ctl(folder, words);
        let succeeded = answer.is_ok();
        *last.borrow_mut() = answer;
        succeeded
    });
    last.into_inner().expect("the last answer is a success")
}

#[test]
fn a_cluster_survives_its_leader_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder, 1);
    assert_eq!(said(folder, &["put", "before", "1"]), "OK\n");

    kill_process(up.leader(1), Signal::KILL).unwrap();
    up.wait_for(1, "was ended by signal 9; starting it again");
    assert_eq!(said(folder, &["put", "after", "2"]), "OK\n");
    said(folder, &["endpoint", "health", "--cluster"]);
    up.stop(1);

    let up = Up::start(folder, 2);
    let pairs = said(folder, &["get", "a", "c"]);
    assert_eq!(pairs, "after\n2\nbefore\n1\n");
    let members = said(folder, &["member", "list"]);
    assert_eq!(members.lines().count(), 3, "{members}");
    up.stop(2);
}

#[test]
fn a_replica_that_never_comes_up_is_an_error_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["up", "--store-only", "--data-dir"])
        .arg(folder.path())
        .args(["--", "--no-such-flag"])
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        errors.contains("flag provided but not defined: -no-such-flag"),
        "{errors}"
    );
}
