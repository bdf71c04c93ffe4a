//! `cargo xtask chaos`: every scenario on our own store, and on etcd what shows that the harness is awake.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::{setup, up, workspace};

/// Folder of what comes out, below the target folder.
const FOLDER: &str = "chaos-ci";
/// Seconds of faults for each scenario in CI: enough for one fault and its end.
const CI_SECONDS: u64 = 8;
/// Seeds of a night.
const SEEDS: u64 = 5;
/// Seconds of faults for each scenario and seed in a night: on ours, all seeds together make twenty minutes.
const NIGHT_OURS_SECONDS: u64 = 240;
const NIGHT_ETCD_SECONDS: u64 = 60;
/// In CI, etcd is only to show that faults and the judge of ours work on what is known to hold.
const ETCD_IN_CI: &str = "kill-leader,isolate-follower";
/// Clients of apiservers have to start more than those of a store, and have more that can break.
const APISERVERS: &str = "kubernetes";
const APISERVERS_CI_SECONDS: u64 = 20;
/// Must be found violated: a judge that passes them is asleep. The first is one of a store, the second of a control plane.
const CANARY: &str = "stale-reads";
const CONTROL_PLANE_CANARY: &str = "many-leaders";
/// Seeds are short enough to be typed again.
const SEED_BOUND: u64 = 1_000_000;
/// The exit codes of `chaos`.
const HELD: i32 = 0;
const VIOLATED: i32 = 1;
const INCONCLUSIVE: i32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Profile {
    Ci,
    Nightly,
}

struct Session {
    program: PathBuf,
    folder: PathBuf,
    failed: Vec<String>,
}

/// From the command line: `[--profile ci|nightly] [--seed N]`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (profile, seed) = parse(arguments)?;
    setup::toolset()?;
    setup::peers()?;
    up::build(&["mainstay", "chaos"])?;
    let started = Instant::now();
    let folder = workspace::target_dir()?.join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let mut session = Session {
        program: workspace::program("chaos")?,
        folder,
        failed: Vec::new(),
    };
    println!(
        "[chaos] seed {seed}; again with: cargo xtask chaos --profile {} --seed {seed}",
        name(profile)
    );
    match profile {
        Profile::Ci => session.ci(seed)?,
        Profile::Nightly => session.night(seed)?,
    }
    let seconds = started.elapsed().as_secs();
    println!(
        "[chaos] {seconds} s; reports are below {}",
        session.folder.display()
    );
    ensure!(
        session.failed.is_empty(),
        "chaos: {} (seed {seed})",
        session.failed.join("; ")
    );
    Ok(())
}

fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Ci => "ci",
        Profile::Nightly => "nightly",
    }
}

fn parse(arguments: &[String]) -> Result<(Profile, u64)> {
    let (mut profile, mut seed) = (Profile::Ci, fresh_seed());
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let value = rest
            .next()
            .with_context(|| format!("{flag} needs a value"))?;
        match (flag.as_str(), value.as_str()) {
            ("--profile", "ci") => profile = Profile::Ci,
            ("--profile", "nightly") => profile = Profile::Nightly,
            ("--seed", number) => {
                seed = number
                    .parse()
                    .with_context(|| format!("{number} is no seed"))?;
            }
            _ => {
                bail!("cargo xtask chaos [--profile ci|nightly] [--seed N], and not {flag} {value}")
            }
        }
    }
    Ok((profile, seed))
}

/// Nobody chose it: it only has to differ from day to day.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_micros() as u64 % SEED_BOUND)
}

impl Session {
    fn ci(&mut self, seed: u64) -> Result<()> {
        self.expect(HELD, "ours", "all", (seed, CI_SECONDS))?;
        self.expect(HELD, "ours", APISERVERS, (seed + 1, APISERVERS_CI_SECONDS))?;
        self.expect(HELD, "etcd", ETCD_IN_CI, (seed, CI_SECONDS))?;
        self.canary(seed)
    }

    fn night(&mut self, seed: u64) -> Result<()> {
        self.canary(seed)?;
        let on_ours = (seed + 1, CI_SECONDS);
        self.expect(VIOLATED, "ours", CONTROL_PLANE_CANARY, on_ours)?;
        for also in ["selftest", "sim"] {
            self.also(also, seed)?;
        }
        for seed in seed..seed + SEEDS {
            self.expect(HELD, "ours", "all", (seed, NIGHT_OURS_SECONDS))?;
            self.expect(HELD, "etcd", "all", (seed, NIGHT_ETCD_SECONDS))?;
        }
        Ok(())
    }

    fn canary(&mut self, seed: u64) -> Result<()> {
        self.expect(VIOLATED, "etcd", CANARY, (seed, CI_SECONDS))
    }

    /// How many scenarios `all` is at most, as the program lists them.
    fn count_all(&self) -> Result<usize> {
        let output = Command::new(&self.program).arg("list").output()?;
        let text = String::from_utf8(output.stdout).context("chaos list printed no text")?;
        let names = text.lines().filter(|line| !line.starts_with(' '));
        let canaries = [CANARY, CONTROL_PLANE_CANARY];
        let count = names
            .filter(|line| !canaries.iter().any(|canary| line.starts_with(canary)))
            .count();
        ensure!(count > 0, "chaos lists no scenarios");
        Ok(count)
    }

    /// Runs scenarios and notes when the exit code is another than it has to be. What follows runs all the same. What has
    /// shown nothing, as on a machine that is busy with other things, is run once more; a violation is not.
    fn expect(
        &mut self,
        wanted: i32,
        target: &str,
        scenarios: &str,
        (seed, seconds_each): (u64, u64),
    ) -> Result<()> {
        let label = if wanted == HELD { target } else { "canary" };
        let mut out = self.folder.join(format!("{label}-{seed}"));
        let mut code = self.run(&out, target, scenarios, (seed, seconds_each))?;
        let unclear = inconclusive(&out);
        if code == INCONCLUSIVE && !unclear.is_empty() {
            let unclear = unclear.join(",");
            println!("[chaos] {unclear} showed nothing, and is run once more");
            out = self.folder.join(format!("{label}-{seed}-again"));
            code = self.run(&out, target, &unclear, (seed, seconds_each))?;
        }
        if code != wanted {
            let page = out.join("report.html");
            let words = format!(
                "{label}: exit code {code} and not {wanted}, see {}",
                page.display()
            );
            println!("[chaos] {words}");
            self.failed.push(words);
        }
        Ok(())
    }

    fn run(
        &self,
        out: &Path,
        target: &str,
        scenarios: &str,
        (seed, seconds_each): (u64, u64),
    ) -> Result<i32> {
        let count = match scenarios {
            "all" => self.count_all()?,
            _ => scenarios.split(',').count(),
        } as u64;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--target", target, "--scenario", scenarios])
            .args(["--duration", &format!("{}s", count * seconds_each)])
            .args(["--seed", &seed.to_string(), "--out"])
            .arg(out)
            .env("MAINSTAY_BIN", workspace::program("mainstay")?);
        run_to_the_end(&mut command)
    }

    /// A further command of the program that proves something, if the program has it.
    fn also(&mut self, subcommand: &str, seed: u64) -> Result<()> {
        let asked = Command::new(&self.program)
            .args([subcommand, "--help"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !asked.success() {
            println!("[chaos] this program has no {subcommand}");
            return Ok(());
        }
        let mut command = Command::new(&self.program);
        command.args([subcommand, "--seed", &seed.to_string()]);
        let code = run_to_the_end(&mut command)?;
        if code != HELD {
            self.failed.push(format!("{subcommand}: exit code {code}"));
        }
        Ok(())
    }
}

fn run_to_the_end(command: &mut Command) -> Result<i32> {
    println!("[chaos] {command:?}");
    let started = Instant::now();
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {command:?}"))?;
    println!("[chaos] done in {} s", started.elapsed().as_secs());
    status.code().context("it was ended by a signal")
}

/// The scenarios of a session that have shown nothing, by their own reports.
fn inconclusive(out: &Path) -> Vec<String> {
    let inner = fs::read_dir(out).into_iter().flatten().flatten();
    let folders = inner.map(|entry| entry.path()).chain([out.to_owned()]);
    let mut names: Vec<String> = folders
        .filter_map(|folder| fs::read_to_string(folder.join("report.json")).ok())
        .filter_map(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .filter(|report| report["verdict"] == "inconclusive")
        .filter_map(|report| report["scenario"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<(Profile, u64)> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn profile_and_seed_are_taken_and_anything_else_is_refused() {
        assert_eq!(
            of("--profile nightly --seed 7").unwrap(),
            (Profile::Nightly, 7)
        );
        assert_eq!(of("").unwrap().0, Profile::Ci);
        for line in ["--profile weekly", "--seed", "--seed x", "nightly"] {
            assert!(of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn only_what_has_shown_nothing_is_run_once_more() {
        let out = std::env::temp_dir().join(format!("xtask-unclear-{}", std::process::id()));
        for (name, verdict) in [("a", "held"), ("b", "inconclusive"), ("c", "violated")] {
            fs::create_dir_all(out.join(name)).unwrap();
            let report = format!(r#"{{"scenario": "{name}", "verdict": "{verdict}"}}"#);
            fs::write(out.join(name).join("report.json"), report).unwrap();
        }
        assert_eq!(inconclusive(&out), ["b"]);
        fs::remove_dir_all(out).unwrap();
    }
}
