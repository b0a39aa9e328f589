//! Whether the whole edge has stood still: stopped or suspended.
//!
//! It beats on a thread of its own. An edge that has more to do than its processors can bear is late, and its tasks
//! wait for their turn for seconds; to send a crowd away then, to come back at once, would be the end of it.
//!
//! Clients of an edge that stands still move on to others. When it wakes, what has piled up in its queues
//! is old, and what has piled up in its sockets came at nobody knows when. So it says nothing of it: it
//! closes all sockets that were open, and whoever is still there comes back and is told how things are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{PULSE_INTERVAL_MS, ZOMBIE_GAP_MS};
use crate::telemetry;

/// Beats while the edge runs.
pub struct Pulse {
    origin: Instant,
    last_ms: AtomicU64,
    pauses: AtomicU64,
}

impl Pulse {
    /// A pulse that has just beaten.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { origin: now, last_ms: AtomicU64::new(0), pauses: AtomicU64::new(0) }
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }

    /// How often the edge was seen to have stood still.
    #[must_use]
    pub fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Acquire)
    }

    /// Beats. True when the beat before was so long ago that the edge has stood still.
    pub fn beat(&self, now: Instant) -> bool {
        let now_ms = self.ms(now);
        let paused = now_ms.saturating_sub(self.last_ms.load(Ordering::Acquire)) > ZOMBIE_GAP_MS;
        if paused {
            self.pauses.fetch_add(1, Ordering::Release);
        }
        // Behind the count, so that who sees this beat sees that too.
        self.last_ms.store(now_ms, Ordering::Release);
        paused
    }

    /// Whether the edge has stood still since there were so many pauses, also when no beat has told so yet.
    #[must_use]
    pub fn has_paused(&self, pauses: u64, now: Instant) -> bool {
        let gap_ms = self.ms(now).saturating_sub(self.last_ms.load(Ordering::Acquire));
        gap_ms > ZOMBIE_GAP_MS || self.pauses() != pauses
    }

    /// Beats until what is returned is dropped; `woke` is called when the edge had stood still.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(self: &Arc<Self>, woke: impl Fn() + Send + 'static) -> io::Result<Beating> {
        let (beating, stopped) = mpsc::channel();
        let pulse = Arc::clone(self);
        let every = Duration::from_millis(PULSE_INTERVAL_MS);
        thread::Builder::new().name("pulse".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if pulse.beat(Instant::now()) {
                    woke();
                    telemetry::woke();
                    tracing::warn!("the edge stood still; its sockets are closed");
                }
            }
        })?;
        Ok(Beating { _stop: beating })
    }
}

/// A pulse that beats.
pub struct Beating {
    _stop: mpsc::Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_seen_by_who_looks_first_and_by_all_who_were_there() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let pulse = Pulse::new(start);
        let old = pulse.pauses();
        assert!(!pulse.beat(at(500)));
        assert!(!pulse.has_paused(old, at(500 + ZOMBIE_GAP_MS)));
        let woken = 501 + ZOMBIE_GAP_MS;
        assert!(pulse.has_paused(old, at(woken)), "before any beat says so");
        assert!(pulse.beat(at(woken)));
        assert!(pulse.has_paused(old, at(woken)));
        let new = pulse.pauses();
        assert!(!pulse.has_paused(new, at(woken)));
        assert!(!pulse.beat(at(woken + ZOMBIE_GAP_MS)), "slow, but alive");
        assert!(!pulse.has_paused(new, at(woken + ZOMBIE_GAP_MS)), "and nobody is sent away");
    }
}
