//! Which server program to start.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A server program that takes etcd's flags.
#[derive(Debug, Clone)]
pub struct Target {
    /// `etcd` or `mainstay`.
    pub name: &'static str,
    program: PathBuf,
    /// What stands before the flags.
    subcommand: Option<&'static str>,
}

impl Target {
    /// Real etcd, from the search path.
    pub fn etcd() -> Result<Target> {
        let program = in_path("etcd").context(
            "etcd is not installed; install it with: apt-get install etcd-server etcd-client",
        )?;
        Ok(Target {
            name: "etcd",
            program,
            subcommand: None,
        })
    }

    /// A newer etcd than the one of the search path: the program that `NEWER_ETCD_BIN` names.
    pub fn newer_etcd() -> Result<Target> {
        let program = std::env::var_os("NEWER_ETCD_BIN");
        let program = program.context("NEWER_ETCD_BIN does not name an etcd of 3.6")?;
        Ok(Target {
            name: "etcd",
            program: program.into(),
            subcommand: None,
        })
    }

    /// Our own server: the program that `MAINSTAY_BIN` names, else the release build's.
    pub fn mainstay() -> Result<Target> {
        let program = match std::env::var_os("MAINSTAY_BIN") {
            Some(path) => PathBuf::from(path),
            None => target_dir().join("release/mainstay"),
        };
        ensure!(
            program.is_file(),
            "{} is not there; build it with: cargo build --release -p mainstay",
            program.display()
        );
        Ok(Target {
            name: "mainstay",
            program,
            subcommand: Some("store"),
        })
    }

    /// The target with this name.
    pub fn named(name: &str) -> Result<Target> {
        match name {
            "etcd" => Target::etcd(),
            "mainstay" => Target::mainstay(),
            other => bail!("there is no target {other}; there are etcd and mainstay"),
        }
    }

    /// The program, ready for its flags.
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(self.subcommand);
        command
    }
}

/// Path of `etcdctl`.
pub fn etcdctl() -> Result<PathBuf> {
    in_path("etcdctl")
        .context("etcdctl is not installed; install it with: apt-get install etcd-client")
}

/// The workspace's build folder.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) => PathBuf::from(path),
        None => workspace_dir().join("target"),
    }
}

/// The workspace's root.
pub fn workspace_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies inside the workspace")
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Makes a test against each server of every function it is given, which takes its [`Target`].
#[macro_export]
macro_rules! on_both {
    ($($test:ident)*) => {
        mod mainstay {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::target::Target::mainstay()?).await
            })*
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::target::Target::etcd()?).await
            })*
        }
    };
}
