//! A port that passes bytes on to a server, until it is told to fail.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _listening: JoinSet<()>,
}

struct State {
    /// None: new connections are closed at once.
    target: Mutex<Option<SocketAddr>>,
    /// Whether nothing moves any more.
    frozen: watch::Sender<bool>,
    connections: Mutex<JoinSet<()>>,
}

impl Relay {
    pub(super) async fn start(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: Mutex::new(Some(target)),
            frozen: watch::Sender::new(false),
            connections: Mutex::new(JoinSet::new()),
        });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, state.clone()));
        Relay {
            address,
            state,
            _listening: listening,
        }
    }

    /// Closes all connections. New ones are still taken.
    pub(crate) fn cut(&self) {
        self.state.connections.lock().abort_all();
    }

    /// Closes all connections, and new ones too.
    pub(crate) fn close(&self) {
        *self.state.target.lock() = None;
        self.cut();
    }

    /// Keeps all connections, and passes nothing on.
    pub(crate) fn freeze(&self) {
        self.state.frozen.send_replace(true);
    }

    /// Passes new connections on to a server.
    pub(crate) fn turn_to(&self, target: SocketAddr) {
        *self.state.target.lock() = Some(target);
        self.cut();
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((incoming, _)) = listener.accept().await {
        let Some(target) = *state.target.lock() else {
            continue;
        };
        let frozen = state.frozen.subscribe();
        state
            .connections
            .lock()
            .spawn(pass(incoming, target, frozen));
    }
}

async fn pass(mut incoming: TcpStream, target: SocketAddr, mut frozen: watch::Receiver<bool>) {
    let Ok(mut outgoing) = TcpStream::connect(target).await else {
        return;
    };
    let copied = tokio::select! {
        // Nothing that came after the freeze is passed on.
        biased;
        is_frozen = async { frozen.wait_for(|frozen| *frozen).await.is_ok() } => !is_frozen,
        _ = tokio::io::copy_bidirectional(&mut incoming, &mut outgoing) => true,
    };
    if !copied {
        std::future::pending::<()>().await;
    }
}
