//! One program of the control plane: its flags, and how it is run as a process of its own or inside this one.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::{Client, Config, Query};
use daemon::CancellationToken;
use k8s_openapi::api::storage::v1::StorageClass;
use store::config::Parsed;
use tokio::process::Command;

/// Set for processes of ours: they end when we do, however we end.
pub(crate) const END_WITH_PARENT: &str = "MAINSTAY_END_WITH_PARENT";

/// Longest wait for one answer of an apiserver that may still be starting, and the pause before it is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Something to run, with its flags.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) flags: Vec<String>,
    /// Where its output goes when it is a process of its own.
    pub(super) log: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Store,
    Apiserver,
    Controllers,
    Scheduler,
    Node,
}

impl Role {
    /// The command of our binary.
    pub(super) fn command(self) -> &'static str {
        match self {
            Role::Store => "store",
            Role::Apiserver => "apiserver",
            Role::Controllers => "controllers",
            Role::Scheduler => "scheduler",
            Role::Node => "node",
        }
    }
}

impl Program {
    /// How to start it as a process. Its output goes to its log; its signals are its own, so that Ctrl-C comes to us alone.
    pub(super) fn process(&self, other_binary: Option<&Path>) -> Result<Command> {
        let mut command = match other_binary {
            Some(binary) => Command::new(binary),
            None => {
                let own = std::env::current_exe().context("cannot find our own program")?;
                let mut command = Command::new(own);
                command.arg(self.role.command());
                command
            }
        };
        command.args(&self.flags);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_flag_variable(key)) {
            command.env_remove(key);
        }
        command
            .env(END_WITH_PARENT, "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Opened for every start: the log goes on where it was.
    pub(super) fn log_file(&self) -> Result<(File, File)> {
        let file = OpenOptions::new().create(true).append(true).open(&self.log);
        let file = file.with_context(|| format!("cannot write {}", self.log.display()))?;
        let other = file.try_clone().context("cannot share the log")?;
        Ok((file, other))
    }

    /// Runs it inside this process until `stop`. That it ends before is an error.
    pub(super) async fn inside(self, stop: CancellationToken) -> Result<()> {
        let (flags, token) = (self.flags, stop.clone());
        match self.role {
            Role::Store => match store::Config::parse(flags, [])
                .map_err(|error| anyhow!(error.message()))?
            {
                Parsed::Run(config) => store::serve(*config, token).await,
                Parsed::Print(text) => bail!("these flags ask for a text and no store:\n{text}"),
            },
            Role::Apiserver => {
                apiserver::serve(apiserver::Config::parse_words(flags)?, token).await
            }
            Role::Controllers => {
                let options = controllers::Options::parse_words(flags)?;
                until_served(options.kubeconfig.as_ref(), &token).await?;
                controllers::serve(options, token).await
            }
            Role::Scheduler => {
                let options = scheduler::Options::parse_words(flags)?;
                until_served(options.kubeconfig.as_ref(), &token).await?;
                scheduler::serve(options, token).await
            }
            Role::Node => {
                let options = node::Options::parse_words(flags)?;
                until_served(&options.kubeconfig, &token).await?;
                node::serve(options, token).await
            }
        }?;
        if !stop.is_cancelled() {
            bail!("it ended by itself; the log may say why");
        }
        Ok(())
    }
}

/// Waits until the apiserver answers one of its clients and lets it read what the last of the first roles allows. A part that began before
/// would try again in pauses that grow.
async fn until_served(kubeconfig: &Path, stop: &CancellationToken) -> Result<()> {
    let client = Client::new(Config::from_kubeconfig(kubeconfig)?)?.with_timeout(ANSWER_TIMEOUT);
    let one = Query {
        limit: 1,
        ..Query::default()
    };
    let served = async {
        while client.list::<StorageClass>(&one).await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    stop.run_until_cancelled(served).await;
    Ok(())
}

/// etcd's variables would contradict the flags.
fn is_flag_variable(key: &std::ffi::OsStr) -> bool {
    key.to_str().is_some_and(|key| key.starts_with("ETCD_"))
}
