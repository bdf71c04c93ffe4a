//! The peer network of a cluster on loopback: every byte between members passes a relay that can fail on purpose.
//!
//! A member has one peer URL for all others, because its identity is derived from it. So there is one listener, a
//! *front*, for each member, and the relay finds out which member dialled: the system lists who owns the socket at
//! the other end (see [`dialler`]). From then on both directions of the connection belong to links of their own.

pub mod dialler;
mod line;
mod link;
mod relay;

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::random::Random;

pub use dialler::Processes;
pub use line::Line;
pub use link::{Link, LinkCounts, LinkState};

/// Connections one front holds at once; a further one is closed at once.
const CONNECTIONS_MAX: usize = 256;

/// What the relays share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// `links[from][to]`; the diagonal is never used.
    links: Vec<Vec<Link>>,
    processes: Arc<Processes>,
}

/// All links between the members, and the tasks that carry them.
#[derive(Debug)]
pub struct Mesh {
    shared: Arc<Shared>,
    fronts: Vec<u16>,
    tasks: JoinSet<()>,
}

impl Mesh {
    /// Listens on a front for each member. `real_ports` are where the members themselves listen for peers.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        real_ports: &[u16],
        processes: Arc<Processes>,
        seed: u64,
    ) -> io::Result<Mesh> {
        let members = real_ports.len();
        let row = || (0..members).map(|_| Link::default()).collect();
        let shared = Arc::new(Shared {
            links: (0..members).map(|_| row()).collect(),
            processes,
        });
        let mut fronts = Vec::new();
        let mut tasks = JoinSet::new();
        for (member, port) in real_ports.iter().enumerate() {
            let front = crate::ports::listen().await?;
            fronts.push(front.local_addr()?.port());
            let (port, carried) = (*port, shared.clone());
            let carry =
                move |stream, random| relay::carry(stream, (member, port), carried.clone(), random);
            tasks.spawn(serve(front, (seed, format!("relay-{member}")), carry));
        }
        Ok(Mesh {
            shared,
            fronts,
            tasks,
        })
    }

    /// The port that others dial to reach a member.
    pub fn front(&self, member: usize) -> u16 {
        self.fronts[member]
    }

    /// The link that carries bytes from one member to another.
    pub fn link(&self, from: usize, to: usize) -> &Link {
        &self.shared.links[from][to]
    }

    /// Both directions between each of `from` and each of `to`.
    pub fn pairs(&self, from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for a in from {
            for b in to.iter().filter(|b| *b != a) {
                pairs.extend([(*a, *b), (*b, *a)]);
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Makes every link whole again.
    pub fn heal(&self) {
        for link in self.shared.links.iter().flatten() {
            link.heal();
        }
    }

    /// Connections whose dialler could not be told, which were closed.
    pub fn strangers(&self) -> u64 {
        self.shared.processes.strangers()
    }

    /// Ends every listener and connection.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Accepts connections, and has each carried with a generator of its own, drawn from a seed for a purpose.
async fn serve<F>(
    front: TcpListener,
    (seed, purpose): (u64, String),
    carry: impl Fn(TcpStream, Random) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = front.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, most likely: others close soon.
                    tokio::task::yield_now().await;
                    continue;
                };
                if connections.len() >= CONNECTIONS_MAX {
                    continue;
                }
                number += 1;
                let random = Random::for_purpose(seed, &purpose, number);
                connections.spawn(carry(stream, random));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests;
