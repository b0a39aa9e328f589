//! The edge's clocks, in one place: everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, µs since 1970; 0 before it.
#[must_use]
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
