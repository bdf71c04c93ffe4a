//! Who dialled: the member whose process owns the socket at the other end of a connection.
//!
//! Linux lists every TCP socket with its inode in `/proc/net/tcp`, and the inodes a process holds in `/proc/PID/fd`.
//! Neither needs a privilege for processes of the same user.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Process ids of the members, kept up to date by whoever starts and ends them.
#[derive(Debug)]
pub struct Processes {
    ids: Mutex<Vec<Option<u32>>>,
    strangers: AtomicU64,
}

impl Processes {
    /// Nobody runs yet.
    pub fn new(members: usize) -> Processes {
        Processes {
            ids: Mutex::new(vec![None; members]),
            strangers: AtomicU64::new(0),
        }
    }

    /// Notes that a member runs as this process, or that it does not run.
    pub fn set(&self, member: usize, id: Option<u32>) {
        self.ids.lock().expect("no holder panics")[member] = id;
    }

    /// The member whose process has a connection from `local_port` to `remote_port` on loopback. Reads `/proc`, so
    /// it belongs on a thread that may block.
    pub fn owner(&self, local_port: u16, remote_port: u16) -> Option<usize> {
        let ids = self.ids.lock().expect("no holder panics").clone();
        let found = inode(local_port, remote_port).and_then(|inode| {
            let socket = format!("socket:[{inode}]");
            ids.iter()
                .position(|id| id.is_some_and(|id| holds(id, &socket)))
        });
        if found.is_none() {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Connections of which no member was the owner.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }
}

/// The inode of a socket on 127.0.0.1, by its two ports. Sockets of a program that listens on all addresses and
/// dials over IPv6 are in the second table.
fn inode(local_port: u16, remote_port: u16) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let table = fs::read_to_string(path).ok()?;
        inode_in(&table, local_port, remote_port)
    })
}

/// The columns are: number, local address, remote address, state, queues, timer, retransmits, user, timeout, inode.
fn inode_in(table: &str, local_port: u16, remote_port: u16) -> Option<u64> {
    let (local, remote) = (format!(":{local_port:04X}"), format!(":{remote_port:04X}"));
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let matches = columns.next()?.ends_with(&local) && columns.next()?.ends_with(&remote);
        // An inode of 0 is a socket that its process has closed already.
        let inode = columns.nth(6)?.parse().ok()?;
        (matches && inode != 0).then_some(inode)
    })
}

fn holds(process: u32, socket: &str) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    entries.flatten().any(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.as_path() == Path::new(socket))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_row_is_found_by_both_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 20\n\
             1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20\n";
        assert_eq!(inode_in(table, 50_000, 8_080), Some(222));
        assert_eq!(inode_in(table, 8_080, 50_000), Some(111));
        assert_eq!(inode_in(table, 50_001, 8_080), None);
    }

    #[test]
    fn a_socket_of_this_process_is_told_from_one_of_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap().port();
        let stream = std::net::TcpStream::connect(("127.0.0.1", remote)).unwrap();
        let local = stream.local_addr().unwrap().port();
        let processes = Processes::new(2);
        assert_eq!(processes.owner(local, remote), None);
        processes.set(1, Some(std::process::id()));
        assert_eq!(processes.owner(local, remote), Some(1));
        assert_eq!(processes.strangers(), 1);
    }
}
