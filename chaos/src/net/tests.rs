//! Each fault of a link does what it says, seen from two ends of a connection on loopback.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout};

use super::*;

/// Long enough for anything on loopback, so that only a broken relay reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long "nothing arrives" is watched for.
const SILENCE: Duration = Duration::from_millis(200);

/// Member 0 dials member 1; both are this process, told apart by who is noted as running.
struct Wire {
    mesh: Mesh,
    dialler: TcpStream,
    listener: TcpStream,
}

async fn wire() -> Wire {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let processes = Arc::new(Processes::new(2));
    processes.set(0, Some(std::process::id()));
    let mesh = Mesh::start(&[port, port], processes, 1).await.unwrap();
    let dialler = TcpStream::connect(("127.0.0.1", mesh.front(1)))
        .await
        .unwrap();
    let (listener, _) = timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
    Wire {
        mesh,
        dialler,
        listener,
    }
}

async fn arrives(stream: &mut TcpStream, text: &str) {
    let mut buffer = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut buffer)).await;
    read.expect("it arrives").expect("the connection stands");
    assert_eq!(buffer, text.as_bytes());
}

/// Waits until a cut holds what was sent.
async fn is_held(link: &Link) {
    let held = async {
        while link.counts().held == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, held).await.expect("the cut holds it");
    assert_eq!(link.counts().held, 1);
}

async fn nothing_arrives(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = timeout(SILENCE, stream.read(&mut buffer)).await;
    assert!(read.is_err(), "{read:?} arrived through a cut");
}

#[tokio::test]
async fn bytes_pass_both_ways_while_nothing_fails() {
    let mut wire = wire().await;
    wire.dialler.write_all(b"there").await.unwrap();
    arrives(&mut wire.listener, "there").await;
    wire.listener.write_all(b"back").await.unwrap();
    arrives(&mut wire.dialler, "back").await;
    assert_eq!(wire.mesh.link(0, 1).counts().bytes, 5);
    assert_eq!(wire.mesh.link(1, 0).counts().bytes, 4);
}

#[tokio::test]
async fn a_cut_holds_bytes_until_it_heals() {
    let mut wire = wire().await;
    wire.mesh.link(0, 1).cut();
    wire.dialler.write_all(b"held").await.unwrap();
    is_held(wire.mesh.link(0, 1)).await;
    nothing_arrives(&mut wire.listener).await;
    wire.mesh.heal();
    arrives(&mut wire.listener, "held").await;
}

#[tokio::test]
async fn a_cut_one_way_lets_the_other_way_pass() {
    let mut wire = wire().await;
    wire.mesh.link(0, 1).cut();
    wire.listener.write_all(b"back").await.unwrap();
    arrives(&mut wire.dialler, "back").await;
    wire.dialler.write_all(b"held").await.unwrap();
    is_held(wire.mesh.link(0, 1)).await;
    nothing_arrives(&mut wire.listener).await;
}

#[tokio::test]
async fn a_connection_dialled_during_a_cut_is_made_when_it_heals() {
    let mut wire = wire().await;
    // The answer to a handshake needs the way back.
    wire.mesh.link(1, 0).cut();
    let mut late = TcpStream::connect(("127.0.0.1", wire.mesh.front(1)))
        .await
        .unwrap();
    late.write_all(b"late").await.unwrap();
    is_held(wire.mesh.link(1, 0)).await;
    nothing_arrives(&mut late).await;
    wire.mesh.heal();
    // The listener of the test's server is gone, so the connection is refused at last.
    let mut buffer = [0; 1];
    let read = timeout(PATIENCE, late.read(&mut buffer)).await.unwrap();
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    wire.dialler.write_all(b"still").await.unwrap();
    arrives(&mut wire.listener, "still").await;
}

#[tokio::test]
async fn a_delay_keeps_every_piece_at_least_that_long() {
    let mut wire = wire().await;
    let (delay, jitter) = (Duration::from_millis(80), Duration::from_millis(20));
    wire.mesh.link(0, 1).delay(delay, jitter);
    let sent = Instant::now();
    wire.dialler.write_all(b"slow").await.unwrap();
    arrives(&mut wire.listener, "slow").await;
    assert!(sent.elapsed() >= delay, "after {:?}", sent.elapsed());
    assert_eq!(wire.mesh.link(0, 1).counts().delayed, 1);
}

#[tokio::test]
async fn a_reset_ends_the_connection_for_both() {
    let mut wire = wire().await;
    wire.dialler.write_all(b"before").await.unwrap();
    arrives(&mut wire.listener, "before").await;
    wire.mesh.link(0, 1).reset();
    let mut buffer = [0; 1];
    for stream in [&mut wire.dialler, &mut wire.listener] {
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap();
        assert!(read.is_err(), "{read:?} instead of a reset");
    }
    assert_eq!(wire.mesh.link(0, 1).counts().resets, 1);
}

#[tokio::test]
async fn a_truncation_passes_half_and_resets() {
    let mut wire = wire().await;
    wire.mesh.link(0, 1).truncate();
    wire.dialler.write_all(b"halfgone").await.unwrap();
    let mut seen = Vec::new();
    let read = timeout(PATIENCE, wire.listener.read_to_end(&mut seen))
        .await
        .unwrap();
    assert!(read.is_err(), "{read:?} instead of a reset");
    assert!(seen.is_empty() || seen == b"half", "{seen:?}");
    assert_eq!(wire.mesh.link(0, 1).counts().truncated, 1);
}

#[tokio::test]
async fn a_death_on_one_side_is_seen_on_the_other() {
    let mut wire = wire().await;
    drop(wire.listener);
    let mut buffer = [0; 1];
    let read = timeout(PATIENCE, wire.dialler.read(&mut buffer))
        .await
        .unwrap();
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

#[tokio::test]
async fn a_stranger_gets_no_connection() {
    let wire = wire().await;
    wire.mesh.shared.processes.set(0, None);
    let mut stranger = TcpStream::connect(("127.0.0.1", wire.mesh.front(1)))
        .await
        .unwrap();
    let mut buffer = [0; 1];
    let read = timeout(PATIENCE, stranger.read(&mut buffer)).await.unwrap();
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    assert_eq!(wire.mesh.strangers(), 1);
}
