//! Apiservers on the members of a cluster: processes that can be started, frozen and ended as members can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tokio::time::Instant;

use super::process::Process;
use super::{Cluster, Ended, POLL_INTERVAL, STOP_TIMEOUT};
use crate::target::Program;

/// Apiservers of one cluster.
const APISERVERS: usize = 3;

/// One of them.
#[derive(Debug)]
pub(super) struct Apiserver {
    process: Process,
    port: u16,
}

impl Apiserver {
    pub(super) fn kill(&mut self) {
        self.process.kill();
    }
}

impl Cluster {
    /// Starts apiservers on the members. Whoever says `token` to them may do everything.
    ///
    /// # Errors
    /// When ports or files cannot be had, or a process cannot be started.
    pub async fn start_apiservers(
        &mut self,
        program: &Path,
        folder: &Path,
        token: &str,
    ) -> Result<()> {
        let files = folder.join(super::DATA_FOLDER).join("apiservers");
        std::fs::create_dir_all(&files)?;
        let tokens = files.join("tokens.csv");
        std::fs::write(&tokens, format!("{token},chaos,chaos,\"system:masters\"\n"))?;
        let stores = self.urls.join(",");
        for number in 0..APISERVERS {
            let port = crate::ports::free().await?;
            let data = files.join(apiserver_name(number));
            let flags = [
                ("--etcd-servers", stores.clone()),
                ("--secure-port", port.to_string()),
                ("--bind-address", "127.0.0.1".to_owned()),
                ("--advertise-address", "127.0.0.1".to_owned()),
                ("--cert-dir", data.display().to_string()),
                ("--token-auth-file", tokens.display().to_string()),
                ("--api-audiences", "chaos".to_owned()),
                ("--authorization-mode", "RBAC".to_owned()),
                ("--service-cluster-ip-range", "10.0.0.0/16".to_owned()),
            ];
            let program = Program {
                path: program.to_owned(),
                arguments: vec!["apiserver".to_owned()],
                flags: Vec::new(),
                environment: BTreeMap::new(),
                known: BTreeMap::new(),
                rejoins_emptied: false,
                calls_libc: false,
                short_log_flags: Vec::new(),
                answers_progress_truly: false,
            };
            let log = folder.join("logs");
            let log = log.join(format!("{}.log", apiserver_name(number)));
            self.apiservers.push(Apiserver {
                process: Process::new(&program, &flags, data, log),
                port,
            });
            self.start_apiserver(number)?;
        }
        Ok(())
    }

    /// How many apiservers there are.
    pub fn apiservers(&self) -> usize {
        self.apiservers.len()
    }

    /// Where clients reach the apiservers.
    pub fn apiserver_ports(&self) -> Vec<u16> {
        self.apiservers.iter().map(|one| one.port).collect()
    }

    /// Starts one again.
    ///
    /// # Errors
    /// When it runs, or cannot be started.
    pub fn start_apiserver(&mut self, number: usize) -> Result<()> {
        let id = self.apiserver(number)?.process.start(None)?;
        if let Some(guard) = &mut self.guard {
            guard.add(id);
        }
        Ok(())
    }

    fn apiserver(&mut self, number: usize) -> Result<&mut Apiserver> {
        let one = self.apiservers.get_mut(number);
        one.with_context(|| format!("there is no {}", apiserver_name(number)))
    }

    /// Ends one at once.
    ///
    /// # Errors
    /// When it cannot be ended, or had ended before.
    pub async fn kill_apiserver(&mut self, number: usize) -> Result<()> {
        self.apiserver(number)?.process.signal(Signal::KILL)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(ended) = self.apiserver_ended(number) {
                ensure!(ended == Ended::Killed, "it {ended} instead of being killed");
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        bail!("{} still runs", apiserver_name(number))
    }

    /// How one ended, if it has, or does not run.
    pub fn apiserver_ended(&mut self, number: usize) -> Option<Ended> {
        let process = &mut self.apiserver(number).ok()?.process;
        let id = process.id();
        let ended = process.ended()?;
        if let (Some(guard), Some(id)) = (&mut self.guard, id) {
            guard.remove(id);
        }
        Some(ended)
    }

    /// Freezes one.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn pause_apiserver(&mut self, number: usize) -> Result<()> {
        self.apiserver(number)?.process.pause().await
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_apiserver(&mut self, number: usize) -> Result<()> {
        self.apiserver(number)?.process.signal(Signal::CONT)
    }

    /// What one has logged since its last start.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn apiserver_log(&mut self, number: usize) -> Result<String> {
        self.apiserver(number)?.process.log_since_start()
    }
}

/// An apiserver's name.
pub(crate) fn apiserver_name(number: usize) -> String {
    format!("apiserver-{number}")
}

/// The program that apiservers are started from, if it is there.
pub(crate) fn apiserver_program() -> Option<PathBuf> {
    crate::target::Target::ours()
        .program
        .map(|program| program.path)
        .filter(|path| path.is_file())
}
