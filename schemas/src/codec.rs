//! Avro in Confluent framing: a zero byte, the schema id as four bytes big-endian, the datum.
//!
//! Writing uses the schema that this build was compiled with; reading uses the writer's schema, by
//! its id. Ids come from a registry, which is I/O and lives elsewhere: this codec is told them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::BufRead;
use std::sync::{Arc, OnceLock, RwLock};

use serde_avro_fast::de::{DeserializerConfig, DeserializerState, read::SliceRead};
use serde_avro_fast::ser::SerializerConfig;

use crate::events::{AnyEvent, Event};
use crate::topic::Topic;

/// The id that a registry gave a schema.
pub type SchemaId = u32;

/// Bytes of framing before the datum.
pub const FRAME_BYTES: usize = 5;

/// The largest record value that the codec reads or writes, bytes.
pub const RECORD_BYTES_MAX: usize = 1_000_000;

/// The longest array that the codec reads: a length bomb fails before it allocates.
pub const ARRAY_ITEMS_MAX: usize = 200_000;

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The codec has not been told the id of the topic's schema.
    #[error("the schema of {0} has no id yet")]
    NoSchemaId(Topic),
    /// The value does not fit its schema: a bug in this crate.
    #[error("a record of {topic} does not fit its schema")]
    Datum {
        /// The topic.
        topic: Topic,
        /// What the serialiser said.
        source: serde_avro_fast::ser::SerError,
    },
    /// The record is larger than [`RECORD_BYTES_MAX`].
    #[error("a record of {topic} has {bytes} bytes")]
    TooLarge {
        /// The topic.
        topic: Topic,
        /// Its size.
        bytes: usize,
    },
}

/// Why a record cannot be read. All but [`DecodeError::UnknownSchema`] are the record's own fault.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the framing.
    #[error("the value has {0} bytes, less than its framing")]
    TooShort(usize),
    /// Larger than [`RECORD_BYTES_MAX`].
    #[error("the value has {0} bytes")]
    TooLarge(usize),
    /// The first byte is not zero.
    #[error("the value begins with byte {0}, not 0")]
    Magic(u8),
    /// The id is not known here; ask the registry, then [`Codec::add`].
    #[error("schema id {0} is not known")]
    UnknownSchema(SchemaId),
    /// The datum does not fit the writer's schema or the record's type.
    #[error("the datum does not fit schema id {id}")]
    Datum {
        /// The writer's schema.
        id: SchemaId,
        /// What the deserialiser said.
        source: serde_avro_fast::de::DeError,
    },
    /// Bytes are left behind the datum.
    #[error("{0} bytes are left behind the datum")]
    Trailing(usize),
}

impl DecodeError {
    /// A short stable word for metrics and dead-letter headers.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            DecodeError::TooShort(_) => "too_short",
            DecodeError::TooLarge(_) => "too_large",
            DecodeError::Magic(_) => "magic",
            DecodeError::UnknownSchema(_) => "unknown_schema",
            DecodeError::Datum { .. } => "datum",
            DecodeError::Trailing(_) => "trailing",
        }
    }
}

/// A text that is not an Avro schema.
#[derive(Debug, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct BadSchema(String);

/// The compiled form of the schema that this build writes to `topic`.
fn own_schema(topic: Topic) -> &'static serde_avro_fast::Schema {
    static PARSED: [OnceLock<serde_avro_fast::Schema>; Topic::ALL.len()] =
        [const { OnceLock::new() }; Topic::ALL.len()];
    PARSED[topic.index()].get_or_init(|| topic.spec().schema.parse().expect("the committed schemas parse (tested)"))
}

thread_local! {
    static WRITERS: RefCell<[Option<SerializerConfig<'static>>; Topic::ALL.len()]> =
        const { RefCell::new([const { None }; Topic::ALL.len()]) };
}

/// Turns events into record values and back.
#[derive(Default)]
pub struct Codec {
    written: RwLock<[Option<SchemaId>; Topic::ALL.len()]>,
    read: RwLock<HashMap<SchemaId, Arc<serde_avro_fast::Schema>>>,
}

impl Codec {
    /// A codec that knows no ids yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A codec with made-up ids, 1 for the first topic and so on. For tests, benches and tools
    /// that need no registry.
    #[must_use]
    pub fn with_fixed_ids() -> Self {
        let codec = Self::new();
        for topic in Topic::ALL {
            codec.set_written(topic, topic.index() as SchemaId + 1);
        }
        codec
    }

    /// Tells the id under which the registry holds the schema that this build writes to `topic`.
    pub fn set_written(&self, topic: Topic, id: SchemaId) {
        self.written.write().expect("no writer panics while it holds the lock")[topic.index()] = Some(id);
        let own = topic.spec().schema.parse().expect("the committed schemas parse (tested)");
        self.read.write().expect("no writer panics while it holds the lock").insert(id, Arc::new(own));
    }

    /// Tells the schema that the registry holds under `id`.
    ///
    /// # Errors
    /// When the text is not an Avro schema.
    pub fn add(&self, id: SchemaId, schema: &str) -> Result<(), BadSchema> {
        let parsed = schema.parse().map_err(|err| BadSchema(format!("{err}")))?;
        self.read.write().expect("no writer panics while it holds the lock").insert(id, Arc::new(parsed));
        Ok(())
    }

    /// Appends the framed record to `out`.
    ///
    /// # Errors
    /// When the topic's id is not known, or the record is too large.
    pub fn encode_into<E: Event>(&self, event: &E, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let topic = E::TOPIC;
        let id = self.written.read().expect("no writer panics while it holds the lock")[topic.index()]
            .ok_or(EncodeError::NoSchemaId(topic))?;
        let start = out.len();
        out.push(0);
        out.extend_from_slice(&id.to_be_bytes());
        WRITERS
            .with_borrow_mut(|writers| {
                let writer = writers[topic.index()].get_or_insert_with(|| SerializerConfig::new(own_schema(topic)));
                serde_avro_fast::to_datum(event, &mut *out, writer).map(|_| ())
            })
            .map_err(|source| EncodeError::Datum { topic, source })?;
        let bytes = out.len() - start;
        if bytes > RECORD_BYTES_MAX {
            out.truncate(start);
            return Err(EncodeError::TooLarge { topic, bytes });
        }
        Ok(())
    }

    /// The framed record.
    ///
    /// # Errors
    /// As [`Codec::encode_into`].
    pub fn encode<E: Event>(&self, event: &E) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(128);
        self.encode_into(event, &mut out)?;
        Ok(out)
    }

    /// As [`Codec::encode`], for a record of whichever topic.
    ///
    /// # Errors
    /// As [`Codec::encode_into`].
    pub fn encode_any(&self, event: &AnyEvent) -> Result<Vec<u8>, EncodeError> {
        match event {
            AnyEvent::Commands(record) => self.encode(record),
            AnyEvent::Joins(record) => self.encode(record),
            AnyEvent::Sessions(record) => self.encode(record),
            AnyEvent::Answers(record) => self.encode(record),
            AnyEvent::Scores(record) => self.encode(record),
            AnyEvent::Results(record) => self.encode(record),
            AnyEvent::Quizzes(record) => self.encode(record),
            AnyEvent::Tallies(record) => self.encode(record),
            AnyEvent::Ledger(record) => self.encode(record),
        }
    }

    /// Reads a framed record with its writer's schema.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode<E: Event>(&self, value: &[u8]) -> Result<E, DecodeError> {
        if value.len() > RECORD_BYTES_MAX {
            return Err(DecodeError::TooLarge(value.len()));
        }
        let Some((frame, datum)) = value.split_at_checked(FRAME_BYTES) else {
            return Err(DecodeError::TooShort(value.len()));
        };
        if frame[0] != 0 {
            return Err(DecodeError::Magic(frame[0]));
        }
        let id = SchemaId::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
        let schema = self.read.read().expect("no writer panics while it holds the lock").get(&id).cloned();
        let schema = schema.ok_or(DecodeError::UnknownSchema(id))?;
        let mut config = DeserializerConfig::new(&schema);
        config.max_seq_size = ARRAY_ITEMS_MAX;
        let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
        let event = E::deserialize(state.deserializer()).map_err(|source| DecodeError::Datum { id, source })?;
        let mut rest = state.into_reader();
        // Reading from a slice cannot fail.
        match rest.fill_buf().map_or(0, <[u8]>::len) {
            0 => Ok(event),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// As [`Codec::decode`], for a record of `topic`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode_any(&self, topic: Topic, value: &[u8]) -> Result<AnyEvent, DecodeError> {
        Ok(match topic {
            Topic::Commands => AnyEvent::Commands(self.decode(value)?),
            Topic::Joins => AnyEvent::Joins(self.decode(value)?),
            Topic::Sessions => AnyEvent::Sessions(self.decode(value)?),
            Topic::Answers => AnyEvent::Answers(self.decode(value)?),
            Topic::Scores => AnyEvent::Scores(self.decode(value)?),
            Topic::Results => AnyEvent::Results(self.decode(value)?),
            Topic::Quizzes => AnyEvent::Quizzes(self.decode(value)?),
            Topic::Tallies => AnyEvent::Tallies(self.decode(value)?),
            Topic::Ledger => AnyEvent::Ledger(self.decode(value)?),
        })
    }
}
