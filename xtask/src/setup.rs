//! What building and testing need beside Rust: libclang and a C++ compiler, stock etcd and etcdctl, Python with a client, openssl.

use std::cell::Cell;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{FETCH_PAUSE, Run, exists, with_retries};
use crate::workspace;

/// Packages of Debian and its children, by what they bring.
const LIBCLANG: &str = "libclang-dev";
const COMPILER: &str = "g++";
const ETCD: &str = "etcd-server";
const ETCDCTL: &str = "etcd-client";
const PYTHON_VENV: &str = "python3-venv";
const OPENSSL: &str = "openssl";

/// How often apt-get is run until it succeeds: a mirror may be away, or somebody else may be reading the lists.
const APT_TRIES: u32 = 4;
/// Pause before it is run again.
const APT_PAUSE: Duration = Duration::from_secs(15);
/// How often pip is run until it succeeds, beside the retries of its own.
const PIP_TRIES: u32 = 2;

/// A Python folder of its own in the target folder.
pub(crate) struct PythonFolder {
    name: &'static str,
    packages: &'static [&'static str],
}

/// What the Python script of the interop tests imports. The client's generated code wants the older protobuf.
const ETCD_CLIENT_OF_PYTHON: PythonFolder = PythonFolder {
    name: "python",
    packages: &["etcd3==0.12.0", "protobuf==3.20.3"],
};

/// What the apiserver's tests import: Kubernetes' client, and what makes a gRPC client of a description.
pub(crate) const KUBERNETES_CLIENT: PythonFolder = PythonFolder {
    name: "python-kubernetes",
    packages: &[
        "kubernetes==37.0.2",
        "grpcio==1.85.1",
        "grpcio-tools==1.85.1",
    ],
};

/// What any build needs.
pub(crate) fn toolset() -> Result<()> {
    let mut packages = Vec::new();
    if find_libclang().is_none() {
        packages.push(LIBCLANG);
    }
    if !exists("c++") {
        packages.push(COMPILER);
    }
    install(&packages)?;
    if find_libclang().is_none() {
        bail!("libclang is missing: install {LIBCLANG} or set LIBCLANG_PATH to its folder");
    }
    Ok(())
}

/// What the interop tests need beside: etcd as the peer, etcdctl and Python as clients, openssl for requests of certificates.
pub(crate) fn peers() -> Result<()> {
    let mut packages = Vec::new();
    if !exists("etcd") {
        packages.push(ETCD);
    }
    if !exists("etcdctl") {
        packages.push(ETCDCTL);
    }
    if !exists("python3") || !has_venv() {
        packages.push(PYTHON_VENV);
    }
    if !exists("openssl") {
        packages.push(OPENSSL);
    }
    let etcd_comes = packages.contains(&ETCD);
    let served_before = etcd_answers();
    install(&packages)?;
    if etcd_comes && !served_before {
        stop_service();
    }
    python().map(drop)
}

pub(crate) fn everything() -> Result<()> {
    toolset()?;
    peers()?;
    println!("[xtask] everything is there");
    Ok(())
}

/// Where bindgen looks for the library.
fn find_libclang() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("LIBCLANG_PATH")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    places.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    for parent in ["/usr/lib", "/usr/lib/llvm"] {
        let folders = fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        for folder in folders.filter(|folder| folder.is_dir()) {
            places.push(folder.join("lib"));
            places.push(folder);
        }
    }
    places.into_iter().find(|place| holds_libclang(place))
}

fn holds_libclang(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| file.file_name())
        .any(|name| is_libclang(&name.to_string_lossy()))
}

/// Clang's C++ interface, `libclang-cpp.so.14`, has a similar name and is another library.
fn is_libclang(name: &str) -> bool {
    let versioned = name.starts_with("libclang-") && !name.starts_with("libclang-cpp");
    name == "libclang.so" || name.starts_with("libclang.so.") || versioned && name.contains(".so")
}

/// Installs with apt when that is possible, else says what to install.
fn install(packages: &[&str]) -> Result<()> {
    static FRESH_LISTS: OnceLock<()> = OnceLock::new();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !exists("apt-get") {
        bail!(
            "missing on this machine: {list} (Debian's names); there is no apt-get to install them"
        );
    }
    if !is_root()? {
        bail!("missing on this machine: run `sudo apt-get install {list}`, then try again");
    }
    println!("[xtask] installing {list}");
    let mut arguments = vec!["install", "--yes", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    // Lists that cannot be fetched are no error to apt, so they are fetched again when a package is not in them.
    let are_fresh = Cell::new(FRESH_LISTS.get().is_some());
    with_retries(APT_TRIES, APT_PAUSE, || {
        if !are_fresh.replace(false) {
            apt(["update", "-qq"].as_slice())?;
        }
        apt(&arguments)
    })?;
    FRESH_LISTS.get_or_init(|| ());
    Ok(())
}

/// Run level 1 keeps a package's service from being started.
fn apt(arguments: &[&str]) -> Result<()> {
    const PATIENT: [&str; 4] = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=5"];
    Run::new("apt-get")
        .args(PATIENT)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .run()
}

fn is_root() -> Result<bool> {
    Ok(Run::new("id").args(["-u"]).output()?.trim() == "0")
}

fn etcd_answers() -> bool {
    TcpStream::connect(("127.0.0.1", 2379)).is_ok()
}

/// Debian's package starts a server on the default port where there is systemd. It is not wanted: tests start their own.
fn stop_service() {
    if !exists("systemctl") {
        return;
    }
    for verb in ["stop", "disable"] {
        if let Err(error) = Run::new("systemctl").args([verb, "etcd"]).output() {
            println!("[xtask] note: {error:#}");
        }
    }
    if etcd_answers() {
        println!("[xtask] note: an etcd serves on port 2379, started by its package");
    }
}

fn has_venv() -> bool {
    Run::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .output()
        .is_ok()
}

/// The interpreter that has etcd's client.
pub(crate) fn python() -> Result<PathBuf> {
    python_with(&ETCD_CLIENT_OF_PYTHON)
}

/// The interpreter of a folder that has these packages; made when missing.
pub(crate) fn python_with(wanted: &PythonFolder) -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join(wanted.name);
    let interpreter = folder.join("bin").join("python");
    let done = folder.join("installed");
    let packages = wanted.packages.join("\n");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == packages) {
        return Ok(interpreter);
    }
    println!(
        "[xtask] making a Python folder with {}",
        wanted.packages.join(" and ")
    );
    let folder_text = folder
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    Run::new("python3")
        .args(["-m", "venv", folder_text])
        .run()?;
    let program = interpreter
        .to_str()
        .context("the target folder's name is not UTF-8")?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--timeout",
        "60",
    ];
    with_retries(PIP_TRIES, FETCH_PAUSE, || {
        Run::fetching(program)
            .args(install)
            .args(wanted.packages)
            .run()
    })?;
    fs::write(&done, packages).context("cannot write into the Python folder")?;
    Ok(interpreter)
}

#[cfg(test)]
mod tests {
    use super::is_libclang;

    #[test]
    fn the_library_is_told_from_its_neighbours() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so.1",
            "libclang-14.so",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclang-cpp14.so",
            "libclangAST.a",
            "libclang.a",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
