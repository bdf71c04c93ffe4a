//! Bodies of the JSON gateway that never end: they are ended, and all together they have a bound.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Result, ensure};

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

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_whole_take_so_much_memory_together_and_no_more() -> Result<()> {
    /// What `store` holds of all bodies, and what one of these is.
    const ALL_BYTES: usize = 256 << 20;
    const BODY_BYTES: usize = 7 << 19;
    let cluster = start(1, &[]).await?;
    let port = cluster.members[0].client_port;
    let part = vec![b' '; BODY_BYTES];
    let mut bodies = Vec::new();
    for _ in 0..ALL_BYTES / BODY_BYTES + 10 {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = format!("Content-Length: {}", BODY_BYTES + 1);
        stream.write_all(head("/v3/kv/put", &length).as_bytes())?;
        // One that is refused is not read to its end.
        _ = stream.write_all(&part);
        bodies.push(stream);
    }
    let (mut late, mut refused) = (0, 0);
    for mut stream in bodies {
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer) {
            Ok(()) if answer == *b"HTTP/1.1 504" => late += 1,
            Ok(()) if answer == *b"HTTP/1.1 429" => refused += 1,
            // The answer is lost when the connection is closed over bytes that nobody read.
            Err(_) => refused += 1,
            Ok(()) => anyhow::bail!("{}", String::from_utf8_lossy(&answer)),
        }
    }
    ensure!(refused >= 10, "{refused} were refused");
    ensure!(late <= ALL_BYTES / BODY_BYTES, "{late} were held");
    ensure!(late > 0, "none was held");
    cluster.client(0).await?.put("k", "v").await?;
    Ok(())
}
