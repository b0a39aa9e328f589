//! How much a connection brings between two messages. The WebSocket library puts a message's fragments
//! together without telling; a million empty ones are no message for as long as they come, so that
//! neither its size nor the rate of messages bounds what they cost.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::limits::INFLOW_BYTES_MAX;

/// What has come since the last message.
#[derive(Default)]
pub(crate) struct Inflow {
    bytes: AtomicUsize,
    flooded: Notify,
}

impl Inflow {
    /// A message is there: what comes now is of the next one.
    pub(crate) fn begin(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before <= INFLOW_BYTES_MAX && before + bytes > INFLOW_BYTES_MAX {
            self.flooded.notify_one();
        }
    }

    /// Waits until more has come than any message needs. Safe to cancel.
    pub(crate) async fn flooded(&self) {
        // What was noted before the last message began counts no more.
        while self.bytes.load(Ordering::Relaxed) <= INFLOW_BYTES_MAX {
            self.flooded.notified().await;
        }
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

    use super::*;

    #[tokio::test]
    async fn a_flood_is_what_no_message_needs() {
        let inflow = Inflow::default();
        inflow.add(INFLOW_BYTES_MAX);
        assert!(inflow.flooded().now_or_never().is_none());
        inflow.begin();
        inflow.add(INFLOW_BYTES_MAX);
        inflow.add(1);
        assert!(inflow.flooded().now_or_never().is_some());
        inflow.begin();
        assert!(inflow.flooded().now_or_never().is_none(), "a flood that is over is none");
    }
}
