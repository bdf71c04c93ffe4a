//! Whole runs that prove the harness: what is broken is found, what shows nothing is said, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest time anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The code of a run that has shown nothing.
const SHOWN_NOTHING: i32 = 2;

/// What etcd logs once it serves.
const SERVES: &str = "ready to serve client requests";

/// A run keeps a machine busy: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Place {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Place {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Place {
            folder: tempfile::tempdir().unwrap(),
            _alone: alone,
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn command(&self, target: &str, scenario: &str, duration: &str) -> Command {
        let mut command = chaos();
        command
            .args(["run", "--seed", "11", "--target", target])
            .args(["--scenario", scenario, "--duration", duration, "--out"])
            .arg(self.out());
        command
    }

    fn run(&self, target: &str, scenario: &str, duration: &str) -> Run {
        Run::of(self.command(target, scenario, duration).output().unwrap())
    }

    /// Once more where the first run has shown nothing, as on a machine that was busy with something else.
    fn run_to_a_verdict(&self, target: &str, scenario: &str, duration: &str) -> Run {
        let first = self.run(target, scenario, duration);
        if first.code != SHOWN_NOTHING {
            return first;
        }
        fs::remove_dir_all(self.out()).unwrap();
        self.run(target, scenario, duration)
    }
}

fn chaos() -> Command {
    Command::new(env!("CARGO_BIN_EXE_chaos"))
}

struct Run {
    code: i32,
    text: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = [output.stdout, output.stderr].concat();
        Run {
            code: output.status.code().unwrap(),
            text: String::from_utf8(text).unwrap(),
        }
    }

    fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{}", self.text);
    }
}

/// Processes that have the folder in their command line, this harness aside.
fn servers_over(folder: &Path) -> usize {
    let data = folder.join("data").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&data)
        })
        .count()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_servers(folder: &Path, wanted: usize) {
    until(&format!("{wanted} servers"), || {
        servers_over(folder) == wanted
    });
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn etcd_loses_nothing_when_its_leader_is_killed() {
    let place = Place::new();
    let run = place.run_to_a_verdict("etcd", "kill-leader", "10s");
    run.assert_code(0);
    assert!(run.text.contains("(leader)"), "{}", run.text);
    let page = fs::read_to_string(place.out().join("report.html")).unwrap();
    assert!(page.contains("held") && page.contains("seed 11"));
    assert!(
        fs::read_to_string(place.out().join("junit.xml"))
            .unwrap()
            .contains("failures=\"0\"")
    );
    let again = Run::of(chaos().arg("check").arg(place.out()).output().unwrap());
    again.assert_code(0);
    wait_for_servers(&place.out(), 0);
}

#[test]
fn serializable_reads_passed_off_as_linearizable_are_found() {
    let place = Place::new();
    let run = place.run("etcd", "stale-reads", "10s");
    run.assert_code(1);
    let words = "what is called after something was answered comes after it";
    assert!(run.text.contains(words), "{}", run.text);
}

#[test]
fn a_fault_that_cannot_take_hold_is_no_success() {
    let place = Place::new();
    let run = place.run("etcd", "damage", "5s");
    run.assert_code(2);
    assert!(run.text.contains("did not fire"), "{}", run.text);
}

#[test]
fn a_target_without_the_commands_for_a_fault_is_no_success() {
    let place = Place::new();
    let file = place.folder.path().join("target.toml");
    let member =
        |name| format!("[[member]]\nname = \"{name}\"\nendpoint = \"http://127.0.0.1:1\"\n");
    let text = format!(
        "name = \"absent\"\nrecovery_seconds = 1\n{}{}",
        member("a"),
        member("b")
    );
    fs::write(&file, text).unwrap();
    let run = place.run(&file.display().to_string(), "kill-leader", "2s");
    run.assert_code(2);
}

#[test]
fn an_interrupted_run_ends_its_servers_and_is_no_success() {
    let place = Place::new();
    let mut command = place.command("etcd", "calm", "60s");
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_servers(&place.out(), 3);
    signal(&child, "-INT");
    let run = Run::of(child.wait_with_output().unwrap());
    run.assert_code(2);
    assert_eq!(servers_over(&place.out()), 0);
}

#[test]
fn servers_do_not_outlive_a_harness_that_was_killed() {
    let place = Place::new();
    let mut command = place.command("etcd", "calm", "60s");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_servers(&place.out(), 3);
    // Only a harness that has told its guard of a server waits until it serves.
    let log = place.out().join("logs/member-2.log");
    until("the last server serves", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains(SERVES))
    });
    signal(&child, "-KILL");
    child.wait().unwrap();
    wait_for_servers(&place.out(), 0);
}

#[test]
fn a_folder_that_holds_a_run_is_left_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.out()).unwrap();
    let history = place.out().join("history.jsonl");
    fs::write(&history, "precious").unwrap();
    place.run("etcd", "calm", "2s").assert_code(2);
    assert_eq!(fs::read_to_string(history).unwrap(), "precious");
}

#[test]
fn a_second_interruption_does_not_wait_for_anything() {
    let place = Place::new();
    let mut command = place.command("etcd", "calm", "60s");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_servers(&place.out(), 3);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    signal(&child, "-INT");
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("stopping")));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(2));
    wait_for_servers(&place.out(), 0);
}

#[test]
fn a_word_that_is_no_scenario_is_answered_with_those_there_are() {
    let place = Place::new();
    let run = place.run("etcd", "kill-leeder", "2s");
    run.assert_code(2);
    assert!(
        run.text.contains("kill-leader, kill-follower"),
        "{}",
        run.text
    );
    assert!(!place.out().exists());
}

#[test]
fn a_target_that_cannot_lose_its_power_is_no_success() {
    let place = Place::new();
    let run = place.run("etcd", "power-loss-all", "5s");
    run.assert_code(2);
    assert!(run.text.contains("they do not call libc"), "{}", run.text);
}

#[test]
fn a_selftest_without_planted_bugs_is_inconclusive_and_says_so() {
    let place = Place::new();
    let mut command = chaos();
    command
        .env_remove("MAINSTAY_PLANTED_BIN")
        .args(["selftest", "--seed", "3", "--histories", "2"])
        .args(["--only", "stale read,simulated histories", "--out"])
        .arg(place.out());
    let run = Run::of(command.output().unwrap());
    run.assert_code(2);
    for words in [
        "1 caught, 1 passed, 0 failed",
        "no program with planted bugs",
    ] {
        assert!(run.text.contains(words), "{}", run.text);
    }
}
