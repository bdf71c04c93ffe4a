//! Which HTTP a new connection speaks, seen from its first bytes, which are then read again by whoever serves it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::authority::Repair;
use crate::metrics::Metrics;

/// What every HTTP/2 client that needs no upgrade sends first.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is known. None when the client closes before.
pub(super) async fn sniff(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(Protocol, BytesMut)>> {
    let mut first = BytesMut::with_capacity(HTTP2_PREFACE.len());
    loop {
        let room = HTTP2_PREFACE.len() - first.len();
        let read = (&mut *stream)
            .take(room as u64)
            .read_buf(&mut first)
            .await?;
        if read == 0 {
            return Ok(None);
        }
        if first[..] != HTTP2_PREFACE[..first.len()] {
            return Ok(Some((Protocol::Http1, first)));
        }
        if first.len() == HTTP2_PREFACE.len() {
            return Ok(Some((Protocol::Http2, first)));
        }
    }
}

/// A stream whose first bytes were read already, and whose bytes are counted.
pub(super) struct Replayed<S> {
    pub(super) first: BytesMut,
    pub(super) stream: S,
    pub(super) metrics: Arc<Metrics>,
    /// Its place among the clients that are counted.
    pub(super) client: Option<usize>,
    /// For HTTP/2, whose frames begin after `first`.
    pub(super) repair: Option<Repair>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.first.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if let Some(repair) = &mut self.repair {
                repair.apply(&mut buffer.filled_mut()[before..]);
            }
        } else {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.advance(length);
        }
        let read = (buffer.filled().len() - before) as u64;
        self.metrics.bytes_received.add(read);
        self.metrics
            .clients
            .at(self.client)
            .received_bytes
            .add(read);
        Poll::Ready(Ok(()))
    }
}

impl<S> Replayed<S> {
    fn count_sent(&self, bytes: u64) {
        self.metrics.bytes_sent.add(bytes);
        self.metrics.clients.at(self.client).sent_bytes.add(bytes);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.count_sent(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        self.count_sent(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn protocols_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Option<Protocol>); 6] = [
            (b"GET /health HTTP/1.1\r\n\r\n", Some(Protocol::Http1)),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore",
                Some(Protocol::Http2),
            ),
            (b"PRI * HTTP/2.0\r\n\r\nXX", Some(Protocol::Http1)),
            (b"\0", Some(Protocol::Http1)),
            (b"PRI", None),
            (b"", None),
        ];
        for (bytes, protocol) in cases {
            let mut stream = bytes;
            let sniffed = sniff(&mut stream).await.expect("reading from memory works");
            assert_eq!(
                sniffed.as_ref().map(|(protocol, _)| *protocol),
                protocol,
                "{bytes:?}"
            );
            if let Some((_, first)) = sniffed {
                assert_eq!([&first[..], stream].concat(), bytes);
            }
        }
    }

    #[tokio::test]
    async fn a_preface_in_pieces_is_one_preface() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let write = async {
            for piece in HTTP2_PREFACE.chunks(5) {
                client.write_all(piece).await.expect("the pipe is open");
                tokio::task::yield_now().await;
            }
        };
        let (sniffed, ()) = tokio::join!(sniff(&mut server), write);
        let (protocol, first) = sniffed.expect("the pipe is open").expect("a whole preface");
        assert_eq!(
            (protocol, &first[..]),
            (Protocol::Http2, &HTTP2_PREFACE[..])
        );
    }

    #[tokio::test]
    async fn replayed_bytes_come_first_and_are_counted() {
        let metrics = Arc::new(Metrics::default());
        let first = BytesMut::from(&b"one "[..]);
        let mut replayed = Replayed {
            first,
            stream: &b"two"[..],
            metrics: metrics.clone(),
            client: None,
            repair: None,
        };
        let mut all = String::new();
        replayed
            .read_to_string(&mut all)
            .await
            .expect("reading from memory works");
        assert_eq!(all, "one two");
        assert_eq!(metrics.bytes_received.get(), 7);
    }
}
