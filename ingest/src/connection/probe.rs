//! Whether the client is still there, and takes what it is sent.

use super::{Action, Close, Connection, Now};
use crate::limits::{
    HEARTBEAT_MS, HEARTBEAT_MS_MAX, HEARTBEATS_PER_S, PING_BEHIND_MS, PING_INTERVAL_MS, PING_INTERVALS_MAX,
    PROBE_AFTER_MS, SLOW_WAIT_MS,
};

/// After how much silence a client of an edge with so many sockets asks whether it lives, ms: so that all together
/// ask [`HEARTBEATS_PER_S`] times a second, within the bounds of what is soon enough.
pub(super) fn heartbeat_ms(sockets: usize) -> u32 {
    let wanted = sockets.saturating_mul(1_000) / HEARTBEATS_PER_S;
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(HEARTBEAT_MS, HEARTBEAT_MS_MAX)
}

impl Connection {
    /// The client has said something, if only that it is alive.
    pub(super) fn hear(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
        self.unheard_ms = None;
    }

    /// Between two pings of a client that does not ask by itself, ms.
    fn ping_interval_ms(&self) -> u64 {
        PING_INTERVAL_MS.max(u64::from(self.heartbeat_ms) + PING_BEHIND_MS)
    }

    fn pong_due_ms(&self) -> u64 {
        self.heard_ms + PING_INTERVALS_MAX * self.ping_interval_ms()
    }

    /// When [`Connection::probe`] is due.
    pub(super) fn next_probe_ms(&self) -> u64 {
        let idle = (self.heard_ms.max(self.pinged_ms) + self.ping_interval_ms()).min(self.pong_due_ms());
        let Some(unheard_ms) = self.unheard_ms else { return idle };
        let probe_ms = unheard_ms + PROBE_AFTER_MS;
        let probed = self.pinged_ms >= probe_ms;
        idle.min(if probed { unheard_ms + SLOW_WAIT_MS } else { probe_ms })
    }

    /// Pings a client that is silent, sooner one that has been sent something: such a client has to take
    /// it. Says how to close one that does not answer.
    pub(super) fn probe(&mut self, now: Now, out: &mut Vec<Action>) -> Option<Close> {
        if self.unheard_ms.is_some_and(|unheard_ms| now.mono_ms >= unheard_ms + SLOW_WAIT_MS) {
            return Some(Close::TooSlow);
        }
        if now.mono_ms >= self.pong_due_ms() {
            return Some(Close::NoPong);
        }
        let probe_ms = self.unheard_ms.map(|unheard_ms| unheard_ms + PROBE_AFTER_MS);
        let probe_due = probe_ms.is_some_and(|probe_ms| now.mono_ms >= probe_ms && self.pinged_ms < probe_ms);
        if probe_due || now.mono_ms >= self.heard_ms.max(self.pinged_ms) + self.ping_interval_ms() {
            self.pinged_ms = now.mono_ms;
            out.push(Action::Ping);
        }
        None
    }
}
