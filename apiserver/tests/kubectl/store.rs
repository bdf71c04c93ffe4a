//! What an apiserver keeps its objects in: one stock etcd, or three members of our own.

use std::path::Path;
use std::process::Command;

use super::process::{Process, mainstay};
use crate::ports::free_port;

/// Names the store that the stories are told on: `etcd`, which it is without it, or `mainstay`.
const STORE: &str = "KUBECTL_STORIES_STORE";
/// Until a leader is taken for lost it may be silent for so long.
const STEADY: &str = "--election-timeout=5000";
/// Members of a store of our own.
const MEMBERS: [&str; 3] = ["a", "b", "c"];

pub(crate) struct Store {
    pub(crate) members: Vec<Process>,
    /// Addresses for clients, with commas between them.
    pub(crate) endpoints: String,
}

impl Store {
    /// The store that whoever runs the test asks for.
    pub(crate) fn asked_for(folder: &Path) -> Store {
        match std::env::var(STORE).as_deref() {
            Err(_) | Ok("etcd") => Store::start(&["default"], folder, || Command::new("etcd")),
            // Nothing is broken there: one member leads all the time, also where the machine is busy.
            Ok("mainstay") => Store::start(&MEMBERS, folder, || {
                let mut command = mainstay("store");
                command.arg(STEADY);
                command
            }),
            Ok(other) => panic!("{STORE} is {other}, and there are etcd and mainstay"),
        }
    }

    pub(crate) fn ours(folder: &Path) -> Store {
        Store::start(&MEMBERS, folder, || mainstay("store"))
    }

    fn start(names: &[&str], folder: &Path, program: impl Fn() -> Command) -> Store {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let ports: Vec<(u16, u16)> = names.iter().map(|_| (free_port(), free_port())).collect();
        let join = |urls: Vec<String>| urls.join(",");
        let cluster = names.iter().zip(&ports);
        let cluster = join(
            cluster
                .map(|(name, (_, peer))| format!("{name}={}", url(*peer)))
                .collect(),
        );
        let members = names.iter().zip(&ports).map(|(name, (client, peer))| {
            let mut command = program();
            command
                .args(["--name", name])
                .arg("--data-dir")
                .arg(folder.join(name))
                .args(["--listen-client-urls", &url(*client)])
                .args(["--advertise-client-urls", &url(*client)])
                .args(["--listen-peer-urls", &url(*peer)])
                .args(["--initial-advertise-peer-urls", &url(*peer)])
                .args(["--initial-cluster", &cluster]);
            Process::start(command, *client)
        });
        let mut members: Vec<Process> = members.collect();
        members.iter_mut().for_each(Process::await_port);
        let endpoints = join(ports.iter().map(|(client, _)| url(*client)).collect());
        Store { members, endpoints }
    }
}
