//! Whether the client is still there, and takes what it is sent.

use super::{Action, Close, Connection, Now};
use crate::limits::{
    HEARTBEAT_MS, HEARTBEAT_MS_MAX, HEARTBEATS_PER_S, PING_BEHIND_MS, PING_INTERVAL_MS, PING_INTERVALS_MAX,
    PROBE_AFTER_MS, PROBE_BEHIND_PERCENT, SLOW_WAIT_MS,
};

/// What a socket's spread is drawn below.
pub const SPREAD_MAX: u16 = 1_000;
/// How many times the wait for a probe a client may be silent after it was sent something.
const PROBES_MAX: u64 = SLOW_WAIT_MS / PROBE_AFTER_MS;

/// After how much silence a client of an edge with so many sockets asks whether it lives, ms: so that all together
/// ask [`HEARTBEATS_PER_S`] times a second, within the bounds of what is soon enough. `spread` is from 0 to below
/// [`SPREAD_MAX`], different for each: a crowd that is told something at once does not ask at once.
pub(super) fn heartbeat_ms(sockets: usize, spread: u16) -> u32 {
    let wanted = sockets.saturating_mul(1_000) / HEARTBEATS_PER_S;
    let middle = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(HEARTBEAT_MS, HEARTBEAT_MS_MAX);
    let half = u32::from(SPREAD_MAX) / 2;
    HEARTBEAT_MS + (middle - HEARTBEAT_MS) * (half + u32::from(spread)) / u32::from(SPREAD_MAX)
}

/// A silent client's times, ms.
struct Times {
    /// From what it was sent until it is asked, and again as long until it is too slow.
    probe_ms: u64,
    /// The same, when it was sent nothing.
    ping_ms: u64,
}

impl Connection {
    /// The client has said something, if only that it is alive.
    pub(super) fn hear(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
        self.unheard_ms = None;
    }

    /// What the client is to be told now: after how much silence to ask whether the edge lives, ms. Until it is told
    /// anew it is waited for accordingly, however many sockets come or go.
    pub(super) fn new_heartbeat(&mut self, now: Now) -> u32 {
        self.heartbeat_ms = heartbeat_ms(now.sockets, self.spread);
        self.heartbeat_ms
    }

    fn times(&self) -> Times {
        let heartbeat_ms = u64::from(self.heartbeat_ms);
        let beyond_ms = heartbeat_ms - u64::from(HEARTBEAT_MS);
        Times {
            probe_ms: PROBE_AFTER_MS + beyond_ms * PROBE_BEHIND_PERCENT / 100,
            ping_ms: PING_INTERVAL_MS.max(heartbeat_ms + PING_BEHIND_MS),
        }
    }

    /// When [`Connection::probe`] is due.
    pub(super) fn next_probe_ms(&self) -> u64 {
        let Times { probe_ms, ping_ms } = self.times();
        let pong_due_ms = self.heard_ms + PING_INTERVALS_MAX * ping_ms;
        let idle = (self.heard_ms.max(self.pinged_ms) + ping_ms).min(pong_due_ms);
        let Some(unheard_ms) = self.unheard_ms else { return idle };
        let probed = self.pinged_ms >= unheard_ms + probe_ms;
        idle.min(unheard_ms + if probed { PROBES_MAX * probe_ms } else { probe_ms })
    }

    /// Pings a client that is silent, sooner one that has been sent something: such a client has to take
    /// it. Says how to close one that does not answer.
    pub(super) fn probe(&mut self, now: Now, out: &mut Vec<Action>) -> Option<Close> {
        let Times { probe_ms, ping_ms } = self.times();
        if self.unheard_ms.is_some_and(|unheard_ms| now.mono_ms >= unheard_ms + PROBES_MAX * probe_ms) {
            return Some(Close::TooSlow);
        }
        if now.mono_ms >= self.heard_ms + PING_INTERVALS_MAX * ping_ms {
            return Some(Close::NoPong);
        }
        let probe_at_ms = self.unheard_ms.map(|unheard_ms| unheard_ms + probe_ms);
        let probe_due = probe_at_ms.is_some_and(|at_ms| now.mono_ms >= at_ms && self.pinged_ms < at_ms);
        if probe_due || now.mono_ms >= self.heard_ms.max(self.pinged_ms) + ping_ms {
            self.pinged_ms = now.mono_ms;
            out.push(Action::Ping);
        }
        None
    }
}
