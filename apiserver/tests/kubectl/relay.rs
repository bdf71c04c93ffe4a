//! One address in front of several servers: a connection goes to the first that takes it.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Lets connections through for as long as the runtime is there, and returns the port to come to.
pub(crate) fn start(runtime: &tokio::runtime::Runtime, servers: Vec<u16>) -> u16 {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, servers.clone()));
        }
    });
    port
}

/// Without a server the client sees its connection close.
async fn pass(mut client: TcpStream, servers: Vec<u16>) {
    for port in servers {
        if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
