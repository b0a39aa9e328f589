//! The contract of the pipeline: ids, events, topics and their Avro codec. No I/O.
//!
//! Everything that crosses a Kafka topic is defined here and nowhere else: `avro/*.avsc` is the
//! schema that the registry holds, the structs in [`events`] are its Rust face, and
//! [`codec::Codec`] turns one into the other in Confluent framing.

pub mod codec;
pub mod compatibility;
pub mod events;
pub mod ids;
pub mod quiz;
pub mod topic;

pub use codec::{Codec, DecodeError, EncodeError, SchemaId};
pub use events::{AnyEvent, Event};
pub use ids::{
    EdgeId, GameId, JoinKey, LaneKey, LaneNo, Pin, PlayerId, Position, QuestionNo, SubmissionId, submission_digest,
};
pub use topic::{Cleanup, Topic, TopicSpec};
