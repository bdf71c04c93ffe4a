//! Client libraries of others run the same script on both servers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options};
use interop::target::{Target, target_dir, workspace_dir};

/// Versions that work together: etcd3 was generated for the older protobuf.
const PYTHON_PACKAGES: &[&str] = &["etcd3==0.12.0", "protobuf==3.20.3"];

/// Names a Python that has them.
const PYTHON: &str = "MAINSTAY_PYTHON";

/// Most seconds that a script takes.
const SECONDS_MAX: &str = "300";

fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, complaints) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{printed}\n{complaints}",
        output.status
    );
    Ok(printed)
}

/// A script that is ended if what it waits for never comes.
fn script(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(SECONDS_MAX).arg(program);
    command
}

/// A Python with the etcd3 package: the one that `cargo xtask` has made, else one that is made once for each build folder.
fn python() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os(PYTHON) {
        return Ok(PathBuf::from(python));
    }
    let folder = target_dir().join("interop-python");
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if !ready.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .context("python3 with venv is wanted: apt-get install python3-venv")?;
        let install = ["-m", "pip", "install", "--quiet"];
        run(Command::new(&python).args(install).args(PYTHON_PACKAGES))?;
        std::fs::write(ready, "")?;
    }
    Ok(python)
}

/// The script over the etcd-client crate; built when it is not yet.
fn rust_script() -> Result<PathBuf> {
    let folder = target_dir().join("interop-etcd-client");
    let manifest = workspace_dir().join("interop/etcd-client/Cargo.toml");
    let build = [
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--manifest-path",
    ];
    run(Command::new(env!("CARGO"))
        .args(build)
        .arg(manifest)
        .arg("--target-dir")
        .arg(&folder)
        .env("PROTOC", env!("CARGO_BIN_EXE_protoc")))?;
    Ok(folder.join("release/etcd-client-script"))
}

/// Scripts ask once, so the members keep their leader.
async fn three(target: &Target) -> Result<Cluster> {
    let options = Options {
        in_memory: true,
        ..Options::steady_three()
    };
    Cluster::start(target, &options).await
}

async fn python_script_runs(target: Target, python: &Path) -> Result<()> {
    let cluster = three(&target).await?;
    for member in &cluster.members {
        let printed = run(script(python)
            .arg(workspace_dir().join("interop/scripts/python/script.py"))
            .args([member.client_port.to_string(), "3".to_owned()]))?;
        assert!(printed.contains("is through"), "{printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn python_etcd3_works_on_both() -> Result<()> {
    let python = python()?;
    python_script_runs(Target::etcd()?, &python).await?;
    python_script_runs(Target::mainstay()?, &python).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_etcd_client_works_on_both() -> Result<()> {
    let program = rust_script()?;
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = three(&target).await?;
        let printed = run(script(&program).args(cluster.client_urls()))?;
        assert!(printed.contains("is through"), "{printed}");
    }
    Ok(())
}

/// Runs a script that `cargo xtask` has made ready.
async fn script_runs_on_both(language: &str) -> Result<()> {
    let program = target_dir()
        .join("interop-clients")
        .join(language)
        .join("run");
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = three(&target).await?;
        let printed = run(script(&program).args(cluster.client_urls()))?;
        assert!(printed.contains("is through"), "{printed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Go; cargo xtask interop runs it where that is there"]
async fn go_works_on_both() -> Result<()> {
    script_runs_on_both("go").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Node; cargo xtask interop runs it where that is there"]
async fn node_works_on_both() -> Result<()> {
    script_runs_on_both("node").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Java and Maven; cargo xtask interop runs it where they are there"]
async fn java_works_on_both() -> Result<()> {
    script_runs_on_both("java").await
}
