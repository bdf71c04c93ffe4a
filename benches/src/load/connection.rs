//! One HTTP/2 connection to an etcd server, driven by hand: calls are queued into one buffer, answers are cut out of the bytes read.

mod stream;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::load::connection::stream::{
    Blocked, MESSAGE_PREFIX, Stream, Streams, Waiting, messages,
};
use crate::load::frame::{self, Header};
use crate::load::hpack::{self, Status};

/// Received bytes after which the server is granted a new window.
const WINDOW_REFILL: u32 = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// gRPC's code for an answer that ended without a status.
const UNKNOWN: u32 = 2;

/// Something a call got back. The tag is the caller's.
#[derive(Debug)]
pub enum Arrival<'a> {
    Message {
        tag: u64,
        body: &'a [u8],
    },
    Closed {
        tag: u64,
        code: u32,
        reason: Option<String>,
    },
}

/// What the caller wants done with each arrival.
pub type Sink<'a> = dyn FnMut(Arrival<'_>) + 'a;

/// A connection; everything on it happens in the thread that owns it.
pub struct Connection {
    socket: TcpStream,
    encoder: hpack::Encoder,
    decoder: hpack::Decoder,
    /// Bytes to send; those before `written` are gone.
    out: Vec<u8>,
    written: usize,
    /// The start of a frame whose end was not read yet.
    rest: Vec<u8>,
    streams: Streams,
    next_stream: u32,
    streams_max: usize,
    send_window: i64,
    peer_initial_window: i64,
    received: u32,
    /// Bodies that await a window, in order.
    blocked: VecDeque<Blocked>,
    /// Calls that await a free stream, in order.
    waiting: VecDeque<Waiting>,
    /// A header block that continues in the next frame, with its first frame's header.
    unfinished: Option<(Header, Vec<u8>)>,
}

impl Connection {
    /// Connects to `address` (host:port) and sends the preface. Both sides' windows are as large as they get,
    /// so that the generator never slows a server down.
    pub fn open(address: &str) -> Result<Connection> {
        let socket = std::net::ToSocketAddrs::to_socket_addrs(address)
            .with_context(|| format!("{address} is no address"))?
            .next()
            .with_context(|| format!("{address} has no address"))?;
        let socket = TcpStream::connect_timeout(&socket, CONNECT_TIMEOUT)
            .with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = frame::PREFACE.to_vec();
        let settings = [
            (frame::SETTING_ENABLE_PUSH, 0),
            (frame::SETTING_INITIAL_WINDOW_SIZE, frame::MAX_WINDOW),
        ];
        frame::write_settings(&settings, &mut out);
        let grant = frame::MAX_WINDOW - frame::INITIAL_WINDOW as u32;
        frame::write_word(frame::WINDOW_UPDATE, 0, grant, &mut out);
        Ok(Connection {
            socket,
            encoder: hpack::Encoder::new(address.to_owned()),
            decoder: hpack::Decoder::new(),
            out,
            written: 0,
            rest: Vec::new(),
            streams: Streams::default(),
            next_stream: 1,
            streams_max: usize::MAX,
            send_window: frame::INITIAL_WINDOW,
            peer_initial_window: frame::INITIAL_WINDOW,
            received: 0,
            blocked: VecDeque::new(),
            waiting: VecDeque::new(),
            unfinished: None,
        })
    }

    /// The socket, to wait on.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// True while there are bytes the socket did not take yet.
    pub fn has_output(&self) -> bool {
        self.written < self.out.len()
    }

    /// Queues a call with one message. Nothing is sent before `flush`.
    pub fn call(&mut self, path: &'static str, tag: u64, message: &[u8]) {
        if self.streams.len() >= self.streams_max {
            self.waiting.push_back(Waiting {
                path,
                tag,
                message: message.to_vec(),
            });
            return;
        }
        let stream = self.open_stream(path, tag);
        self.send(stream, message, true);
    }

    /// Opens a call whose messages follow by `send`; returns its stream.
    pub fn open_stream(&mut self, path: &'static str, tag: u64) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        assert!(
            stream < frame::MAX_WINDOW,
            "a connection has a billion streams"
        );
        let at = self.out.len();
        self.out.extend_from_slice(&[0; frame::HEADER_LEN]);
        self.encoder.request(path, &mut self.out);
        let length = self.out.len() - at - frame::HEADER_LEN;
        assert!(length <= frame::MAX_PAYLOAD, "request headers are small");
        let [_, _, high, low] = (length as u32).to_be_bytes();
        self.out[at + 1] = high;
        self.out[at + 2] = low;
        self.out[at + 3] = frame::HEADERS;
        self.out[at + 4] = frame::FLAG_END_HEADERS;
        self.out[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
        let status = Status::default();
        let send_window = self.peer_initial_window;
        let opened = Stream {
            tag,
            send_window,
            received: 0,
            partial: Vec::new(),
            status,
        };
        self.streams.insert(stream, opened);
        stream
    }

    /// Queues a message on an open call; `end` says that it is the last.
    pub fn send(&mut self, stream: u32, message: &[u8], end: bool) {
        let length = message.len() + MESSAGE_PREFIX;
        let size = u32::try_from(message.len())
            .expect("messages are below 4 GiB")
            .to_be_bytes();
        let Some(open) = self.streams.get_mut(&stream) else {
            return;
        };
        let window = self.send_window.min(open.send_window);
        if self.blocked.is_empty() && length <= frame::MAX_PAYLOAD && length as i64 <= window {
            self.send_window -= length as i64;
            open.send_window -= length as i64;
            let flags = if end { frame::FLAG_END_STREAM } else { 0 };
            Header {
                length,
                kind: frame::DATA,
                flags,
                stream,
            }
            .write(&mut self.out);
            self.out.push(0);
            self.out.extend_from_slice(&size);
            self.out.extend_from_slice(message);
            return;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.push(0);
        bytes.extend_from_slice(&size);
        bytes.extend_from_slice(message);
        self.blocked.push_back(Blocked { stream, bytes, end });
        self.unblock();
    }

    /// Sends blocked bodies as far as the windows go.
    fn unblock(&mut self) {
        while let Some(first) = self.blocked.front_mut() {
            let Some(open) = self.streams.get_mut(&first.stream) else {
                self.blocked.pop_front();
                continue;
            };
            let window = self.send_window.min(open.send_window).max(0) as usize;
            let length = first.bytes.len().min(window).min(frame::MAX_PAYLOAD);
            if length == 0 {
                return;
            }
            let last = length == first.bytes.len();
            let flags = if last && first.end {
                frame::FLAG_END_STREAM
            } else {
                0
            };
            Header {
                length,
                kind: frame::DATA,
                flags,
                stream: first.stream,
            }
            .write(&mut self.out);
            self.out.extend(first.bytes.drain(..length));
            self.send_window -= length as i64;
            open.send_window -= length as i64;
            if last {
                self.blocked.pop_front();
            }
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot write to the server"),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once and hands out what arrived. `scratch` must be larger than any frame.
    pub fn receive(&mut self, scratch: &mut [u8], sink: &mut Sink<'_>) -> Result<()> {
        let kept = self.rest.len();
        scratch[..kept].copy_from_slice(&self.rest);
        let count = match self.socket.read(&mut scratch[kept..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error).context("cannot read from the server"),
        };
        let mut bytes = &scratch[..kept + count];
        while let Some(header) = Header::parse(bytes) {
            if header.length > frame::MAX_PAYLOAD {
                bail!("a frame of {} bytes, more than was allowed", header.length);
            }
            let Some(payload) = bytes.get(frame::HEADER_LEN..frame::HEADER_LEN + header.length)
            else {
                break;
            };
            self.frame(header, payload, sink)?;
            bytes = &bytes[frame::HEADER_LEN + header.length..];
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn frame(&mut self, header: Header, payload: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        match header.kind {
            frame::DATA => self.data(header, payload, sink),
            frame::HEADERS => {
                let block = frame::unpadded(header, payload).context("malformed HEADERS")?;
                if header.has(frame::FLAG_END_HEADERS) {
                    return self.headers(header, block, sink);
                }
                self.unfinished = Some((header, block.to_vec()));
                Ok(())
            }
            frame::CONTINUATION => {
                let (first, mut block) = self.unfinished.take().context("stray CONTINUATION")?;
                block.extend_from_slice(payload);
                if header.has(frame::FLAG_END_HEADERS) {
                    return self.headers(first, &block, sink);
                }
                self.unfinished = Some((first, block));
                Ok(())
            }
            frame::RST_STREAM => {
                let code = word(payload)?;
                if self.streams.contains_key(&header.stream) {
                    let reason = format!("the server reset the stream, HTTP/2 error {code}");
                    self.close(header.stream, UNKNOWN, Some(reason), sink);
                }
                Ok(())
            }
            frame::SETTINGS => self.settings(header, payload),
            frame::PING if !header.has(frame::FLAG_ACK) => {
                Header {
                    flags: frame::FLAG_ACK,
                    ..header
                }
                .write(&mut self.out);
                self.out.extend_from_slice(payload);
                Ok(())
            }
            frame::GOAWAY => {
                let text = String::from_utf8_lossy(payload.get(8..).unwrap_or_default());
                bail!("the server says goodbye: {text:?}")
            }
            frame::WINDOW_UPDATE => {
                let grant = i64::from(word(payload)? & frame::MAX_WINDOW);
                if header.stream == 0 {
                    self.send_window += grant;
                } else if let Some(open) = self.streams.get_mut(&header.stream) {
                    open.send_window += grant;
                }
                self.unblock();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn settings(&mut self, header: Header, payload: &[u8]) -> Result<()> {
        if header.has(frame::FLAG_ACK) {
            return Ok(());
        }
        for setting in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([setting[0], setting[1]]);
            let value = word(&setting[2..])?;
            match name {
                frame::SETTING_HEADER_TABLE_SIZE if (value as usize) < hpack::TABLE_BYTES => {
                    bail!(
                        "the server wants a header table of {value} bytes; at least 4096 are needed"
                    )
                }
                frame::SETTING_MAX_CONCURRENT_STREAMS => self.streams_max = value as usize,
                frame::SETTING_INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.peer_initial_window;
                    self.peer_initial_window = i64::from(value);
                    self.streams
                        .values_mut()
                        .for_each(|open| open.send_window += change);
                }
                _ => {}
            }
        }
        Header {
            length: 0,
            kind: frame::SETTINGS,
            flags: frame::FLAG_ACK,
            stream: 0,
        }
        .write(&mut self.out);
        self.unblock();
        Ok(())
    }

    fn data(&mut self, header: Header, payload: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        self.received += header.length as u32;
        if self.received >= WINDOW_REFILL {
            frame::write_word(frame::WINDOW_UPDATE, 0, self.received, &mut self.out);
            self.received = 0;
        }
        let body = frame::unpadded(header, payload).context("malformed DATA")?;
        let Some(open) = self.streams.get_mut(&header.stream) else {
            return Ok(());
        };
        open.received += header.length as u32;
        if open.received >= WINDOW_REFILL {
            frame::write_word(
                frame::WINDOW_UPDATE,
                header.stream,
                open.received,
                &mut self.out,
            );
            open.received = 0;
        }
        let tag = open.tag;
        if open.partial.is_empty() {
            let rest = messages(body, &mut |body| sink(Arrival::Message { tag, body }))?;
            open.partial.extend_from_slice(rest);
        } else {
            open.partial.extend_from_slice(body);
            let rest = messages(&open.partial, &mut |body| {
                sink(Arrival::Message { tag, body })
            })?;
            let used = open.partial.len() - rest.len();
            open.partial.drain(..used);
        }
        if header.has(frame::FLAG_END_STREAM) {
            let reason = Some("the answer ended without a status".to_owned());
            self.close(header.stream, UNKNOWN, reason, sink);
        }
        Ok(())
    }

    fn headers(&mut self, header: Header, block: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        let status = self
            .decoder
            .decode(block)
            .context("malformed header block")?;
        let Some(open) = self.streams.get_mut(&header.stream) else {
            return Ok(());
        };
        open.status.http = status.http.or(open.status.http);
        open.status.grpc = status.grpc.or(open.status.grpc);
        open.status.message = status.message.or(open.status.message.take());
        if header.has(frame::FLAG_END_STREAM) {
            let http = open.status.http;
            let reason = open.status.message.take().filter(|text| !text.is_empty());
            match open.status.grpc {
                Some(code) => self.close(header.stream, code, reason, sink),
                None => {
                    let reason = Some(format!("no gRPC status, HTTP status {http:?}"));
                    self.close(header.stream, UNKNOWN, reason, sink);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, stream: u32, code: u32, reason: Option<String>, sink: &mut Sink<'_>) {
        if let Some(closed) = self.streams.remove(&stream) {
            sink(Arrival::Closed {
                tag: closed.tag,
                code,
                reason,
            });
        }
        if self.streams.len() < self.streams_max
            && let Some(next) = self.waiting.pop_front()
        {
            self.call(next.path, next.tag, &next.message);
        }
    }
}

fn word(payload: &[u8]) -> Result<u32> {
    Ok(u32::from_be_bytes(
        *payload.first_chunk().context("a frame is too short")?,
    ))
}
