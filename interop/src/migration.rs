//! A migration by `mainstay ctl migrate`, as an operator runs it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use proto::etcdserverpb::HashKvRequest;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, Options, POLL_INTERVAL};
use crate::snapshots::{mainstay, restore, succeed, text};
use crate::target::Target;

/// Time a migration gets for one step of it.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(900);

/// The program at work; it is killed when this is dropped.
#[derive(Debug)]
pub struct Migration {
    child: Child,
    said: PathBuf,
    told: PathBuf,
}

impl Migration {
    /// Follows one cluster with another; what it prints is kept in the folder of the second.
    pub fn follow(from: &Cluster, to: &Cluster, flags: &[&str]) -> Result<Migration> {
        let (from_urls, to_urls) = (from.client_urls().join(","), to.client_urls().join(","));
        let ends = ["--from", &from_urls, "--to", &to_urls];
        Migration::start(to, &[&ends[..], flags].concat())
    }

    /// Runs the command with these arguments.
    pub fn start(to: &Cluster, arguments: &[&str]) -> Result<Migration> {
        let (said, told) = (to.dir().join("migrate.out"), to.dir().join("migrate.err"));
        let child = Command::new(mainstay()?)
            .args(["ctl", "migrate"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(&told)?)
            .spawn()?;
        Ok(Migration { child, said, told })
    }

    /// What it printed on its standard output and error.
    pub fn printed(&self) -> Result<(String, String)> {
        Ok((
            fs::read_to_string(&self.said)?,
            fs::read_to_string(&self.told)?,
        ))
    }

    /// Waits until words stand on its standard error.
    pub async fn wait_for(&mut self, words: &str) -> Result<()> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while Instant::now() < deadline {
            let (_, told) = self.printed()?;
            if told.contains(words) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} before it said {words:?}:\n{told}");
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!("it did not say {words:?}:\n{}", self.printed()?.1)
    }

    /// Asks for the cut-over, as an operator does.
    pub fn cut_over(&self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(
            pid,
            rustix::process::Signal::TERM,
        )?)
    }

    /// Waits for its end; with what it printed.
    pub async fn ended(&mut self) -> Result<(ExitStatus, String, String)> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let (said, told) = self.printed()?;
                return Ok((status, said, told));
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!("it did not end:\n{}", self.printed()?.1)
    }

    /// Waits for its end, which has to be a failure; what it said of it.
    pub async fn refused(&mut self) -> Result<String> {
        self.refused_with(1).await
    }

    /// The same with another exit code.
    pub async fn refused_with(&mut self, exit_code: i32) -> Result<String> {
        let (status, _, told) = self.ended().await?;
        ensure!(
            status.code() == Some(exit_code),
            "it ended with {status}: {told}"
        );
        let error = told.lines().find(|line| line.starts_with("Error: "));
        Ok(error
            .with_context(|| format!("no error in {told}"))?
            .to_owned())
    }
}

impl Drop for Migration {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster that is made from a snapshot of another, which may be written to meanwhile. It is not started.
pub fn copy_of(from: &Cluster, to: &Target, options: &Options) -> Result<Cluster> {
    let copy = Cluster::prepare(to, options)?;
    let (endpoint, file) = (from.members[0].client_url(), copy.dir().join("copy.db"));
    let arguments = [
        "ctl",
        "--endpoints",
        &endpoint,
        "snapshot",
        "save",
        text(&file),
    ];
    succeed(&mainstay()?, &arguments)?;
    restore(&copy, &file)?;
    fs::remove_file(&file)?;
    Ok(copy)
}

/// The revision at which a migration says that source and target are equal.
pub fn cut_over_revision(said: &str) -> Result<i64> {
    let rest = said.strip_prefix("Cut over at revision ");
    let revision = rest.and_then(|rest| rest.split_once(':'));
    let (revision, _) = revision.with_context(|| format!("no cut-over in {said:?}"))?;
    Ok(revision.parse()?)
}

/// Hash up to a revision, and compact revision, of every member of clusters that nobody writes to. Leases that end
/// meanwhile make later revisions, on each cluster at its own time.
pub async fn hashes(clusters: &[&Cluster], revision: i64) -> Result<Vec<(u32, i64)>> {
    let mut hashes = Vec::new();
    for cluster in clusters {
        for index in 0..cluster.members.len() {
            let mut client = cluster.client(index).await?;
            // So that the member has come to the end.
            client.get("none").await?;
            let answer = client
                .maintenance
                .hash_kv(HashKvRequest { revision })
                .await?
                .into_inner();
            hashes.push((answer.hash, answer.compact_revision));
        }
    }
    Ok(hashes)
}
