//! One HTTP/1.1 request over a fresh connection, streams of lines, and raw bytes for what is no request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Beside those every request has; a `Host` here takes the place of the port's own.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a str,
}

/// Asks a loopback port for a path.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let request = Request {
        method: "GET",
        path,
        headers: &[],
        body: "",
    };
    send(port, &request)
}

/// Posts a body to a loopback port.
pub fn post(port: u16, path: &str, body: &str) -> Result<Answer> {
    let request = Request {
        method: "POST",
        path,
        headers: &[],
        body,
    };
    send(port, &request)
}

/// Asks, and reads the answer to its end.
pub fn send(port: u16, request: &Request<'_>) -> Result<Answer> {
    let mut stream = open(port, request)?;
    let mut body = Vec::new();
    stream.body.read_to_end(&mut body)?;
    Ok(Answer {
        status: stream.status,
        headers: stream.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// An answer whose body is still coming.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    body: Box<dyn BufRead + Send>,
}

impl Stream {
    /// The next line, without its end; none when the body is over.
    pub fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let read = self.body.read_line(&mut line).context("the next line")?;
        Ok((read > 0).then(|| line.trim_end().to_owned()))
    }
}

/// Asks, and reads the head of the answer.
pub fn open(port: u16, request: &Request<'_>) -> Result<Stream> {
    let (stream, sent) = write(port, request)?;
    let answer = read_head(BufReader::new(stream));
    let answer = answer.with_context(|| format!("no HTTP answer to {}", request.path));
    if answer.is_err() {
        sent?;
    }
    answer
}

/// Asks, and reads nothing.
pub fn begin(port: u16, request: &Request<'_>) -> Result<TcpStream> {
    let (stream, sent) = write(port, request)?;
    sent?;
    Ok(stream)
}

/// Sends a request. The other side may answer and hang up before it has read everything, so that this failed says
/// little as long as there is an answer.
fn write(port: u16, request: &Request<'_>) -> Result<(TcpStream, io::Result<()>)> {
    let mut stream = connect(port)?;
    let Request {
        method, path, body, ..
    } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    let has_host = request.headers.iter().any(|(name, _)| *name == "Host");
    if !has_host {
        text.push_str(&format!("Host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let sent = stream.write_all(text.as_bytes());
    Ok((stream, sent))
}

fn read_head(mut reader: BufReader<TcpStream>) -> Result<Stream> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("it begins with {line:?}"))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    let body: Box<dyn BufRead + Send> = if find(&headers, "transfer-encoding") == Some("chunked") {
        Box::new(BufReader::new(Chunks { reader, left: 0 }))
    } else if let Some(length) = find(&headers, "content-length") {
        Box::new(reader.take(length.parse()?))
    } else {
        Box::new(reader)
    };
    Ok(Stream {
        status,
        headers,
        body,
    })
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.0 == name);
    header.map(|header| header.1.as_str())
}

/// A body in chunks, put together.
struct Chunks<R> {
    reader: R,
    /// Bytes that are left of the chunk.
    left: u64,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            // The first line says a length; before every other one stands the end of the chunk before.
            while line.trim_end().is_empty() {
                line.clear();
                if self.reader.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let read = (&mut self.reader).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Sends bytes, and reads until the other side closes the connection or resets it.
pub fn exchange(port: u16, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect(port)?;
    // The other side may hang up before it has read everything.
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(answer),
        Err(error) => {
            sent?;
            Err(error).context("the connection was not closed")
        }
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}
