//! One address before several servers, whose connections can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;

pub(crate) struct Relay {
    pub(crate) port: u16,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    /// Where new connections go.
    target: AtomicU16,
    /// Both ends of each connection that there was since the last cut.
    ends: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Relay {
    pub(crate) fn start(target: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            target: AtomicU16::new(target),
            ends: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::clone(&state);
        let accepting = std::thread::spawn(move || accepted.accept(&listener));
        Relay {
            port,
            state,
            accepting: Some(accepting),
        }
    }

    /// Ends all connections at once.
    pub(crate) fn cut(&self) {
        for end in self.state.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// New connections go there from now on.
    pub(crate) fn turn_to(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }
}

impl State {
    fn accept(&self, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            // Whoever is not let through sees its connection end.
            let _ = client.and_then(|client| self.pass(client));
        }
    }

    fn pass(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::SeqCst)))?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            self.ends.lock().unwrap().push(end.try_clone()?);
        }
        copy(client.try_clone()?, server.try_clone()?);
        copy(server, client);
        Ok(())
    }
}

/// Passes on in one direction until either end is gone, and then ends both. The thread ends with its connection.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
    }
}
