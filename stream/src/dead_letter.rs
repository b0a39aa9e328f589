//! Dead letters: bad records, kept as they are with the reason in their headers (I11).

use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::{SchemaId, Topic};

use crate::producer::{Ack, Producer};

/// Header: the topic that the record was read from.
pub const HEADER_TOPIC: &str = "quiz.dlq.topic";
/// Header: its partition there, decimal.
pub const HEADER_PARTITION: &str = "quiz.dlq.partition";
/// Header: its offset there, decimal.
pub const HEADER_OFFSET: &str = "quiz.dlq.offset";
/// Header: a short stable word that says what is wrong.
pub const HEADER_REASON: &str = "quiz.dlq.reason";
/// Header: what is wrong, in words.
pub const HEADER_ERROR: &str = "quiz.dlq.error";
/// Header: the consumer group that gave up on it.
pub const HEADER_GROUP: &str = "quiz.dlq.group";
/// Header: the schema id in its framing, decimal; absent when it has no framing.
pub const HEADER_SCHEMA_ID: &str = "quiz.dlq.schema_id";

/// The longest error text kept, bytes.
pub const ERROR_BYTES_MAX: usize = 1_000;

/// A record that its reader gives up on.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The topic it was read from.
    pub topic: Topic,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// A short stable word that says what is wrong.
    pub reason: &'a str,
    /// What is wrong, in words.
    pub error: &'a str,
    /// The consumer group that gave up on it.
    pub group: &'a str,
    /// Its key, byte for byte.
    pub key: Option<&'a [u8]>,
    /// Its value, byte for byte.
    pub value: Option<&'a [u8]>,
}

/// The schema id in a value's framing, when it has one.
fn schema_id(value: &[u8]) -> Option<SchemaId> {
    match value.first_chunk::<FRAME_BYTES>() {
        Some([0, id @ ..]) => Some(SchemaId::from_be_bytes(*id)),
        _ => None,
    }
}

/// Queues the record for the dead-letter topic of its topic.
pub fn dead_letter(producer: &Producer, letter: &DeadLetter<'_>) -> Ack {
    let partition = letter.partition.to_string();
    let offset = letter.offset.to_string();
    let schema_id = letter.value.and_then(schema_id).map(|id| id.to_string());
    let error = &letter.error[..letter.error.floor_char_boundary(ERROR_BYTES_MAX)];
    let mut headers: Vec<(&str, &[u8])> = vec![
        (HEADER_TOPIC, letter.topic.name().as_bytes()),
        (HEADER_PARTITION, partition.as_bytes()),
        (HEADER_OFFSET, offset.as_bytes()),
        (HEADER_REASON, letter.reason.as_bytes()),
        (HEADER_ERROR, error.as_bytes()),
        (HEADER_GROUP, letter.group.as_bytes()),
    ];
    if let Some(id) = &schema_id {
        headers.push((HEADER_SCHEMA_ID, id.as_bytes()));
    }
    producer.append_raw(letter.topic.spec().dlq, letter.key, letter.value, &headers)
}
