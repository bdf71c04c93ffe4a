//! Client libraries in languages that not every machine has: their scripts are made ready where they can be, and what is
//! missing is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{Run, exists};
use crate::workspace;

/// A script of `interop/scripts` and what it takes to run it.
struct Language {
    /// Folder of the script, and the middle of its test's name.
    name: &'static str,
    library: &'static str,
    /// Programs that have to be there, and the Debian packages that bring them.
    programs: &'static [&'static str],
    packages: &'static str,
    /// Brings the script into a folder and gives the command that runs it there.
    prepare: fn(&Path, &Path) -> Result<String>,
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "go",
        library: "clientv3 and its concurrency package",
        programs: &["go"],
        packages: "golang-go",
        prepare: go,
    },
    Language {
        name: "node",
        library: "etcd3 of Node",
        programs: &["node", "npm"],
        packages: "nodejs npm",
        prepare: node,
    },
    Language {
        name: "java",
        library: "jetcd",
        programs: &["java", "mvn"],
        packages: "default-jdk-headless maven",
        prepare: java,
    },
];

/// Seconds after which fetching packages is given up.
const FETCH_SECONDS_MAX: &str = "600";

/// Older ones cannot fetch the Go that the client library wants.
const GO_MINOR_MIN: u32 = 21;

/// Makes ready what can be, and returns the names of the tests that can run.
pub(crate) fn tests() -> Result<Vec<String>> {
    let mut tests = Vec::new();
    for language in &LANGUAGES {
        match prepare(language) {
            Ok(()) => tests.push(format!("{}_works_on_both", language.name)),
            Err(why) => println!("[xtask] not tried: {}: {why:#}", language.library),
        }
    }
    Ok(tests)
}

/// The kubectl that the stories of the apiserver are told with. It is built from upstream's module, for its words change with
/// every release.
pub(crate) fn kubectl() -> Result<PathBuf> {
    const STAMP: &str = "-s -w -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitVersion=v1.36.3";
    if !exists("go") {
        bail!("there is no go, which builds it; install it with: apt-get install golang-go");
    }
    check_go()?;
    let folder = workspace::target_dir()?.join("interop-clients");
    fs::create_dir_all(&folder)?;
    let program = folder.join("kubectl");
    let source = workspace::root().join("interop/scripts/kubectl");
    let place = |path: &Path| path.display().to_string();
    fetch("go")
        .env("CGO_ENABLED", "0")
        .args([
            "build",
            "-C",
            &place(&source),
            "-ldflags",
            STAMP,
            "-o",
            &place(&program),
            ".",
        ])
        .run()?;
    Ok(program)
}

fn prepare(language: &Language) -> Result<()> {
    for program in language.programs {
        if !exists(program) {
            bail!(
                "there is no {program}; install it with: apt-get install {}",
                language.packages
            );
        }
    }
    let source = workspace::root()
        .join("interop/scripts")
        .join(language.name);
    let folder = workspace::target_dir()?
        .join("interop-clients")
        .join(language.name);
    fs::create_dir_all(&folder)?;
    let command = (language.prepare)(&source, &folder).context("it cannot be made ready")?;
    let run = folder.join("run");
    fs::write(&run, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A program that may wait for a network.
fn fetch(program: &str) -> Run {
    Run::new("timeout").args([FETCH_SECONDS_MAX, program])
}

fn check_go() -> Result<()> {
    let version = Command::new("go").args(["env", "GOVERSION"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let minor = version
        .strip_prefix("go1.")
        .and_then(|rest| rest.split('.').next());
    let minor: Option<u32> = minor.and_then(|minor| minor.parse().ok());
    if minor.is_none_or(|minor| minor < GO_MINOR_MIN) {
        bail!("{version} is too old; 1.{GO_MINOR_MIN} or newer is wanted");
    }
    Ok(())
}

fn go(source: &Path, folder: &Path) -> Result<String> {
    check_go()?;
    let script = folder.join("script");
    let place = |path: &Path| path.display().to_string();
    fetch("go")
        .args(["build", "-C", &place(source), "-o", &place(&script), "."])
        .run()?;
    Ok(place(&script))
}

fn node(source: &Path, folder: &Path) -> Result<String> {
    for file in ["package.json", "script.js"] {
        fs::copy(source.join(file), folder.join(file))?;
    }
    let place = folder.display().to_string();
    fetch("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            &place,
        ])
        .run()?;
    Ok(format!("node {place}/script.js"))
}

fn java(source: &Path, folder: &Path) -> Result<String> {
    let list: PathBuf = folder.join("classpath");
    let pom = source.join("pom.xml").display().to_string();
    let to_list = format!("-Dmdep.outputFile={}", list.display());
    fetch("mvn")
        .args([
            "-q",
            "-B",
            "-f",
            &pom,
            "dependency:build-classpath",
            &to_list,
        ])
        .run()?;
    let classes = fs::read_to_string(&list)?;
    let script = source.join("Script.java");
    Ok(format!(
        "java -cp '{}' {}",
        classes.trim(),
        script.display()
    ))
}
