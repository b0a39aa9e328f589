//! Appends a quiz version to the quizzes topic.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quiz_schemas::Codec;
use quiz_schemas::events::QuizzesRecord;
use quiz_schemas::quiz::Quiz;
use quiz_stream::{KafkaConfig, Producer, ProducerOptions, SchemaSource};

use crate::config::Config;
use crate::exit::{Exit, Failure, unavailable};
use crate::serve::runtime;

/// Publishes it, and waits for the broker's ack.
///
/// # Errors
/// When the registry or Kafka does not answer.
pub fn publish(file: Option<&PathBuf>, quiz: &Quiz) -> Result<(), Failure> {
    let config = Config::load(file, &[])?;
    runtime()?.block_on(async {
        let registry = unavailable("the schema registry", "registry.url says where it is");
        let codec = Arc::new(Codec::new());
        let schemas = SchemaSource::registry(std::slice::from_ref(&config.registry.url))
            .map_err(|err| Failure::new(Exit::Usage, err))?;
        schemas.register_all(&codec).await.map_err(|err| registry(err.to_string()))?;
        let kafka = KafkaConfig::new(&config.kafka.bootstrap_servers, "quizstream-quiz");
        let producer =
            Producer::new(&kafka, codec, ProducerOptions::default()).map_err(|err| Failure::new(Exit::Failed, err))?;
        let published_at_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros() as i64);
        let record = QuizzesRecord { published_at_us, quiz: quiz.clone() };
        let position = producer
            .append(&record)
            .await
            .map_err(|err| unavailable("Kafka", "kafka.bootstrap_servers says where it is")(err.to_string()))?;
        eprintln!("published {}/{} at {}:{}", quiz.id, quiz.version, position.partition, position.offset);
        Ok(())
    })
}
