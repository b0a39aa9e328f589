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

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use crate::conformance::Sample;
    use crate::embedded::EmbeddedStore;
    use crate::{Store, Write};

    /// Goal: each write is counted under what became of it. Method: a recorder of this thread only,
    /// on which the runtime runs too.
    #[tokio::test(flavor = "current_thread")]
    async fn writes_are_counted_by_their_outcome() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).await.unwrap();
        let mut sample = Sample::new(20);
        let (lane, player, other) = (sample.lane(), sample.player(), sample.player());
        let first = Write::Answer(sample.answer(lane, 0, player));
        let second = Write::Answer(sample.answer(lane, 0, other));
        store.write(&[first.clone(), first.clone(), second]).await.unwrap();
        store.write(&[first]).await.unwrap();
        for offset in [3, 2] {
            store.write(&[Write::Lane(sample.lane_doc(lane, offset, 1))]).await.unwrap();
        }
        let text = handle.render();
        for line in [
            "quiz_store_writes_total{collection=\"answers\",result=\"written\"} 2",
            "quiz_store_writes_total{collection=\"answers\",result=\"duplicate\"} 2",
            "quiz_store_writes_total{collection=\"lanes\",result=\"written\"} 1",
            "quiz_store_writes_total{collection=\"lanes\",result=\"stale\"} 1",
            "quiz_store_duplicates_total 2",
            "quiz_store_write_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }
}
