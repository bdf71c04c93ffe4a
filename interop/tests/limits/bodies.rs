//! Bodies of the JSON gateway that never end: they are ended, and all together they have a bound.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{PATIENCE, start};

fn head(path: &str, length: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_ended_and_a_stream_between_messages_is_not() -> Result<()> {
    let cluster = start(1, &[]).await?;
    let port = cluster.members[0].client_port;
    let mut idle = TcpStream::connect(("127.0.0.1", port))?;
    idle.set_read_timeout(Some(PATIENCE))?;
    let watch = r#"{"create_request":{"key":"aw=="}}"#;
    // Space behind a message is not the beginning of another one.
    let chunk = format!("{:x}\r\n{watch}\n\r\n", watch.len() + 1);
    let begin = head("/v3/watch", "Transfer-Encoding: chunked");
    idle.write_all(format!("{begin}{chunk}").as_bytes())?;
    let unary = head("/v3/kv/put", "Content-Length: 1000") + "{\"key\":";
    let object = head("/v3/watch", "Transfer-Encoding: chunked") + "5\r\n{\"cre\r\n";
    for request in [unary, object] {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        ensure!(answer.contains("not received in time"), "{answer}");
    }
    // Both have waited for longer than a pause may be, and so has the watch.
    let mut client = cluster.client(0).await?;
    client.put("k", "v").await?;
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    while !seen.contains("\"events\"") {
        let count = idle.read(&mut bytes)?;
        ensure!(count > 0, "the watch was ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    Ok(())
}

/// What one body is of those that are never whole.
const BODY_BYTES: usize = 7 << 19;
/// Bodies that have room: `store` holds so many bytes of all of them.
const HELD_MAX: usize = (256 << 20) / BODY_BYTES;
/// Further ones: more than have to be refused, for one that was held may be ended before the last are read.
const FURTHER: usize = 50;
/// Half the pause after which `store` ends a body: those that begin within it, and are read a while later, are held at the same time.
const TOGETHER: Duration = Duration::from_secs(5);
/// Clusters that are tried until all bodies begin in that time.
const ROUNDS_MAX: usize = 3;

/// How many of the bodies are held until their time is over, and how many are refused. None when the first may have been
/// ended before the last began.
async fn late_and_refused() -> Result<Option<(usize, usize)>> {
    let cluster = start(1, &[]).await?;
    let port = cluster.members[0].client_port;
    let part = vec![b' '; BODY_BYTES];
    let mut bodies = Vec::new();
    let began = Instant::now();
    for _ in 0..HELD_MAX + FURTHER {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = format!("Content-Length: {}", BODY_BYTES + 1);
        stream.write_all(head("/v3/kv/put", &length).as_bytes())?;
        // One that is refused is not read to its end.
        _ = stream.write_all(&part);
        bodies.push(stream);
    }
    if began.elapsed() > TOGETHER {
        return Ok(None);
    }
    let (mut late, mut refused) = (0, 0);
    for mut stream in bodies {
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer) {
            Ok(()) if answer == *b"HTTP/1.1 504" => late += 1,
            Ok(()) if answer == *b"HTTP/1.1 429" => refused += 1,
            Ok(()) => bail!("{}", String::from_utf8_lossy(&answer)),
            // The answer is lost when the connection is closed over bytes that nobody read.
            Err(error) if is_closed(error.kind()) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    cluster.client(0).await?.put("k", "v").await?;
    Ok(Some((late, refused)))
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_whole_take_so_much_memory_together_and_no_more() -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        let Some((late, refused)) = late_and_refused().await? else {
            continue;
        };
        ensure!(refused >= 10, "{refused} were refused");
        ensure!(late <= HELD_MAX, "{late} were held");
        ensure!(late > 0, "none was held");
        return Ok(());
    }
    bail!("the bodies did not begin within {TOGETHER:?} in any of {ROUNDS_MAX} rounds")
}
