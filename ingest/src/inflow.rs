//! How much a connection brings between two messages. The WebSocket library puts a message's fragments
//! together without telling; a million empty ones are no message for as long as they come, so that
//! neither its size nor the rate of messages bounds what they cost.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::limits::INFLOW_BYTES_MAX;

/// What has come since the last message.
#[derive(Default)]
pub(crate) struct Inflow {
    bytes: AtomicUsize,
    flooded: AtomicWaker,
}

impl Inflow {
    /// A message is there: what comes now is of the next one.
    pub(crate) fn begin(&self) {
        self.bytes.store(0, Ordering::Release);
    }

    fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if before <= INFLOW_BYTES_MAX && before + bytes > INFLOW_BYTES_MAX {
            self.flooded.wake();
        }
    }

    fn is_flooded(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > INFLOW_BYTES_MAX
    }

    /// Ready when more has come than any message needs.
    pub(crate) fn poll_flooded(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_flooded() {
            self.flooded.register(cx.waker());
        }
        // Again, for it may have come before the waker was there.
        if self.is_flooded() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A connection whose inflow is measured.
pub(crate) struct Metered {
    stream: TcpStream,
    inflow: Arc<Inflow>,
}

impl Metered {
    pub(crate) fn new(stream: TcpStream, inflow: Arc<Inflow>) -> Self {
        Self { stream, inflow }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.inflow.add(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_flood_is_what_no_message_needs() {
        let inflow = Inflow::default();
        let flooded = || poll_fn(|cx| inflow.poll_flooded(cx)).now_or_never().is_some();
        inflow.add(INFLOW_BYTES_MAX);
        assert!(!flooded());
        inflow.begin();
        inflow.add(INFLOW_BYTES_MAX);
        inflow.add(1);
        assert!(flooded());
        inflow.begin();
        assert!(!flooded(), "a flood that is over is none");
    }
}
