//! A connection of another member, which tells the failure detector when it closes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::FailureDetector;

/// Bytes from and to another member.
pub(crate) struct Connection<S> {
    stream: S,
    caller: Caller,
}

/// Who calls on a connection, once the first request has said so; tonic hands it to every request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// None when the connection closed before anybody was known.
    member: Arc<OnceLock<Option<u64>>>,
    detector: FailureDetector,
}

impl Caller {
    /// A request of this member has come in.
    pub(super) fn is(&self, member: u64) {
        self.member.get_or_init(|| {
            self.detector.opened(member);
            Some(member)
        });
    }
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, detector: &FailureDetector) -> Self {
        let caller = Caller {
            member: Arc::default(),
            detector: detector.clone(),
        };
        Connection { stream, caller }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        // A request that is looked at only now changes nothing any more.
        if let Some(member) = self.caller.member.get_or_init(|| None) {
            self.caller.detector.closed(*member);
        }
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
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
