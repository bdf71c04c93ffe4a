//! A cluster whose servers are killed one after the other: three members of our store, and two apiservers behind one address.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::cluster::{await_ready, words, write_kubeconfig, write_secrets};
use super::process::{Process, mainstay};
use super::relay;
use super::store::Store;
use super::story::Said;
use crate::ports::free_port;

/// Apiservers over the store.
const APISERVERS: usize = 2;
/// Time from the moment when everything listens again to the next kill.
const KILL_PAUSE: Duration = Duration::from_millis(500);
/// Time that a server is away.
const AWAY: Duration = Duration::from_millis(500);
/// A number from which the kills are drawn in another order.
const SEED: &str = "KUBECTL_STORIES_SEED";

/// What kubectl says of a connection that is lost, or of a server that has lost its store.
const LOST: [&str; 17] = [
    "EOF",
    "connection refused",
    "connection reset",
    "connection lost",
    "broken pipe",
    "Unable to connect to the server",
    "etcdserver: ",
    "the server was unable to return a response",
    "the server is currently unable to handle the request",
    "an error on the server",
    "InternalError",
    "request timed out",
    "transport error",
    "Timeout",
    "ServerTimeout",
    "TooManyRequests",
    "ServiceUnavailable",
];
/// What it says to who makes an object of a kind whose definition was accepted a moment ago and is not yet served. Who reads one that
/// was made is never told so.
const NOT_YET_SERVED: [&str; 3] = [
    "no matches for kind",
    "doesn't have a resource type",
    "could not find the requested resource",
];

/// Whether a step tells of servers that were not there, and not of what was asked.
pub(crate) fn is_lost(said: &Said) -> bool {
    let says = |words: &&str| said.output().contains(*words);
    said.failed()
        && (LOST.iter().any(says) || !said.only_reads() && NOT_YET_SERVED.iter().any(says))
}

pub(crate) struct Killed {
    pub(crate) kubeconfig: PathBuf,
    servers: Vec<Process>,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Killed {
    pub(crate) fn start() -> Killed {
        let folder = tempfile::tempdir().unwrap();
        write_secrets(folder.path());
        let store = Store::ours(folder.path());
        let mut servers = store.members;
        let mut ports = Vec::new();
        for _ in 0..APISERVERS {
            let port = free_port();
            let mut command = mainstay("apiserver");
            command.args(words(folder.path(), &store.endpoints, port));
            servers.push(Process::start(command, port));
            ports.push(port);
        }
        servers.iter_mut().for_each(Process::await_port);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let kubeconfig = write_kubeconfig(folder.path(), relay::start(&runtime, ports));
        await_ready(&kubeconfig);
        Killed {
            kubeconfig,
            servers,
            _runtime: runtime,
            _folder: folder,
        }
    }

    /// Kills one server after the other while something is done, and says how many it were.
    pub(crate) fn meanwhile<T>(&mut self, work: impl FnOnce() -> T) -> (T, usize) {
        let killer = Killer::start(std::mem::take(&mut self.servers));
        let done = work();
        let (servers, kills) = killer.end();
        self.servers = servers;
        (done, kills)
    }
}

struct Killer {
    end: mpsc::Sender<()>,
    thread: JoinHandle<(Vec<Process>, usize)>,
}

impl Killer {
    fn start(mut servers: Vec<Process>) -> Killer {
        let mut state: u64 = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
        println!("{SEED}={state}");
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut kills = 0;
            while ended.recv_timeout(KILL_PAUSE) == Err(RecvTimeoutError::Timeout) {
                let count = servers.len() as u64;
                let chosen = usize::try_from(next(&mut state) % count).unwrap();
                servers[chosen].kill();
                // When it has to end, what was killed is started all the same.
                let last = ended.recv_timeout(AWAY).is_ok();
                servers[chosen].start_again();
                servers[chosen].await_port();
                kills += 1;
                if last {
                    break;
                }
            }
            (servers, kills)
        });
        Killer { end, thread }
    }

    fn end(self) -> (Vec<Process>, usize) {
        // A killer that is gone has panicked, which its thread tells.
        let _ = self.end.send(());
        self.thread.join().unwrap()
    }
}

/// The next number of a sequence (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
