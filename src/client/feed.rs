//! Which durable messages a client applies: each once, in order, over any number of sockets.

use std::time::Duration;

use quiz_ingest::protocol::Cursor;
use tokio::time::Instant;

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// It is new.
    Apply,
    /// It is part of what was applied before.
    Drop,
}

/// A snapshot is taken for whole when something is heard so long after its greeting.
pub const SNAPSHOT_SETTLE: Duration = Duration::from_secs(1);

/// A client's place in its game's results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Feed {
    cursor: Option<Cursor>,
    /// Since when a snapshot is on its way: it comes in several messages, and a socket that goes
    /// between them leaves a client that has not applied all that its cursor covers.
    partial_since: Option<Instant>,
}

impl Feed {
    /// Up to where everything is applied, or on its way in a snapshot.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// What to send with `resume` and `host`. None asks for a snapshot.
    #[must_use]
    pub fn resume(&self) -> Option<&Cursor> {
        self.cursor.as_ref().filter(|_| self.partial_since.is_none())
    }

    /// An edge let us in. With `recovered` what we missed follows, and our cursor stands; without it
    /// a snapshot follows that stands at `cursor`.
    pub fn greeted(&mut self, cursor: Option<Cursor>, recovered: bool, now: Instant) {
        if !recovered {
            self.cursor = cursor;
            self.partial_since = Some(now);
        }
    }

    /// Something was heard, whatever it was.
    pub fn heard(&mut self, now: Instant) {
        if self.partial_since.is_some_and(|since| now - since >= SNAPSHOT_SETTLE) {
            self.partial_since = None;
        }
    }

    /// What becomes of a message of the record at offset `at`; None for what comes of no record: a
    /// part of a snapshot, or something volatile.
    pub fn take(&mut self, at: Option<i64>) -> Take {
        let Some(at) = at else { return Take::Apply };
        // Messages come in order: this one is behind the whole of the snapshot.
        self.partial_since = None;
        let Some(cursor) = &mut self.cursor else { return Take::Apply };
        if at <= cursor.offset {
            return Take::Drop;
        }
        cursor.offset = at;
        Take::Apply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an edge does with a socket: how far back it replays, and up to where it gets before
    /// the socket goes.
    #[derive(Clone, Debug)]
    struct Visit {
        recovers: bool,
        overlap: usize,
        sent: usize,
        snapshot: usize,
    }

    fn visits() -> impl Strategy<Value = Vec<Visit>> {
        let visit = (any::<bool>(), 0..4_usize, 0..12_usize, 0..60_usize);
        let visit = visit.prop_map(|(recovers, overlap, sent, snapshot)| Visit { recovers, overlap, sent, snapshot });
        prop::collection::vec(visit, 1..12)
    }

    fn cursor(offset: i64) -> Option<Cursor> {
        Some(Cursor { epoch: "e".into(), offset })
    }

    proptest! {
        /// Goal: whatever edges repeat, each record is applied once and none is missed. Method: an
        /// edge that replays from anywhere at or before the client's place; what is next to apply
        /// is looked up in the log by hand.
        #[test]
        fn each_record_is_applied_once_and_none_is_missed(
            log in prop::collection::btree_set(0..500_i64, 1..60),
            visits in visits(),
        ) {
            let log: Vec<i64> = log.into_iter().collect();
            let now = Instant::now();
            let mut feed = Feed::default();
            let mut covered = -1;
            for visit in visits {
                let known = feed.resume().cloned();
                let recovered = visit.recovers && known.is_some();
                if !recovered {
                    // A snapshot is never older than what the client has.
                    covered = covered.max(log[visit.snapshot % log.len()]);
                }
                feed.greeted(if recovered { known } else { cursor(covered) }, recovered, now);
                let behind = log.iter().position(|at| *at > covered).unwrap_or(log.len());
                for at in log.iter().skip(behind.saturating_sub(visit.overlap)).take(visit.sent) {
                    let next = log.iter().find(|each| **each > covered);
                    let expected = if next == Some(at) { Take::Apply } else { Take::Drop };
                    prop_assert_eq!(feed.take(Some(*at)), expected, "{} after {}", at, covered);
                    covered = covered.max(*at);
                }
            }
        }
    }

    #[test]
    fn what_comes_of_no_record_is_always_applied() {
        let mut feed = Feed::default();
        assert_eq!(feed.take(None), Take::Apply);
        feed.greeted(cursor(9), false, Instant::now());
        assert_eq!((feed.take(None), feed.take(Some(9)), feed.take(Some(10))), (Take::Apply, Take::Drop, Take::Apply));
    }

    #[test]
    fn another_log_starts_anew() {
        let (mut feed, now) = (Feed::default(), Instant::now());
        feed.greeted(Some(Cursor { epoch: "old".into(), offset: 900 }), false, now);
        feed.greeted(Some(Cursor { epoch: "new".into(), offset: 3 }), false, now);
        assert_eq!(feed.take(Some(4)), Take::Apply);
    }

    #[test]
    fn a_snapshot_of_which_only_a_part_came_is_asked_for_again() {
        let (mut feed, now) = (Feed::default(), Instant::now());
        feed.greeted(cursor(9), false, now);
        feed.take(None);
        feed.heard(now + SNAPSHOT_SETTLE / 2);
        assert_eq!((feed.resume(), feed.cursor()), (None, cursor(9).as_ref()));
        feed.heard(now + SNAPSHOT_SETTLE);
        assert_eq!(feed.resume(), cursor(9).as_ref(), "nothing else would come so late");
        feed.greeted(cursor(11), false, now);
        feed.take(Some(12));
        assert_eq!(feed.resume(), cursor(12).as_ref(), "what comes behind it shows that it is whole");
    }
}
