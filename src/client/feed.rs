//! Which durable messages a client applies: each once, in order, over any number of sockets.

use quiz_ingest::protocol::Cursor;

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// It is new.
    Apply,
    /// It is part of what was applied before.
    Drop,
}

/// A client's place in its game's results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Feed {
    cursor: Option<Cursor>,
}

impl Feed {
    /// What to send with `resume` and `host`, once there is something.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// An edge let us in. With `recovered` what we missed follows, and our place stands; without it
    /// a snapshot follows that stands at `cursor`.
    pub fn greeted(&mut self, cursor: Option<Cursor>, recovered: bool) {
        if !recovered {
            self.cursor = cursor;
        }
    }

    /// What becomes of a message of the record at offset `at`; None for what comes of no record: a
    /// part of a snapshot, or something volatile.
    pub fn take(&mut self, at: Option<i64>) -> Take {
        let (Some(at), Some(cursor)) = (at, &mut self.cursor) else { return Take::Apply };
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
    }

    fn visits() -> impl Strategy<Value = Vec<Visit>> {
        let visit = (any::<bool>(), 0..4_usize, 0..12_usize);
        prop::collection::vec(visit.prop_map(|(recovers, overlap, sent)| Visit { recovers, overlap, sent }), 1..12)
    }

    proptest! {
        /// Goal: whatever edges repeat, a client's applied offsets rise strictly, and together with
        /// the snapshots they cover the log without a hole. Method: an edge that replays from
        /// anywhere at or before the client's cursor, and a cover kept by hand.
        #[test]
        fn each_record_is_applied_once_and_none_is_missed(log in prop::collection::btree_set(0..500_i64, 1..60), visits in visits()) {
            let log: Vec<i64> = log.into_iter().collect();
            let mut feed = Feed::default();
            let mut applied: Vec<i64> = Vec::new();
            let mut covered: Option<i64> = None;
            for visit in visits {
                let known = feed.cursor().cloned();
                let recovers = visit.recovers && known.is_some();
                let from = known.as_ref().map_or(0, |cursor| log.partition_point(|at| *at <= cursor.offset));
                if recovers {
                    feed.greeted(known, true);
                } else {
                    // A snapshot is never older than what the client has.
                    let upto = log.get(from).or(log.last()).copied().expect("not empty");
                    let upto = upto.max(known.map_or(i64::MIN, |cursor| cursor.offset));
                    feed.greeted(Some(Cursor { epoch: "e".into(), offset: upto }), false);
                    covered = Some(upto);
                }
                let start = from.saturating_sub(visit.overlap);
                for at in log.iter().skip(start).take(visit.sent) {
                    if feed.take(Some(*at)) == Take::Apply {
                        let before = covered.expect("a greeting came first");
                        prop_assert!(*at > before, "{at} again after {before}");
                        prop_assert!(!log.iter().any(|other| *other > before && other < at), "a hole before {at}");
                        applied.push(*at);
                        covered = Some(*at);
                    }
                }
            }
            prop_assert!(applied.windows(2).all(|two| two[0] < two[1]));
        }
    }

    #[test]
    fn what_comes_of_no_record_is_always_applied() {
        let mut feed = Feed::default();
        assert_eq!(feed.take(None), Take::Apply);
        feed.greeted(Some(Cursor { epoch: "e".into(), offset: 9 }), false);
        assert_eq!((feed.take(None), feed.take(Some(9)), feed.take(Some(10))), (Take::Apply, Take::Drop, Take::Apply));
    }

    #[test]
    fn another_log_starts_anew() {
        let mut feed = Feed::default();
        feed.greeted(Some(Cursor { epoch: "old".into(), offset: 900 }), false);
        feed.greeted(Some(Cursor { epoch: "new".into(), offset: 3 }), false);
        assert_eq!(feed.take(Some(4)), Take::Apply);
    }
}
