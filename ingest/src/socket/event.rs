//! What a socket waits for. Its task is polled as a whole at each event, some five times for an answer, so
//! what nothing happened to must cost next to nothing: no timer that is set anew, no lock that is shared.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::Message;
use futures::StreamExt;
use futures::future::poll_fn;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Socket;
use super::work::Report;
use crate::games::Delivery;
use crate::signals::Signal;

/// One thing that has happened.
pub(super) enum Event {
    /// The edge has stood still.
    Woken,
    Evicted,
    Flooded,
    DrainDue,
    Report(Report),
    Delivery(Option<Arc<Delivery>>),
    Frame(Option<Result<Message, axum::Error>>),
    Tick,
}

/// A timer that is set anew only when it has to be earlier, for what it waits for is put off again and again.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(at: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(at)) }
    }

    /// Ready when `due` has come.
    fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.sleep.deadline() >= due {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// What a tick that is due owes to a frame: it lets one pass, and then goes first.
#[derive(Clone, Copy, Default)]
pub(super) struct Courtesy {
    shown: bool,
}

impl Courtesy {
    /// The frame that passes, if there is one.
    fn let_pass<T>(&mut self, frame: impl FnOnce() -> Option<T>) -> Option<T> {
        let passing = if self.shown { None } else { frame() };
        self.shown = passing.is_some();
        passing
    }
}

impl Socket {
    /// Waits for what happens next.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.signals.poll(cx, &[Signal::Pause]).is_ready() {
            return Poll::Ready(Event::Woken);
        }
        if self.drain_at.is_none() && self.signals.poll(cx, &[Signal::Drain, Signal::Evict]).is_ready() {
            return Poll::Ready(Event::Evicted);
        }
        if self.inflow.poll_flooded(cx).is_ready() {
            return Poll::Ready(Event::Flooded);
        }
        if let Poll::Ready(event) = self.poll_alarm(cx) {
            // On an edge that is behind, the sign of life that is missed may be waiting to be read.
            let mut courtesy = self.courtesy;
            let frame = courtesy.let_pass(|| self.poll_frame(cx));
            self.courtesy = courtesy;
            return Poll::Ready(frame.unwrap_or(event));
        }
        if !self.work.is_empty()
            && let Poll::Ready(Some(report)) = self.work.poll_next_unpin(cx)
        {
            return Poll::Ready(Event::Report(report));
        }
        // Neither what the game says nor what the client says may keep the other waiting for ever.
        self.frames_first = !self.frames_first;
        if self.frames_first {
            self.poll_frame(cx).or_else(|| self.poll_delivery(cx))
        } else {
            self.poll_delivery(cx).or_else(|| self.poll_frame(cx))
        }
        .map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let tick_at = self.opened + Duration::from_millis(self.machine.next_tick_ms());
        // Who waits for what became of an answer is not sent away before it is known.
        let drain_at = self.drain_at.filter(|_| !self.machine.is_waiting());
        let due = drain_at.map_or(tick_at, |drain_at| drain_at.min(tick_at));
        self.alarm.poll(cx, due).map(|()| if drain_at == Some(due) { Event::DrainDue } else { Event::Tick })
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match self.socket.poll_next_unpin(cx) {
            Poll::Ready(frame) => Some(Event::Frame(frame)),
            Poll::Pending => None,
        }
    }

    fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match self.mailbox.as_mut()?.poll_recv(cx) {
            Poll::Ready(delivery) => Some(Event::Delivery(delivery)),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Goal: a client that never stops sending puts off no tick for longer than a frame, and one frame passes each time.
    #[test]
    fn a_tick_lets_one_frame_pass() {
        let mut courtesy = Courtesy::default();
        let mut frames = ["a", "b", "c"].into_iter();
        let course: Vec<&str> = (0..8).map(|_| courtesy.let_pass(|| frames.next()).unwrap_or("tick")).collect();
        assert_eq!(course, ["a", "tick", "b", "tick", "c", "tick", "tick", "tick"]);
    }

    #[tokio::test]
    async fn an_alarm_goes_off_when_it_is_due_and_not_when_it_was() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut alarm = Alarm::new(at(3_600_000));
        poll_fn(|cx| alarm.poll(cx, at(20))).await;
        assert!(Instant::now() >= at(20));
        poll_fn(|cx| alarm.poll(cx, at(30))).await;
        assert!(Instant::now() >= at(30), "set again");
        assert!(poll_fn(|cx| alarm.poll(cx, at(3_600_000))).now_or_never().is_none(), "put off");
        let mut polls = 0;
        let (soon, later) = (Instant::now() + Duration::from_millis(500), Instant::now() + Duration::from_millis(530));
        let put_off = poll_fn(|cx| {
            polls += 1;
            alarm.poll(cx, if polls == 1 { soon } else { later })
        });
        put_off.await;
        assert!(Instant::now() >= later, "put off while it was waited for");
    }
}
