//! A batch on its way out: what it led to and how far that is carried out (I6).

use std::sync::Arc;

use quiz_schemas::{AnyEvent, Position};

use super::backoff::Try;
use super::buffer::Offsets;
use super::event::{DeadRecord, RawRecord};
use crate::processor::{Output, Processor, Record, Rejected};

/// Decoded records on their way into `apply`.
pub(super) struct Batch {
    /// The good ones.
    pub(super) records: Vec<Record>,
    /// Their bytes, in the same order.
    pub(super) raws: Vec<RawRecord>,
    /// The bad ones.
    pub(super) dead: Vec<DeadRecord>,
    /// Everything below is in this batch or an older one.
    pub(super) ends: Offsets,
    /// When its first record was taken, steady µs.
    pub(super) taken_at_us: i64,
    /// When its last record came, steady µs.
    last_came_us: i64,
    /// When its least patient record wants to be applied, steady µs.
    patient_until_us: i64,
}

impl Batch {
    /// An empty one.
    pub(super) fn new(taken_at_us: i64) -> Self {
        let (records, raws, dead, ends) = (Vec::new(), Vec::new(), Vec::new(), Offsets::new());
        Self { records, raws, dead, ends, taken_at_us, last_came_us: taken_at_us, patient_until_us: i64::MAX }
    }

    /// When it is to be applied, if no record comes for `lull_us`, steady µs.
    pub(super) fn due_us(&self, lull_us: i64) -> i64 {
        self.patient_until_us.min(self.last_came_us.saturating_add(lull_us))
    }

    /// Adds a good record that came now and may wait for `patience_us`.
    pub(super) fn push(&mut self, raw: RawRecord, event: AnyEvent, now_us: i64, patience_us: i64) {
        self.last_came_us = now_us;
        self.patient_until_us = self.patient_until_us.min(now_us.saturating_add(patience_us));
        self.ends.insert(raw.topic, raw.offset + 1);
        self.records.push(Record {
            topic: raw.topic,
            partition: raw.partition,
            offset: raw.offset,
            appended_at_us: raw.appended_at_us,
            event,
        });
        self.raws.push(raw);
    }

    /// Adds a bad one, which waits for nobody.
    pub(super) fn push_dead(&mut self, raw: RawRecord, reason: &'static str, error: String) {
        self.patient_until_us = self.taken_at_us;
        self.ends.insert(raw.topic, raw.offset + 1);
        self.dead.push(DeadRecord { raw, reason, error });
    }

    /// How many input records it has.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.dead.len()
    }

    /// The bad records, those that the processor gave up on included. A rejection of a record that is
    /// not in the batch names nothing that could be kept, and is dropped.
    fn into_dead(self, rejected: &[Rejected]) -> Vec<DeadRecord> {
        let Self { raws, mut dead, .. } = self;
        for Rejected { topic, position, reason } in rejected {
            if let Some(raw) = raws.iter().find(|raw| raw.topic == *topic && raw.position() == *position) {
                dead.push(DeadRecord { raw: raw.clone(), reason, error: "the rules refuse it".to_string() });
            }
        }
        dead
    }
}

/// What a batch led to, and how far it has got.
pub(super) struct Flush<P: Processor> {
    pub(super) produce: Arc<Vec<AnyEvent>>,
    pub(super) append: Try,
    pub(super) appended: bool,
    pub(super) dead: Arc<Vec<DeadRecord>>,
    pub(super) dead_letter: Try,
    pub(super) dead_lettered: bool,
    pub(super) writes: Vec<P::Write>,
    /// To be appended when the writes are made.
    pub(super) announce: Vec<AnyEvent>,
    /// From where a successor must read when this is finished.
    pub(super) points: Offsets,
    pub(super) records: usize,
    pub(super) taken_at_us: i64,
}

impl<P: Processor> Flush<P> {
    /// The way of `output`, which `batch` led to, or time alone.
    pub(super) fn new(output: Output<P::Write>, batch: Batch, points: Offsets) -> Self {
        let records = batch.len();
        let taken_at_us = batch.taken_at_us;
        let dead = batch.into_dead(&output.dead);
        Self {
            append: Try::Ready,
            appended: output.produce.is_empty(),
            produce: Arc::new(output.produce),
            dead_letter: Try::Ready,
            dead_lettered: dead.is_empty(),
            dead: Arc::new(dead),
            writes: output.write,
            announce: output.announce,
            points,
            records,
            taken_at_us,
        }
    }

    /// Its output is in the log at `positions`.
    pub(super) fn appended(&mut self, processor: &P, positions: &[Position]) {
        self.appended = true;
        for write in &mut self.writes {
            processor.appended(write, positions);
        }
    }

    /// Whether there is nothing to write and nothing to announce.
    pub(super) fn ends_in_the_log(&self) -> bool {
        self.writes.is_empty() && self.announce.is_empty()
    }

    /// Whether all that goes to the log is acknowledged.
    pub(super) fn is_logged(&self) -> bool {
        self.appended && self.dead_lettered
    }
}
