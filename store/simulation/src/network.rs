//! The network between members: traced streams over simulated TCP, which can be cut and broken.

use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use store::simulation::{Dial, DialledStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

use crate::trace::Trace;

pub(crate) const MEMBERS: usize = 3;
pub(crate) const PORT: u16 = 2380;
/// Time until a refusal comes back.
const REFUSAL_TIME: Duration = Duration::from_millis(3);

pub(crate) fn name(member: usize) -> String {
    format!("m{member}")
}

/// What a fault does to connections, seen by both ends.
#[derive(Clone)]
pub(crate) struct Network {
    trace: Trace,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// From where to where nothing gets through.
    cuts: [[bool; MEMBERS]; MEMBERS],
    /// Whose process has ended on a machine that lives, which answers for it.
    dead: [bool; MEMBERS],
    streams: Vec<Weak<Breaker>>,
}

/// Breaks one stream.
struct Breaker {
    ends: (usize, usize),
    broken: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Network {
    pub(crate) fn new(trace: Trace) -> Self {
        let shared = Arc::default();
        Network { trace, shared }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.shared.lock().expect("no code under this lock panics"))
    }

    pub(crate) fn set_cut(&self, from: usize, to: usize, cut: bool) {
        self.with(|shared| shared.cuts[from][to] = cut);
    }

    pub(crate) fn set_dead(&self, member: usize, dead: bool) {
        self.with(|shared| shared.dead[member] = dead);
    }

    /// Breaks every connection of a member; returns how many there were. Both ends live on.
    pub(crate) fn reset(&self, member: usize) -> usize {
        let streams = self.with(|shared| std::mem::take(&mut shared.streams));
        let (mut kept, mut broken) = (Vec::new(), 0);
        for weak in streams {
            let Some(breaker) = weak.upgrade() else {
                continue;
            };
            if breaker.ends.0 == member || breaker.ends.1 == member {
                breaker.broken.store(true, Ordering::Relaxed);
                broken += 1;
                for waker in std::mem::take(&mut *lock(&breaker.wakers)) {
                    waker.wake();
                }
            } else {
                kept.push(weak);
            }
        }
        self.with(|shared| shared.streams.extend(kept));
        broken
    }

    fn wire(&self, stream: TcpStream, from: usize, to: usize) -> Wire {
        let breaker = Arc::new(Breaker {
            ends: (from, to),
            broken: AtomicBool::new(false),
            wakers: Mutex::default(),
        });
        self.with(|shared| {
            shared.streams.retain(|weak| weak.strong_count() > 0);
            shared.streams.push(Arc::downgrade(&breaker));
        });
        Wire {
            stream,
            ends: (from, to),
            breaker,
            trace: self.trace.clone(),
        }
    }

    /// How member `from` reaches the others.
    pub(crate) fn dial(&self, from: usize) -> Dial {
        let network = self.clone();
        Arc::new(move |host, port| {
            let network = network.clone();
            Box::pin(async move {
                let to = (0..MEMBERS).find(|&member| name(member) == host);
                let to = to.ok_or(io::ErrorKind::NotFound)?;
                // Simulated TCP keeps what comes for a host that does not run; a machine refuses it.
                if network.with(|shared| shared.dead[to] && !shared.cuts[from][to]) {
                    sleep(REFUSAL_TIME).await;
                    network.trace.note(format_args!("m{to} refuses m{from}"));
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                match TcpStream::connect((host.as_str(), port)).await {
                    Ok(stream) => {
                        network.trace.note(format_args!("m{from} dials m{to}"));
                        Ok(Box::new(network.wire(stream, from, to)) as Box<dyn DialledStream>)
                    }
                    // Simulated TCP refuses what it loses. A cut network is silent; the caller has a deadline.
                    Err(_) if network.with(|shared| shared.cuts[from][to]) => pending().await,
                    Err(error) => {
                        network.trace.note(format_args!("m{to} refuses m{from}"));
                        Err(error)
                    }
                }
            })
        })
    }

    /// Connections that others make to member `to`.
    pub(crate) async fn listen(
        &self,
        to: usize,
    ) -> io::Result<impl Stream<Item = io::Result<Wire>> + Send + 'static + use<>> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        let start = (listener, self.clone());
        Ok(futures::stream::unfold(
            start,
            move |(listener, network)| async move {
                let accepted = listener.accept().await;
                let wire = accepted.map(|(stream, address)| {
                    let host = turmoil::reverse_lookup(address.ip());
                    let from = (0..MEMBERS).find(|&member| Some(name(member)) == host);
                    network.wire(stream, from.unwrap_or(to), to)
                });
                Some((wire, (listener, network)))
            },
        ))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no code under this lock panics")
}

/// One end of a connection between members.
pub(crate) struct Wire {
    stream: TcpStream,
    ends: (usize, usize),
    breaker: Arc<Breaker>,
    trace: Trace,
}

impl Wire {
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        if self.breaker.broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut wakers = lock(&self.breaker.wakers);
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.retain(|waker| !waker.will_wake(context.waker()));
            if wakers.len() > 8 {
                wakers.remove(0);
            }
            wakers.push(context.waker().clone());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, out)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            let checksum = crc32c::crc32c(&bytes[..*count]);
            let (from, to) = self.ends;
            self.trace
                .note(format_args!("m{from}-m{to} {count} bytes {checksum:08x}"));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
