//! Records of one partition number that wait for their batch.

use std::collections::{BTreeMap, VecDeque};

use quiz_schemas::Topic;

use super::event::RawRecord;
use super::limits::{BUFFER_BYTES_MAX, BUFFER_RECORDS_MAX};

/// An offset per topic.
pub(super) type Offsets = BTreeMap<Topic, i64>;

/// A queue of records with bounds at which its partition is paused.
#[derive(Default)]
pub(super) struct Buffer {
    records: VecDeque<RawRecord>,
    bytes: usize,
    /// Everything below is, or was, in the queue.
    next: Offsets,
}

impl Buffer {
    /// Takes a record, unless it was taken before: a consumer may deliver again what it prefetched
    /// before a pause.
    pub(super) fn push(&mut self, raw: RawRecord) {
        let next = self.next.entry(raw.topic).or_insert(raw.offset);
        if raw.offset < *next {
            return;
        }
        *next = raw.offset + 1;
        self.bytes += raw.bytes();
        self.records.push_back(raw);
    }

    /// Reads on from here.
    pub(super) fn start_at(&mut self, from: &Offsets) {
        *self = Self { next: from.clone(), ..Self::default() };
    }

    /// The oldest record.
    pub(super) fn front(&self) -> Option<&RawRecord> {
        self.records.front()
    }

    /// Takes the oldest record out.
    pub(super) fn pop(&mut self) -> Option<RawRecord> {
        let raw = self.records.pop_front()?;
        self.bytes -= raw.bytes();
        Some(raw)
    }

    /// Whether it should take no more. It may still have to: what the consumer has already handed out
    /// comes in behind a pause.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= BUFFER_RECORDS_MAX || self.bytes >= BUFFER_BYTES_MAX
    }

    /// Whether there is room for another fill.
    pub(super) fn has_room(&self) -> bool {
        self.records.len() <= BUFFER_RECORDS_MAX / 2 && self.bytes <= BUFFER_BYTES_MAX / 2
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
