//! The edge's clocks, in one place: everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::games::EdgeTime;

/// The wall clock, µs since 1970; 0 before it.
#[must_use]
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Both clocks.
#[must_use]
pub fn edge_time() -> EdgeTime {
    EdgeTime { mono: Instant::now(), wall_us: wall_us() }
}
