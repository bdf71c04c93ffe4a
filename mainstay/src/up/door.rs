//! One address in front of several servers: a connection goes to the first one that takes it, beginning with the one that did last.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Time that a server has to take a connection; they are on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Connections at a time.
const CONNECTIONS_MAX: usize = 4_096;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The door, listening.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    servers: Arc<Servers>,
}

#[derive(Debug)]
struct Servers {
    addresses: Vec<SocketAddr>,
    /// The one that took the last connection.
    current: AtomicUsize,
}

impl Door {
    pub(super) async fn listen(
        port: u16,
        servers: impl IntoIterator<Item = u16>,
    ) -> io::Result<Door> {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address(port)).await?;
        let addresses = servers.into_iter().map(address).collect();
        Ok(Door {
            listener,
            servers: Arc::new(Servers {
                addresses,
                current: AtomicUsize::new(0),
            }),
        })
    }

    /// Lets connections through until it is dropped, and they with it.
    pub(super) async fn run(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let place = places
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((client, _)) => {
                    let servers = self.servers.clone();
                    connections.spawn(async move {
                        servers.pass(client).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

impl Servers {
    /// Connects a client with a server until one of them ends. Without a server the client sees its connection close.
    async fn pass(&self, mut client: TcpStream) {
        let first = self.current.load(Ordering::Relaxed);
        for step in 0..self.addresses.len() {
            let place = (first + step) % self.addresses.len();
            if let Ok(Ok(mut server)) =
                timeout(CONNECT_TIMEOUT, TcpStream::connect(self.addresses[place])).await
            {
                self.current.store(place, Ordering::Relaxed);
                // Without it a connection is slow and works; its end is the end of either side.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let _ = copy_bidirectional(&mut client, &mut server).await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::Door;

    async fn first_byte(port: u16) -> u8 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.read_u8().await.unwrap()
    }

    async fn server(byte: u8) -> (u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_u8(byte).await.unwrap();
            }
        });
        (port, task)
    }

    #[tokio::test]
    async fn a_connection_goes_to_a_server_that_lives() {
        let (first, task) = server(1).await;
        let (second, _task) = server(2).await;
        let door = Door::listen(0, [first, second]).await.unwrap();
        let port = door.listener.local_addr().unwrap().port();
        tokio::spawn(door.run());
        assert_eq!(first_byte(port).await, 1);
        task.abort();
        assert!(task.await.is_err(), "it was ended");
        assert_eq!(first_byte(port).await, 2);
        assert_eq!(first_byte(port).await, 2);
    }
}
