//! Notices that the leader's process has ended by its closed connections, long before its silence would tell.
//!
//! A killed process loses its connections at once, and its port refuses new ones. A leader that is paused, slow or cut off
//! keeps both, and is left to the election timeout. What is known here only lets voters disregard the lease of a leader;
//! everything else about votes is as ever, and no read rests on that lease.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::connector::Connector;

/// Members that may wait to be looked at; one that is dropped is left to the election timeout.
const CLOSED_MAX: usize = 16;
/// Time a port has to refuse a connection, and a voter to make sure of it.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// What opens an HTTP/2 connection, and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5): a living server answers.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A leader, and the term it led in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leadership {
    pub(super) leader: u64,
    pub(super) term: u64,
}

/// What this member does about the end of a leader. It does one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ballot {
    /// It wants to be elected in its place.
    Standing,
    /// It leaves that to a member that has asked it.
    Promised(u64),
}

/// What this member knows of the ends of others; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FailureDetector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Connections that each member has open to this one.
    connections: Mutex<BTreeMap<u64, usize>>,
    closed: mpsc::Sender<u64>,
    gone: watch::Sender<Option<Leadership>>,
    /// For the newest leadership that a ballot was cast for.
    ballot: Mutex<Option<(Leadership, Ballot)>>,
}

impl FailureDetector {
    /// The second part tells whose last connection has closed.
    pub(crate) fn new() -> (Self, mpsc::Receiver<u64>) {
        let (closed, inbox) = mpsc::channel(CLOSED_MAX);
        let inner = Inner {
            connections: Mutex::default(),
            closed,
            gone: watch::Sender::new(None),
            ballot: Mutex::default(),
        };
        (FailureDetector(Arc::new(inner)), inbox)
    }

    /// A member has opened a connection: it lives, whatever was known of it.
    pub(super) fn opened(&self, member: u64) {
        let mut connections = self.0.connections.lock();
        *connections.entry(member).or_default() += 1;
        self.0.gone.send_if_modified(|gone| {
            let is_it = gone.is_some_and(|gone| gone.leader == member);
            gone.take_if(|_gone| is_it).is_some()
        });
    }

    /// One of them has closed.
    pub(super) fn closed(&self, member: u64) {
        let mut connections = self.0.connections.lock();
        let Some(open) = connections.get_mut(&member) else {
            return;
        };
        *open -= 1;
        if *open == 0 {
            connections.remove(&member);
            // A full queue is full of the same news.
            self.0.closed.try_send(member).ok();
        }
    }

    /// Notes that a leader has ended, unless it has opened a connection meanwhile.
    pub(super) fn note_gone(&self, gone: Leadership) -> bool {
        let connections = self.0.connections.lock();
        if connections.contains_key(&gone.leader) {
            return false;
        }
        self.0.gone.send_replace(Some(gone));
        true
    }

    /// Whether the leader of this term is known to have ended.
    pub(super) fn is_gone(&self, term: u64) -> bool {
        self.0.gone.borrow().is_some_and(|gone| gone.term == term)
    }

    /// The same of the term before this one, which an election in this one is to replace.
    pub(super) fn is_gone_before(&self, term: u64) -> bool {
        term.checked_sub(1).is_some_and(|term| self.is_gone(term))
    }

    /// Whether this leader is known to have ended, once this member had the time to make sure of it.
    pub(super) async fn confirms(&self, gone: Leadership) -> bool {
        if self.0.connections.lock().contains_key(&gone.leader) {
            return false;
        }
        let mut known = self.0.gone.subscribe();
        let confirmed = known.wait_for(|known| *known == Some(gone));
        matches!(
            tokio::time::timeout(PROBE_TIMEOUT, confirmed).await,
            Ok(Ok(_))
        )
    }
}

/// So that those who notice the same end do not stand against one another.
impl FailureDetector {
    /// Stands in a leader's place; false when this member has done so before, or has promised not to.
    pub(super) fn stand(&self, gone: Leadership) -> bool {
        let mut ballot = self.0.ballot.lock();
        let is_first = ballot.is_none_or(|(cast_for, _)| cast_for != gone);
        if is_first {
            *ballot = Some((gone, Ballot::Standing));
        }
        is_first
    }

    /// Whether this member has not given way to another one meanwhile.
    pub(super) fn still_stands(&self, gone: Leadership) -> bool {
        *self.0.ballot.lock() == Some((gone, Ballot::Standing))
    }

    /// Stands no longer, so that another one can be promised that.
    pub(super) fn withdraw(&self, gone: Leadership) {
        let mut ballot = self.0.ballot.lock();
        ballot.take_if(|cast| *cast == (gone, Ballot::Standing));
    }

    /// Promises another member not to stand. One that stands itself gives way only if it `yields`.
    pub(super) fn promise(&self, gone: Leadership, to: u64, yields: bool) -> bool {
        let mut ballot = self.0.ballot.lock();
        let is_free = match *ballot {
            Some((cast_for, cast)) if cast_for == gone => match cast {
                Ballot::Standing => yields,
                Ballot::Promised(other) => other == to,
            },
            _ => true,
        };
        if is_free {
            *ballot = Some((gone, Ballot::Promised(to)));
        }
        is_free
    }
}

/// Whether nobody serves a peer URL any more: its port refuses connections, or closes them before a word. A silent port
/// says nothing.
pub(super) async fn is_closed(connector: &Connector, url: &str) -> bool {
    match tokio::time::timeout(PROBE_TIMEOUT, greet(connector, url)).await {
        Ok(Err(error)) => is_refusal(&error),
        Ok(Ok(())) | Err(_) => false,
    }
}

async fn greet(connector: &Connector, url: &str) -> io::Result<()> {
    let mut stream = connector.open_url(url).await?;
    stream.write_all(GREETING).await?;
    stream.read_u8().await.map(|_byte| ())
}

/// What a machine answers for a process that is not there; everything else may be the network.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const GONE: Leadership = Leadership { leader: 7, term: 3 };

    #[tokio::test]
    async fn the_last_closed_connection_of_a_member_is_news() {
        let (detector, mut closed) = FailureDetector::new();
        detector.opened(7);
        detector.opened(7);
        detector.closed(7);
        assert!(closed.try_recv().is_err());
        detector.closed(7);
        assert_eq!(closed.recv().await, Some(7));
    }

    #[tokio::test]
    async fn a_leader_with_an_open_connection_is_not_gone() {
        let (detector, _closed) = FailureDetector::new();
        detector.opened(7);
        assert!(!detector.note_gone(GONE) && !detector.confirms(GONE).await);
        detector.closed(7);
        assert!(detector.note_gone(GONE) && detector.confirms(GONE).await);
        assert!(detector.is_gone(3) && !detector.is_gone(2) && !detector.is_gone(4));
    }

    #[tokio::test]
    async fn a_leader_that_comes_back_lives() {
        let (detector, _closed) = FailureDetector::new();
        assert!(detector.note_gone(GONE));
        detector.opened(8);
        assert!(detector.is_gone(3));
        detector.opened(7);
        assert!(!detector.is_gone(3));
    }

    #[tokio::test]
    async fn what_only_another_one_says_is_not_confirmed() {
        let (detector, _closed) = FailureDetector::new();
        assert!(!detector.confirms(GONE).await);
    }

    #[tokio::test]
    async fn one_stands_or_promises_once_for_each_end() {
        let (detector, _closed) = FailureDetector::new();
        assert!(detector.stand(GONE) && !detector.stand(GONE));
        let next = Leadership { leader: 8, term: 4 };
        assert!(detector.promise(next, 1, false) && detector.promise(next, 1, false));
        assert!(!detector.promise(next, 2, true) && !detector.stand(next));
    }

    #[tokio::test]
    async fn one_that_has_given_up_gives_way_to_whoever_asks() {
        let (detector, _closed) = FailureDetector::new();
        assert!(detector.stand(GONE));
        assert!(!detector.promise(GONE, 1, false));
        detector.withdraw(GONE);
        assert!(!detector.still_stands(GONE));
        assert!(detector.promise(GONE, 1, false) && !detector.promise(GONE, 2, true));
        // A promise is kept.
        detector.withdraw(GONE);
        assert!(!detector.promise(GONE, 2, true));
    }

    #[tokio::test]
    async fn one_that_stands_gives_way_when_it_has_to() {
        let (detector, _closed) = FailureDetector::new();
        assert!(detector.stand(GONE));
        assert!(!detector.promise(GONE, 1, false) && detector.still_stands(GONE));
        assert!(detector.promise(GONE, 1, true) && !detector.still_stands(GONE));
    }

    async fn is_closed(url: &str) -> bool {
        super::is_closed(&Connector::default(), url).await
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    }

    #[tokio::test]
    async fn a_port_without_a_listener_is_closed() {
        // Nobody else is given a port that is bound.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(is_closed(&format!("http://{}", socket.local_addr().unwrap())).await);
    }

    #[tokio::test]
    async fn a_port_that_hangs_up_before_a_word_is_closed() {
        let (listener, url) = listener().await;
        let hang_up = async { drop(listener.accept().await.unwrap()) };
        let connector = Connector::default();
        let (greeted, ()) = tokio::join!(greet(&connector, &url), hang_up);
        assert!(is_refusal(&greeted.unwrap_err()));
    }

    #[tokio::test]
    async fn a_silent_port_is_not_closed() {
        // The system accepts for a listener that does nothing, as for a paused process.
        let (_listener, url) = listener().await;
        assert!(!is_closed(&url).await);
    }

    #[tokio::test]
    async fn a_port_that_answers_is_not_closed() {
        let (listener, url) = listener().await;
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"\0").await.unwrap();
            stream
        };
        let connector = Connector::default();
        let (greeted, _stream) = tokio::join!(greet(&connector, &url), answer);
        greeted.unwrap();
    }

    #[tokio::test]
    async fn a_url_that_leads_nowhere_is_not_closed() {
        assert!(!is_closed("no url").await);
        assert!(!is_refusal(&io::Error::other("there is no such name")));
    }
}
