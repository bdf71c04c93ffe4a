//! What one component reaches one server through: a listener in front of the server's port that can be cut.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::link::Link;
use super::relay;

/// A way of one dialler to one port.
#[derive(Debug)]
pub struct Line {
    port: u16,
    /// There and back.
    links: Arc<(Link, Link)>,
    /// Ends with the line.
    _serving: JoinSet<()>,
}

impl Line {
    /// Listens in front of a port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(port: u16) -> io::Result<Line> {
        let front = crate::ports::listen().await?;
        let own = front.local_addr()?.port();
        let links = Arc::new((Link::default(), Link::default()));
        let carried = links.clone();
        let carry = move |stream, random| {
            let links = carried.clone();
            async move { relay::between(stream, port, (&links.0, &links.1), random).await }
        };
        let mut serving = JoinSet::new();
        // Nothing is drawn: a line is whole or cut.
        serving.spawn(super::serve(front, (0, String::new()), carry));
        Ok(Line {
            port: own,
            links,
            _serving: serving,
        })
    }

    /// Where to dial.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing pass, either way.
    pub fn cut(&self) {
        self.links.0.cut();
        self.links.1.cut();
    }

    /// Lets requests pass, and no answers.
    pub fn cut_back(&self) {
        self.links.1.cut();
    }

    /// Ends the cut.
    pub fn heal(&self) {
        self.links.0.heal();
        self.links.1.heal();
    }

    /// Pieces and connections that cuts have made wait.
    pub fn held(&self) -> u64 {
        self.links.0.counts().held + self.links.1.counts().held
    }
}
