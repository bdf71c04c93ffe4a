//! The GitHub Action's own shell steps, run with the variables that GitHub would set.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A runner's files and folders.
struct Runner {
    folder: TempDir,
}

/// What came of the steps.
struct Job {
    code: i32,
    said: String,
    outputs: String,
    summary: String,
}

impl Runner {
    fn new() -> Runner {
        Runner {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs both steps one after the other, as a workflow with these inputs would.
    fn run(&self, inputs: &[(&str, &str)]) -> Job {
        let action = Path::new(env!("CARGO_MANIFEST_DIR")).join("action");
        let text = fs::read_to_string(action.join("action.yml")).unwrap();
        let mut values = defaults(&text);
        for (name, value) in inputs {
            assert!(values.contains_key(*name), "the action has no input {name}");
            values.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut job = Job {
            code: 0,
            said: String::new(),
            outputs: String::new(),
            summary: String::new(),
        };
        for step in steps(&text) {
            let outputs = self.read("output");
            let mut command = Command::new("bash");
            // As GitHub runs `shell: bash`.
            command.args([
                "--noprofile",
                "--norc",
                "-eo",
                "pipefail",
                "-c",
                &step.script,
            ]);
            command.current_dir(self.folder.path());
            command.env("RUNNER_TEMP", self.folder.path());
            command.env("GITHUB_OUTPUT", self.path("output"));
            command.env("GITHUB_STEP_SUMMARY", self.path("summary"));
            for (name, value) in &step.environment {
                command.env(name, filled(value, &values, &outputs, &action));
            }
            let output = command.output().unwrap();
            job.said += &String::from_utf8_lossy(&output.stdout);
            job.said += &String::from_utf8_lossy(&output.stderr);
            job.code = output.status.code().unwrap();
            if job.code != 0 {
                break;
            }
        }
        job.outputs = self.read("output");
        job.summary = self.read("summary");
        job
    }
}

struct Step {
    environment: Vec<(String, String)>,
    script: String,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The inputs and what they are when nobody says.
fn defaults(text: &str) -> BTreeMap<String, String> {
    let inputs = text.split("\ninputs:\n").nth(1).unwrap();
    let inputs = inputs.split("\noutputs:\n").next().unwrap();
    let mut name = String::new();
    let mut values = BTreeMap::new();
    for line in inputs.lines() {
        if indent(line) == 2 {
            name = line.trim().trim_end_matches(':').to_owned();
        } else if let Some(value) = line.trim().strip_prefix("default: ") {
            values.insert(name.clone(), value.trim_matches('"').to_owned());
        }
    }
    values
}

/// The steps that have a script of their own.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for step in text.split("\n    - name: ").skip(1) {
        let Some((head, script)) = step.split_once("      run: |\n") else {
            continue;
        };
        let environment = head.split("      env:\n").nth(1).unwrap_or_default();
        let environment = environment.lines().filter(|line| indent(line) == 8);
        let lines = script
            .lines()
            .map(|line| line.strip_prefix("        ").unwrap_or_default());
        steps.push(Step {
            environment: environment
                .map(|line| line.trim().split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            script: lines.collect::<Vec<&str>>().join("\n"),
        });
    }
    assert_eq!(
        steps.len(),
        2,
        "the action has other steps than its test knows"
    );
    steps
}

/// A value with what stands in `${{ }}` put in.
fn filled(value: &str, inputs: &BTreeMap<String, String>, outputs: &str, action: &Path) -> String {
    let mut filled = String::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once("${{ ") {
        let (expression, after) = behind.split_once(" }}").unwrap();
        filled += before;
        filled += &match expression {
            "github.action_path" => action.display().to_string(),
            "steps.build.outputs.program" => {
                let line = outputs
                    .lines()
                    .find_map(|line| line.strip_prefix("program="));
                line.unwrap().to_owned()
            }
            other => inputs[other.strip_prefix("inputs.").unwrap()].clone(),
        };
        rest = after;
    }
    filled + rest
}

/// The code of a run that has shown nothing.
const SHOWN_NOTHING: i32 = 2;

/// Once more where the first run has shown nothing, as on a machine that was busy with something else.
fn run_to_a_verdict(inputs: &[(&str, &str)]) -> (Runner, Job) {
    let runner = Runner::new();
    let job = runner.run(inputs);
    if job.code != SHOWN_NOTHING {
        return (runner, job);
    }
    let runner = Runner::new();
    let job = runner.run(inputs);
    (runner, job)
}

#[test]
fn a_run_that_holds_passes_and_leaves_report_and_replay_line() {
    let (runner, job) = run_to_a_verdict(&[
        ("program", env!("CARGO_BIN_EXE_chaos")),
        ("scenario", "kill-leader"),
        ("duration", "6s"),
        ("seed", "11"),
    ]);
    assert_eq!(job.code, 0, "{}", job.said);
    let line = "chaos run --target etcd --scenario kill-leader --duration 6s --seed 11";
    assert!(job.outputs.contains("verdict=held\n"), "{}", job.outputs);
    assert!(job.outputs.contains(line), "{}", job.outputs);
    assert!(job.summary.contains("### chaos: held"), "{}", job.summary);
    assert!(job.summary.contains(line), "{}", job.summary);
    for file in ["chaos-run/report.html", "chaos-run/junit.xml", "chaos.log"] {
        assert!(runner.path(file).is_file(), "{file} is missing");
    }
}

#[test]
fn a_violation_fails_the_job_and_its_summary_says_what_was_broken() {
    let (runner, job) = run_to_a_verdict(&[
        ("program", env!("CARGO_BIN_EXE_chaos")),
        ("scenario", "stale-reads"),
        ("duration", "6s"),
    ]);
    assert_eq!(job.code, 1, "{}", job.said);
    assert!(
        job.outputs.contains("verdict=violated\n"),
        "{}",
        job.outputs
    );
    assert!(
        job.summary.contains("### chaos: violated"),
        "{}",
        job.summary
    );
    assert!(
        job.summary.contains("  violated: broken: "),
        "{}",
        job.summary
    );
    assert!(job.summary.contains("--seed "), "{}", job.summary);
    assert!(runner.path("chaos-run/report.html").is_file());
}

#[test]
fn a_run_that_cannot_be_made_fails_the_job_and_its_summary_says_why() {
    let runner = Runner::new();
    let job = runner.run(&[
        ("program", env!("CARGO_BIN_EXE_chaos")),
        ("target", "etcd:/nowhere/etcd"),
    ]);
    assert_eq!(job.code, 2, "{}", job.said);
    assert!(
        job.outputs.contains("verdict=inconclusive\n"),
        "{}",
        job.outputs
    );
    assert!(job.summary.contains("/nowhere/etcd"), "{}", job.summary);
}

#[test]
fn a_program_that_is_not_there_fails_before_anything_runs() {
    let runner = Runner::new();
    let job = runner.run(&[("program", "/nowhere/chaos")]);
    assert_eq!(job.code, 2, "{}", job.said);
    assert!(!runner.path("chaos-run").exists());
}
