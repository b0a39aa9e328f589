//! Schema ids that the codec does not know, and what the registry said of them.

use std::collections::{BTreeMap, VecDeque};

use quiz_schemas::{AnyEvent, Codec, DecodeError, SchemaId};

use super::backoff::{Jitter, Try};
use super::event::{Action, Now, RawRecord};
use super::limits::{SCHEMA_ABSENT_US, SCHEMAS_ABSENT_MAX};
use crate::processor::Processor;

/// What became of a record's bytes.
pub(super) enum Decoded {
    /// They are a record.
    Event(AnyEvent),
    /// They are not, for this reason: a word, and in words.
    Dead(&'static str, String),
    /// Nobody can say before the registry has answered.
    Wait(SchemaId),
}

/// The ids that were asked for.
#[derive(Default)]
pub(super) struct Schemas {
    asked: BTreeMap<SchemaId, Try>,
    absent_until_us: BTreeMap<SchemaId, i64>,
}

impl Schemas {
    /// Reads a record's value.
    pub(super) fn decode(&self, codec: &Codec, raw: &RawRecord, now: Now) -> Decoded {
        match codec.decode_any(raw.topic, raw.value.as_deref().unwrap_or_default()) {
            Ok(event) => Decoded::Event(event),
            Err(DecodeError::UnknownSchema(id)) => match self.absent_until_us.get(&id) {
                Some(&until_us) if now.steady_us < until_us => {
                    Decoded::Dead("unknown_schema", format!("the registry has no schema {id}"))
                }
                _ => Decoded::Wait(id),
            },
            Err(err) => Decoded::Dead(err.reason(), err.to_string()),
        }
    }

    /// Asks the registry for `id`, unless that is under way or too soon.
    pub(super) fn ask<P: Processor>(&mut self, id: SchemaId, now: Now, actions: &mut VecDeque<Action<P>>) {
        if self.asked.entry(id).or_default().start(now.steady_us) {
            actions.push_back(Action::Resolve(id));
        }
    }

    /// The codec knows it now.
    pub(super) fn known(&mut self, id: SchemaId) {
        self.asked.remove(&id);
        self.absent_until_us.remove(&id);
    }

    /// The registry does not have it.
    pub(super) fn absent(&mut self, id: SchemaId, now: Now) {
        self.asked.remove(&id);
        if self.absent_until_us.len() >= SCHEMAS_ABSENT_MAX {
            self.absent_until_us.clear();
        }
        self.absent_until_us.insert(id, now.steady_us + SCHEMA_ABSENT_US);
    }

    /// The registry does not answer.
    pub(super) fn unreachable(&mut self, id: SchemaId, now: Now, jitter: &mut Jitter) {
        if let Some(attempt) = self.asked.get_mut(&id) {
            attempt.fail(now.steady_us, jitter);
        }
    }

    /// Forgets ids that nobody asked for again when their wait was over.
    pub(super) fn forget_idle(&mut self, now: Now) {
        self.asked.retain(|_, attempt| attempt.wake_at_us().is_none_or(|at_us| at_us > now.steady_us));
    }

    /// When an id may be asked for again, steady µs.
    pub(super) fn wake_at_us(&self) -> Option<i64> {
        self.asked.values().filter_map(|attempt| attempt.wake_at_us()).min()
    }
}
