//! What the tasks of sockets are told from outside, without a lock that all of them share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use crate::games::SocketId;

/// One thing to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Signal {
    /// The client does not keep up.
    Evict = 1,
    /// The edge goes away.
    Drain = 2,
    /// The edge has stood still.
    Pause = 4,
}

/// What one socket has been told. A signal is raised once and stays.
#[derive(Default, Debug)]
pub struct Signals {
    raised: AtomicU8,
    waker: AtomicWaker,
}

impl Signals {
    /// Tells the socket.
    pub fn raise(&self, signal: Signal) {
        self.raised.fetch_or(signal as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Whether this was raised.
    #[must_use]
    pub fn has(&self, signal: Signal) -> bool {
        self.raised.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Ready when any of these is raised; else the task is woken by whatever is raised next.
    pub fn poll(&self, cx: &Context<'_>, any: &[Signal]) -> Poll<()> {
        if any.iter().any(|signal| self.has(*signal)) {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // Again, for it may have been raised before the waker was there.
        if any.iter().any(|signal| self.has(*signal)) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The signals of all open sockets.
#[derive(Default, Debug)]
pub struct Switchboard {
    sockets: Mutex<HashMap<SocketId, Arc<Signals>>>,
}

impl Switchboard {
    fn sockets(&self) -> MutexGuard<'_, HashMap<SocketId, Arc<Signals>>> {
        // A map of handles is whole between any two steps.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new socket's signals.
    pub fn open(&self, socket: SocketId) -> Arc<Signals> {
        let signals = Arc::new(Signals::default());
        self.sockets().insert(socket, Arc::clone(&signals));
        signals
    }

    /// The socket is gone.
    pub fn close(&self, socket: SocketId) {
        self.sockets().remove(&socket);
    }

    /// Tells all sockets that are open now.
    pub fn raise(&self, signal: Signal) {
        for signals in self.sockets().values() {
            signals.raise(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_signal_wakes_who_waits_and_stays() {
        let board = Switchboard::default();
        let (one, two) = (board.open(SocketId(1)), board.open(SocketId(2)));
        let waits = {
            let one = Arc::clone(&one);
            tokio::spawn(poll_fn(move |cx| one.poll(cx, &[Signal::Drain])))
        };
        tokio::task::yield_now().await;
        one.raise(Signal::Evict);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "it was told something else");
        board.raise(Signal::Drain);
        waits.await.expect("no panic");
        assert!(one.has(Signal::Drain) && one.has(Signal::Evict) && !one.has(Signal::Pause));
        assert!(poll_fn(|cx| two.poll(cx, &[Signal::Drain])).now_or_never().is_some());
        board.close(SocketId(2));
        board.raise(Signal::Pause);
        assert!(one.has(Signal::Pause) && !two.has(Signal::Pause));
    }
}
