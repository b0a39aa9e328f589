//! Records that wait for company while there is much to append.
//!
//! A produce request costs the broker and the client about the same whether it brings one record or ten.
//! The client library's own `linger.ms` is fixed: one that fills batches under load makes a lone record
//! wait for nobody. So the wait follows the pace of the appends: none when they are few, and longer the
//! more there are, up to a bound. The order of the appends is kept.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ack::Outcome;

/// Fewer in a slot than this find no company worth waiting for.
const BUSY_SLOT_RECORDS: u32 = 10;
/// Records that may wait; with more they go at once.
const HELD_RECORDS_MAX: usize = 2_000;
/// Bytes that may wait; with more they go at once.
const HELD_BYTES_MAX: usize = 1 << 20;

/// What company is worth waiting for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Over which time appends are counted.
    pub slot: Duration,
    /// How much longer the wait is for each append in a slot.
    pub each: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Patience {
    /// Of answers, for which a player waits: 2 ms at 1,000/s, 10 ms at 5,000.
    pub const fn of_answers(longest: Duration) -> Self {
        Self { slot: Duration::from_millis(10), each: Duration::from_micros(200), longest }
    }

    /// Of joins, which the session lets in many at a time: 50 ms at 100/s.
    pub const fn of_joins(longest: Duration) -> Self {
        Self { slot: Duration::from_millis(100), each: Duration::from_millis(5), longest }
    }
}

/// How fast appends come.
#[derive(Debug)]
struct Pace {
    began: Instant,
    count: u32,
    before: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { began: now, count: 0, before: 0 }
    }

    /// Counts an append; how long it may wait for company.
    fn append(&mut self, now: Instant, patience: Patience) -> Duration {
        let passed = now.saturating_duration_since(self.began);
        if passed >= patience.slot {
            self.before = if passed < 2 * patience.slot { self.count } else { 0 };
            (self.began, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        // A burst counts from its first records on; behind one, the slot before tells.
        let pace = self.count.max(self.before);
        if pace < BUSY_SLOT_RECORDS {
            return Duration::ZERO;
        }
        (patience.each * pace).min(patience.longest)
    }
}

/// One record that waits.
pub(super) struct Held {
    pub topic: &'static str,
    key: Range<usize>,
    value: Range<usize>,
    pub waiting: Box<oneshot::Sender<Outcome>>,
}

/// The records that wait, in their order.
pub(super) struct Waiting {
    pace: Pace,
    bytes: Vec<u8>,
    records: Vec<Held>,
    due: Option<Instant>,
    stopped: bool,
}

impl Waiting {
    /// Counts an append; whether it is to be held.
    pub fn holds(&mut self, now: Instant, patience: Patience) -> bool {
        let wait = self.pace.append(now, patience);
        if self.due.is_none() && !wait.is_zero() {
            self.due = Some(now + wait);
        }
        self.due.is_some()
    }

    /// Puts a record behind the others; whether they have become too many to wait on.
    pub fn push(&mut self, topic: &'static str, key: &[u8], value: &[u8], waiting: oneshot::Sender<Outcome>) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        self.records.push(Held { topic, key: start..middle, value: middle..end, waiting: Box::new(waiting) });
        self.records.len() >= HELD_RECORDS_MAX || end >= HELD_BYTES_MAX
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Takes all, in their order, as record, key and value.
    pub fn take(&mut self, mut each: impl FnMut(Held, &[u8], &[u8])) {
        self.due = None;
        for held in self.records.drain(..) {
            let (key, value) = (held.key.clone(), held.value.clone());
            each(held, &self.bytes[key], &self.bytes[value]);
        }
        self.bytes.clear();
    }
}

/// Where records wait.
pub(super) struct Hold {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    patience: Patience,
}

impl Hold {
    pub fn new(patience: Patience) -> Self {
        let pace = Pace::new(Instant::now());
        let waiting = Waiting { pace, bytes: Vec::new(), records: Vec::new(), due: None, stopped: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), patience }
    }

    /// What company is worth waiting for.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Appends go one after the other, also those that do not wait: none overtakes one that does.
    pub fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no thread panics while it holds the lock")
    }

    /// Tells the thread that serves this that there is a first record.
    pub fn first_came(&self) {
        self.changed.notify_one();
    }

    /// Ends [`Hold::next_due`].
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Waits until the records that wait have waited long enough; None when it was stopped.
    pub fn next_due(&self) -> Option<MutexGuard<'_, Waiting>> {
        let mut waiting = self.lock();
        loop {
            if waiting.stopped {
                return None;
            }
            waiting = match waiting.due {
                None => self.changed.wait(waiting).expect("no thread panics while it holds the lock"),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Some(waiting);
                    }
                    self.changed.wait_timeout(waiting, left).expect("no thread panics while it holds the lock").0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(10);
    const PATIENCE: Patience = Patience::of_answers(LONGEST);

    /// The waits of appends that come every `every_us`, after a second of them.
    fn steady(every_us: u64) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let waits =
            (0..1_000_000 / every_us).map(|no| pace.append(start + Duration::from_micros(no * every_us), PATIENCE));
        waits.last().expect("there are some")
    }

    #[test]
    fn the_wait_follows_the_pace() {
        assert_eq!(steady(100_000), Duration::ZERO);
        assert_eq!(steady(2_000), Duration::ZERO, "500/s");
        assert_eq!(steady(500), Duration::from_millis(4), "2,000/s");
        assert_eq!(steady(200), LONGEST, "5,000/s");
        assert_eq!(steady(50), LONGEST, "20,000/s");
    }

    #[test]
    fn joins_find_company_where_answers_do_not() {
        let longest = Duration::from_millis(50);
        let wait = |every_ms: u64| {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let waits = (0..100).map(|no| {
                let now = start + Duration::from_millis(no * every_ms);
                pace.append(now, Patience::of_joins(longest))
            });
            waits.last().expect("there are some")
        };
        assert_eq!(wait(20), Duration::ZERO, "50/s");
        assert_eq!(wait(8), longest, "125/s");
    }

    #[test]
    fn a_burst_is_seen_as_it_comes_and_forgotten_when_it_is_over() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let first: Vec<bool> = (0..20).map(|_| pace.append(start, PATIENCE).is_zero()).collect();
        assert_eq!(first.iter().filter(|alone| **alone).count(), BUSY_SLOT_RECORDS as usize - 1);
        assert!(!pace.append(start + PATIENCE.slot, PATIENCE).is_zero(), "the slot before was busy");
        assert!(pace.append(start + 3 * PATIENCE.slot, PATIENCE).is_zero(), "a slot of nothing lies between");
    }

    #[test]
    fn what_waits_comes_out_in_its_order() {
        let hold = Hold::new(PATIENCE);
        let mut waiting = hold.lock();
        for no in 0..5_u8 {
            let (sender, _) = oneshot::channel();
            assert!(!waiting.push("t", &[no], &[no, no], sender));
        }
        let mut seen = Vec::new();
        waiting.take(|held, key, value| seen.push((held.topic, key.to_vec(), value.to_vec())));
        assert_eq!(seen, (0..5).map(|no| ("t", vec![no], vec![no, no])).collect::<Vec<_>>());
        assert_eq!(waiting.len(), 0);
        waiting.take(|_, _, _| panic!("nothing is left"));
    }

    #[test]
    fn they_are_due_when_they_have_waited_and_not_after_a_stop() {
        let hold = Hold::new(PATIENCE);
        let began = Instant::now();
        {
            let mut waiting = hold.lock();
            for _ in 0..BUSY_SLOT_RECORDS {
                waiting.holds(began, PATIENCE);
            }
            assert!(waiting.due.is_some());
        }
        drop(hold.next_due().expect("it was not stopped"));
        assert!(began.elapsed() >= Duration::from_millis(2));
        hold.stop();
        assert!(hold.next_due().is_none());
    }
}
