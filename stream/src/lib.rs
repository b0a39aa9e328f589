//! Kafka: the producer, the `Processor` contract and the one consumer loop, the tail, topics, the
//! registry, the embedded cluster.

pub mod config;
pub mod processor;

pub use config::KafkaConfig;
pub use processor::{Delivery, GroupSpec, Output, Processor, Record, Rejected, StateStore, StoreUnavailable};
