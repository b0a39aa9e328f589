//! What the tests of this crate share: records to append, a consumer to read them back.
#![allow(dead_code)]

pub mod counters;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quiz_schemas::events::{AnswerSubmitted, AnswersRecord, JoinsRecord, PlayerConnected};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{Codec, GameId, PlayerId, SubmissionId, Topic};
use quiz_stream::{EmbeddedCluster, KafkaConfig, Producer, ProducerOptions};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn codec() -> Arc<Codec> {
    Arc::new(Codec::with_fixed_ids())
}

/// A producer that has all it needs to append at once.
pub async fn producer(cluster: &EmbeddedCluster) -> Producer {
    producer_with(cluster, ProducerOptions::default()).await
}

pub async fn producer_with(cluster: &EmbeddedCluster, options: ProducerOptions) -> Producer {
    let producer = Producer::new(&cluster.kafka_config("test"), codec(), options).expect("a producer");
    producer.ready(DEADLINE).await.expect("a broker");
    producer
}

/// The `n`th answer in a lane of a game.
pub fn answer(game: u64, lane: u16, n: u64) -> AnswersRecord {
    let submitted = AnswerSubmitted {
        question: 1,
        player: PlayerId::from_bits(n),
        submission: SubmissionId::from_bits(n),
        response: Response::Picks(Picks::new(&[1]).expect("one pick")),
        received_at_us: 1_790_000_000_000_000,
        elapsed_us: 1_000_000,
        edge: "edge-1".into(),
    };
    AnswersRecord { game: GameId::from_bits(game), lane, body: submitted.into() }
}

/// The number that [`answer`] was given.
pub fn number(record: &AnswersRecord) -> u64 {
    match &record.body {
        quiz_schemas::events::AnswersBody::AnswerSubmitted(answer) => answer.player.bits(),
        other => panic!("not an answer: {other:?}"),
    }
}

/// A join of a game.
pub fn join(game: u64, n: u64) -> JoinsRecord {
    JoinsRecord {
        game: GameId::from_bits(game),
        at_us: 1_790_000_000_000_000,
        edge: "edge-1".into(),
        body: PlayerConnected { player: PlayerId::from_bits(n) }.into(),
    }
}

fn reader(config: &KafkaConfig) -> BaseConsumer {
    config.consumer().set("group.id", "kit").set("auto.offset.reset", "earliest").create().expect("a consumer")
}

/// Every record of a topic, by partition, read until `count` are there.
pub fn read_all(config: &KafkaConfig, topic: &str, partitions: i32, count: usize) -> BTreeMap<i32, Vec<OwnedMessage>> {
    let consumer = reader(config);
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&all).expect("assigned");
    let mut read: BTreeMap<i32, Vec<OwnedMessage>> = BTreeMap::new();
    let (started, mut left) = (Instant::now(), count);
    while left > 0 {
        assert!(started.elapsed() < DEADLINE, "{left} of {count} records of {topic} did not come");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                read.entry(message.partition()).or_default().push(message.detach());
                left -= 1;
            }
            Some(Err(err)) => panic!("reading {topic}: {err}"),
            None => {}
        }
    }
    read
}

/// Every answer in the log, by partition in log order.
pub fn read_answers(config: &KafkaConfig, count: usize) -> BTreeMap<i32, Vec<AnswersRecord>> {
    let codec = codec();
    let topic = Topic::Answers.spec();
    read_all(config, topic.name, topic.partitions, count)
        .into_iter()
        .map(|(partition, messages)| {
            let records = messages.iter().map(|m| codec.decode(m.payload().expect("a value")).expect("decodes"));
            (partition, records.collect())
        })
        .collect()
}

/// How many records a topic has.
pub fn ends(config: &KafkaConfig, topic: &str, partitions: i32) -> i64 {
    let consumer = reader(config);
    let end = |partition| consumer.fetch_watermarks(topic, partition, DEADLINE).expect("the broker answers").1;
    (0..partitions).map(end).sum()
}
