//! A `mainstay up --one-process` that runs, and a client of it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use client::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};

/// Far above what anything needs, for machines with much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Below the range from which the system takes ports for outgoing connections, and clear of those from which a start on an empty folder
/// takes its own, which other tests of this program make: 2379, 6443, 10250, 16443, 22379 and above.
const PORTS_FIRST: u16 = 12_000;
/// How many there are.
const PORTS: u16 = 4_000;
static PORTS_TAKEN: AtomicU16 = AtomicU16::new(0);

/// Killed when the test fails.
pub(crate) struct Running {
    process: Child,
    folder: PathBuf,
}

/// How it ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

impl Running {
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Running {
        remember_ports(folder);
        let output = File::create(folder.join("up.out")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_mainstay"))
            .args(["up", "--one-process", "--data-dir"])
            .arg(folder)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        Running {
            process: process.unwrap(),
            folder: folder.to_owned(),
        }
    }

    /// Asks again until it is so.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl AsyncFn(&Running) -> bool) {
        let from = Instant::now();
        loop {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.output());
            if self.kubeconfig().exists() && is_so(self).await {
                return;
            }
            let log = fs::read_to_string(self.folder.join("control-plane.log"));
            let log = log.unwrap_or_default();
            assert!(from.elapsed() < PATIENCE, "{what}: not there\n{log}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Config::from_kubeconfig(self.kubeconfig()).unwrap()).unwrap()
    }

    /// Processes that it started.
    #[allow(dead_code, reason = "not every test asks for them")]
    pub(crate) fn children(&self) -> Vec<String> {
        let id = self.process.id();
        let mut children = Vec::new();
        // Each thread lists those that it started itself.
        for thread in fs::read_dir(format!("/proc/{id}/task")).unwrap() {
            let thread = thread.unwrap().path();
            match fs::read_to_string(thread.join("children")) {
                Ok(text) => children.extend(text.split_whitespace().map(str::to_owned)),
                Err(error) => assert!(!thread.exists(), "{}: {error}", thread.display()),
            }
        }
        children
    }

    /// As an operator stops it.
    #[allow(dead_code, reason = "not every test stops it")]
    pub(crate) fn stop(self) -> Ended {
        let pid = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.ended()
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> Ended {
        let from = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(
                from.elapsed() < PATIENCE,
                "still running: {}",
                self.output()
            );
            std::thread::sleep(LOOK_AGAIN);
        };
        Ended {
            status,
            output: self.output(),
        }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("up.out")).unwrap_or_default()
    }
}

/// Ports that no other test is given, as a start before would have left them in the folder.
fn remember_ports(folder: &Path) {
    if folder.join("ports").exists() {
        return;
    }
    let [client, peer, apiserver, agents] = [(); 4].map(|()| free_port());
    for (file, text) in [
        ("ports", format!("{client} {peer}\n")),
        ("apiserver-ports", apiserver.to_string()),
        ("agent-port", agents.to_string()),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
}

/// A port that nobody listens on, and that no connection of another test is given before it is used.
fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let step = PORTS_TAKEN.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = PORTS_FIRST + (start + step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone after a clean stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
