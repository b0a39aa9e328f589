//! Kafka: the producer, the `Processor` contract and the one consumer loop, the tail, topics, the
//! registry, the embedded cluster.

mod client_log;
pub mod cluster_id;
pub mod config;
pub mod dead_letter;
pub mod embedded;
pub mod failpoint;
pub mod group;
mod offsets;
pub mod partitioner;
mod plain_consumer;
pub mod processor;
pub mod producer;
pub mod range;
pub mod registry;
pub mod tail;
pub mod topics;

pub use cluster_id::cluster_id;
pub use config::KafkaConfig;
pub use dead_letter::{DeadLetter, dead_letter};
pub use embedded::EmbeddedCluster;
pub use partitioner::partition_of;
pub use processor::{Delivery, GroupSpec, Output, Processor, Record, Rejected, StateStore, StoreUnavailable};
pub use producer::{Ack, AppendError, Appended, Producer, ProducerError, ProducerOptions};
pub use range::{RangeError, RangeReader};
pub use registry::{RegisterError, ResolveError, SchemaSource};
pub use tail::{Tail, TailError, TailEvent, TailHandle};
