//! The lanes of one partition that are in memory.

use std::collections::{HashMap, HashSet};

use quiz_game::lane::Lane;
use quiz_schemas::{LaneKey, QuestionNo};
use quiz_store::LaneDoc;
use quiz_stream::group::limits::BATCH_RECORDS_MAX;

/// The most lanes of one partition in memory. Beyond it those that were touched least recently go
/// and are loaded again when they are needed; lanes with an open question stay, for their answers
/// are nowhere else but in the log.
pub const LANES_MAX: usize = 2_000;

// The lanes of one batch must find room together.
const _: () = assert!(LANES_MAX >= BATCH_RECORDS_MAX);

/// Counter: lanes that were dropped from memory to keep [`LANES_MAX`].
const LANES_EVICTED_TOTAL: &str = "quiz_scoring_lanes_evicted_total";

/// No record has this offset.
const BEFORE_ALL: i64 = -1;

/// The state of one partition.
#[derive(Debug)]
pub struct Lanes {
    partition: i32,
    slots: HashMap<LaneKey, LaneSlot>,
    /// How many batches were taken; the clock of [`LaneSlot::touched`].
    batches: u64,
    slots_max: usize,
}

/// One lane and where it stands.
#[derive(Debug)]
pub(super) struct LaneSlot {
    pub(super) lane: Lane,
    /// The last record that is in `lane`.
    pub(super) offset: i64,
    /// Where the open question's marker stands.
    pub(super) opened_at: Option<i64>,
    /// Where the last open marker stands that was read, skipped ones included.
    pub(super) marker: Option<i64>,
    /// Whether the lane has changed, without an open question, since its last snapshot.
    pub(super) unsaved: bool,
    /// Whether the open question's counts have changed since they were last told.
    pub(super) open_unreported: bool,
    /// Whether those of the last closed question have.
    pub(super) closed_unreported: bool,
    /// The last batch with a record of it.
    touched: u64,
}

impl LaneSlot {
    fn new(doc: Option<LaneDoc>) -> Self {
        let (lane, offset) = match doc {
            Some(doc) => (Lane::from_snapshot(doc.snapshot), doc.position.offset),
            None => (Lane::new(), BEFORE_ALL),
        };
        Self {
            lane,
            offset,
            opened_at: None,
            marker: None,
            unsaved: false,
            open_unreported: false,
            closed_unreported: false,
            touched: 0,
        }
    }

    /// A question opened with the marker at `offset`; the first may have counts already.
    pub(super) fn opened(&mut self, offset: i64) {
        self.opened_at = Some(offset);
        let counts = self.lane.open().and_then(|question| self.lane.counts(question));
        self.open_unreported = counts.is_some_and(|counts| counts.received > 0);
    }

    /// An answer was counted at `question` and did nothing else.
    pub(super) fn counted(&mut self, question: Option<QuestionNo>) {
        if self.lane.open().is_none() {
            self.unsaved = true;
            self.closed_unreported = true;
        } else if self.lane.open() == question {
            self.open_unreported = true;
        } else {
            self.closed_unreported = true;
        }
    }
}

impl Lanes {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, slots: HashMap::new(), batches: 0, slots_max: LANES_MAX }
    }

    /// With another bound than [`LANES_MAX`], so that a test reaches it.
    #[cfg(test)]
    pub(super) fn bounded(partition: i32, slots_max: usize) -> Self {
        Self { slots_max, ..Self::new(partition) }
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// How many lanes are in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no lane is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Those of `keys` that are not in memory, each once, in their order.
    pub(super) fn missing(&self, keys: impl Iterator<Item = LaneKey>) -> Vec<LaneKey> {
        let mut seen = HashSet::new();
        keys.filter(|key| !self.slots.contains_key(key) && seen.insert(*key)).collect()
    }

    /// Puts a lane in memory as the store holds it. One that is there already is further on.
    pub(super) fn insert(&mut self, key: LaneKey, doc: Option<LaneDoc>) {
        self.slots.entry(key).or_insert_with(|| LaneSlot::new(doc));
    }

    pub(super) fn begin_batch(&mut self) {
        self.batches += 1;
    }

    /// The lane's slot, and whether this is the batch's first touch of it.
    pub(super) fn touch(&mut self, key: LaneKey) -> (&mut LaneSlot, bool) {
        // The loop has supplied it; if it had not, a lane that nothing is known of is what is left.
        let slot = self.slots.entry(key).or_insert_with(|| LaneSlot::new(None));
        let first = slot.touched != self.batches;
        slot.touched = self.batches;
        (slot, first)
    }

    /// The offset of the oldest open marker.
    pub(super) fn oldest_open(&self) -> Option<i64> {
        self.slots.values().filter_map(|slot| slot.opened_at).min()
    }

    /// Drops lanes beyond the bound. At the end of a batch a lane without an open question is in
    /// the batch's writes or in the store as it stands, and the loop loads only when all writes are made.
    pub(super) fn evict(&mut self) {
        let excess = self.slots.len().saturating_sub(self.slots_max);
        if excess == 0 {
            return;
        }
        let idle = self.slots.iter().filter(|(_, slot)| slot.opened_at.is_none());
        let mut idle: Vec<(u64, LaneKey)> = idle.map(|(key, slot)| (slot.touched, *key)).collect();
        idle.sort_unstable();
        idle.truncate(excess);
        for (_, key) in &idle {
            self.slots.remove(key);
        }
        metrics::counter!(LANES_EVICTED_TOTAL).increment(idle.len() as u64);
    }
}
