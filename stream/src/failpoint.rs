//! Named points at which a test makes this process die, or its consumer fall silent.
//!
//! Compiled in only with the cargo feature `failpoints`, which test builds have and release builds do not.
//! `QUIZ_FAIL=after_write:abort@3` makes the process abort when it comes to that point for the third time;
//! several are separated by commas. Without the feature every point is nothing at all.

/// A point on a batch's way, or in the life of the consumer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Point {
    /// Before the documents of a batch are loaded.
    BeforeLoad,
    /// Before a batch's output is appended.
    BeforeAppend,
    /// When half of a batch's output is acknowledged.
    MidAppend,
    /// When all of it is acknowledged, before the loop knows.
    AfterAppend,
    /// Before a batch is written to the store.
    BeforeWrite,
    /// When half of its writes are made.
    MidWrite,
    /// When all are made, before the loop knows.
    AfterWrite,
    /// Before what follows the writes is appended.
    BeforeAnnounce,
    /// When it is acknowledged, before the loop knows.
    AfterAnnounce,
    /// Before offsets are committed.
    BeforeCommit,
    /// When they are, before the loop knows.
    AfterCommit,
    /// When a transaction has begun and has records, but no offsets.
    InTransaction,
    /// When a transaction has its records and offsets, before its commit.
    BeforeTransactionCommit,
    /// When a transaction is committed, before the loop knows.
    AfterTransaction,
    /// In the middle of a restore.
    InRestore,
    /// The consumer brings nothing more of the partition number that a record was just read of.
    ConsumerStalls,
}

impl Point {
    /// All of them.
    pub const ALL: [Point; 16] = [
        Point::BeforeLoad,
        Point::BeforeAppend,
        Point::MidAppend,
        Point::AfterAppend,
        Point::BeforeWrite,
        Point::MidWrite,
        Point::AfterWrite,
        Point::BeforeAnnounce,
        Point::AfterAnnounce,
        Point::BeforeCommit,
        Point::AfterCommit,
        Point::InTransaction,
        Point::BeforeTransactionCommit,
        Point::AfterTransaction,
        Point::InRestore,
        Point::ConsumerStalls,
    ];

    /// Its name in `QUIZ_FAIL`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Point::BeforeLoad => "before_load",
            Point::BeforeAppend => "before_append",
            Point::MidAppend => "mid_append",
            Point::AfterAppend => "after_append",
            Point::BeforeWrite => "before_write",
            Point::MidWrite => "mid_write",
            Point::AfterWrite => "after_write",
            Point::BeforeAnnounce => "before_announce",
            Point::AfterAnnounce => "after_announce",
            Point::BeforeCommit => "before_commit",
            Point::AfterCommit => "after_commit",
            Point::InTransaction => "in_transaction",
            Point::BeforeTransactionCommit => "before_transaction_commit",
            Point::AfterTransaction => "after_transaction",
            Point::InRestore => "in_restore",
            Point::ConsumerStalls => "consumer_stalls",
        }
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::collections::BTreeMap;
    use std::sync::{LazyLock, Mutex};

    use super::Point;

    /// How often each armed point is still to be passed.
    static LEFT: LazyLock<Mutex<BTreeMap<Point, u64>>> = LazyLock::new(|| Mutex::new(from_env()));

    fn from_env() -> BTreeMap<Point, u64> {
        let told = std::env::var("QUIZ_FAIL").unwrap_or_default();
        told.split(',').filter(|rule| !rule.is_empty()).map(rule).collect()
    }

    /// One rule, `name:abort@n`. Whoever sets one wants it to bite, so one that is none ends the process.
    fn rule(text: &str) -> (Point, u64) {
        let parsed = text.split_once(':').and_then(|(name, what)| {
            let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
            let count = what.strip_prefix("abort@")?.parse().ok()?;
            Some((point, count))
        });
        parsed.unwrap_or_else(|| panic!("QUIZ_FAIL: {text} is not `point:abort@n`"))
    }

    /// Makes `point` fire when it is come to for the `count`th time from now.
    pub fn arm(point: Point, count: u64) {
        LEFT.lock().expect("no thread panics while it holds the lock").insert(point, count);
    }

    pub(crate) fn is_armed(point: Point) -> bool {
        LEFT.lock().expect("no thread panics while it holds the lock").contains_key(&point)
    }

    pub(crate) fn fires(point: Point) -> bool {
        let mut left = LEFT.lock().expect("no thread panics while it holds the lock");
        let Some(count) = left.get_mut(&point) else { return false };
        *count = count.saturating_sub(1);
        let fires = *count == 0;
        if fires {
            left.remove(&point);
        }
        fires
    }

    pub(crate) fn pass(point: Point) {
        if fires(point) {
            // Not through the logger: its buffer would die with the process.
            eprintln!("failpoint {} aborts the process", point.name());
            std::process::abort();
        }
    }
}

#[cfg(feature = "failpoints")]
pub use armed::arm;
#[cfg(feature = "failpoints")]
pub(crate) use armed::{fires, is_armed, pass};

/// Whether a test waits for the process to come to `point`.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn is_armed(_point: Point) -> bool {
    false
}

/// Whether `point` is to fire now.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn fires(_point: Point) -> bool {
    false
}

/// Dies here, if a test wants that.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass(_point: Point) {}
