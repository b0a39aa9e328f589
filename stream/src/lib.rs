//! Kafka: the producer, the `Processor` contract and the one consumer loop, the tail, topics, the
//! registry, the embedded cluster.

pub mod processor;
