//! Tells systemd that the replica serves, as `sd_notify(3)` has it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket that waits for the news; not set when nobody does.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that this process is ready, to whoever started it and asked to be told.
pub(super) fn ready() {
    let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else {
        return;
    };
    if let Err(error) = send(&socket, b"READY=1") {
        tracing::error!(%error, "failed to notify systemd for readiness");
    }
}

/// A name that begins with `@` or `/` is what systemd gives; others are left alone.
fn send(socket: &OsStr, news: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Ok(()),
    };
    UnixDatagram::unbound()?
        .send_to_addr(news, &address)
        .map(|_bytes| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn news_reach_a_socket_in_a_folder_and_one_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), b"READY=1").unwrap();
        assert_eq!(received(&socket), b"READY=1");
        let name = format!("mainstay-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), b"READY=1").unwrap();
        assert_eq!(received(&socket), b"READY=1");
        send(OsStr::new("nowhere"), b"READY=1").unwrap();
    }
}
