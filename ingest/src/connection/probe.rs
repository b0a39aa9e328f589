//! Whether the client is still there, and takes what it is sent.

use super::{Action, Close, Connection, Now};
use crate::limits::{PING_INTERVAL_MS, PONG_WAIT_MS, PROBE_AFTER_MS, SLOW_WAIT_MS};

impl Connection {
    /// The client has said something, if only that it is alive.
    pub(super) fn hear(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
        self.unheard_ms = None;
    }

    /// When [`Connection::probe`] is due.
    pub(super) fn next_probe_ms(&self) -> u64 {
        let idle = (self.heard_ms.max(self.pinged_ms) + PING_INTERVAL_MS).min(self.heard_ms + PONG_WAIT_MS);
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
        if now.mono_ms >= self.heard_ms + PONG_WAIT_MS {
            return Some(Close::NoPong);
        }
        let probe_ms = self.unheard_ms.map(|unheard_ms| unheard_ms + PROBE_AFTER_MS);
        let probe_due = probe_ms.is_some_and(|probe_ms| now.mono_ms >= probe_ms && self.pinged_ms < probe_ms);
        if probe_due || now.mono_ms >= self.heard_ms.max(self.pinged_ms) + PING_INTERVAL_MS {
            self.pinged_ms = now.mono_ms;
            out.push(Action::Ping);
        }
        None
    }
}
