//! What the store counts. Names and labels are here and nowhere else.

use std::time::Duration;

use crate::Collection;

const WRITES_TOTAL: &str = "quiz_store_writes_total";
const WRITE_SECONDS: &str = "quiz_store_write_seconds";
const DUPLICATES_TOTAL: &str = "quiz_store_duplicates_total";

/// What became of the writes to one collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    /// Documents inserted or replaced.
    pub(crate) written: u64,
    /// Answers that were there already.
    pub(crate) duplicate: u64,
    /// Versioned documents of which the same or a newer one was there.
    pub(crate) stale: u64,
}

/// Counts writes whose outcome is known.
pub(crate) fn count_writes(collection: Collection, tally: Tally) {
    for (result, count) in [("written", tally.written), ("duplicate", tally.duplicate), ("stale", tally.stale)] {
        if count > 0 {
            metrics::counter!(WRITES_TOTAL, "collection" => collection.name(), "result" => result).increment(count);
        }
    }
    if tally.duplicate > 0 {
        metrics::counter!(DUPLICATES_TOTAL).increment(tally.duplicate);
    }
}

/// Counts writes that failed or whose outcome is not known.
pub(crate) fn count_failures(collection: Collection, count: u64) {
    if count > 0 {
        metrics::counter!(WRITES_TOTAL, "collection" => collection.name(), "result" => "failed").increment(count);
    }
}

/// Records how long one call of `Store::write` took.
pub(crate) fn record_write(elapsed: Duration) {
    metrics::histogram!(WRITE_SECONDS).record(elapsed.as_secs_f64());
}
