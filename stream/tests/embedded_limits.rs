//! Goal: know what the embedded cluster can and cannot do, so that code which needs more is not
//! fooled by it. Method: each test states one fact; a newer librdkafka that changes one fails it.

mod kit;

use std::time::{Duration, Instant};

use quiz_schemas::Topic;
use quiz_stream::{EmbeddedCluster, KafkaConfig};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{Message, Timestamp};

const TOPIC: &str = "quiz.sessions.v1";
const SECOND: Duration = Duration::from_secs(1);

fn transactional(config: &KafkaConfig, id: &str) -> BaseProducer {
    let mut client: ClientConfig = config.client();
    client.set("transactional.id", id).set("transaction.timeout.ms", "10000").set("message.timeout.ms", "10000");
    let producer: BaseProducer = client.create().expect("a producer");
    producer.init_transactions(10 * SECOND).expect("initialised");
    producer
}

fn send(producer: &BaseProducer, value: &str) {
    let record = BaseRecord::<str, str>::to(TOPIC).partition(0).payload(value);
    producer.send(record).map_err(|(err, _)| err).expect("queued");
}

fn group(config: &KafkaConfig, id: &str, assignor: &str) -> BaseConsumer {
    let mut client = config.consumer();
    client
        .set("group.id", id)
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", assignor)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500");
    client.create().expect("a consumer")
}

/// Polls until `done`, which is told of every message.
fn poll_until(consumers: &[&BaseConsumer], mut done: impl FnMut(Option<String>) -> bool) {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < kit::DEADLINE, "it did not happen in time");
        for consumer in consumers {
            let value = match consumer.poll(Duration::from_millis(10)) {
                Some(Ok(message)) => Some(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()),
                Some(Err(err)) => panic!("{err}"),
                None => None,
            };
            if done(value) {
                return;
            }
        }
    }
}

fn assigned(consumer: &BaseConsumer) -> usize {
    consumer.assignment().expect("an assignment").count()
}

fn values(config: &KafkaConfig, count: usize) -> Vec<String> {
    let read = kit::read_all(config, TOPIC, 1, count);
    read[&0].iter().map(|m| String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()).collect()
}

/// Two members share the partitions, commit, and one takes all when the other leaves.
fn shares_and_commits(assignor: &str) {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("group");
    let [first, second] = [(); 2].map(|()| group(&config, "g", assignor));
    for member in [&first, &second] {
        member.subscribe(&[TOPIC]).expect("subscribed");
    }
    poll_until(&[&first, &second], |_| assigned(&first) == 6 && assigned(&second) == 6);

    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(7)).expect("an offset");
    first.commit(&offsets, CommitMode::Sync).expect("committed");
    let committed = first.committed_offsets(offsets, 5 * SECOND).expect("told");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(7));

    drop(second);
    poll_until(&[&first], |_| assigned(&first) == 12);
}

#[test]
fn groups_work_with_the_range_assignor() {
    shares_and_commits("range");
}

#[test]
fn groups_work_with_the_cooperative_sticky_assignor() {
    shares_and_commits("cooperative-sticky");
}

/// A transaction's records are there after the commit.
#[test]
fn a_committed_transaction_is_read() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("txn");
    let producer = transactional(&config, "t");
    producer.begin_transaction().expect("begun");
    send(&producer, "a");
    send(&producer, "b");
    producer.commit_transaction(10 * SECOND).expect("committed");
    assert_eq!(values(&config, 2), ["a", "b"]);
}

/// LIMIT: there are no control records, so a reader of committed records sees aborted ones, and
/// open ones, and offsets have no holes.
#[test]
fn aborted_records_are_not_filtered() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("txn");
    let producer = transactional(&config, "t");
    producer.begin_transaction().expect("begun");
    send(&producer, "aborted");
    producer.flush(10 * SECOND).expect("flushed");
    assert_eq!(values(&config, 1), ["aborted"], "an open transaction's record is read");
    producer.abort_transaction(10 * SECOND).expect("aborted");
    producer.begin_transaction().expect("begun");
    send(&producer, "kept");
    producer.commit_transaction(10 * SECOND).expect("committed");
    assert_eq!(values(&config, 2), ["aborted", "kept"]);
}

/// LIMIT: offsets sent within a transaction are taken and forgotten.
#[test]
fn transactional_offsets_are_not_kept() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("txn");
    let consumer = group(&config, "g", "range");
    consumer.subscribe(&[TOPIC]).expect("subscribed");
    poll_until(&[&consumer], |_| assigned(&consumer) == 12);
    let producer = transactional(&config, "t");
    producer.begin_transaction().expect("begun");
    send(&producer, "a");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(7)).expect("an offset");
    let metadata = consumer.group_metadata().expect("metadata");
    producer.send_offsets_to_transaction(&offsets, &metadata, 10 * SECOND).expect("taken");
    producer.commit_transaction(10 * SECOND).expect("committed");
    let committed = consumer.committed_offsets(offsets, 5 * SECOND).expect("told");
    assert_eq!(committed.elements()[0].offset(), Offset::Invalid);
}

/// LIMIT: a second producer with the same transactional id does not fence the first. In one process
/// there is one worker of a group, so there is no zombie to fence.
#[test]
fn a_zombie_is_not_fenced() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("txn");
    let zombie = transactional(&config, "t");
    zombie.begin_transaction().expect("begun");
    send(&zombie, "from the zombie");
    zombie.flush(10 * SECOND).expect("flushed");
    let successor = transactional(&config, "t");
    zombie.commit_transaction(10 * SECOND).expect("a real broker refuses this");
    successor.begin_transaction().expect("begun");
    send(&successor, "from the successor");
    successor.commit_transaction(10 * SECOND).expect("committed");
    assert_eq!(values(&config, 2), ["from the zombie", "from the successor"]);
}

/// LIMIT: the broker does not stamp records; the time is the producer's.
#[test]
fn times_are_the_producers() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("times");
    let producer: BaseProducer = config.client().create().expect("a producer");
    let record = BaseRecord::<str, str>::to(TOPIC).partition(0).payload("a").timestamp(123_000);
    producer.send(record).map_err(|(err, _)| err).expect("queued");
    producer.flush(10 * SECOND).expect("flushed");
    let read = kit::read_all(&config, TOPIC, 1, 1);
    assert_eq!(read[&0][0].timestamp(), Timestamp::CreateTime(123_000));
}

/// LIMIT: a partition keeps about 5 MiB, whatever its retention; old batches go first.
#[test]
fn a_partition_keeps_five_mebibytes() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("size");
    let producer: BaseProducer = config.client().set("batch.num.messages", "1").create().expect("a producer");
    let value = "x".repeat(500_000);
    for _ in 0..20 {
        send(&producer, &value);
        producer.flush(10 * SECOND).expect("flushed");
    }
    let consumer = group(&config, "g", "range");
    let (low, high) = consumer.fetch_watermarks(TOPIC, 0, 5 * SECOND).expect("told");
    assert_eq!(high, 20);
    assert!((9..=12).contains(&low), "the log begins at {low}");
}

/// LIMIT: the admin requests are missing; topics are there because the cluster made them.
#[test]
fn topics_are_those_of_the_table() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let consumer = group(&cluster.kafka_config("topics"), "g", "range");
    for topic in Topic::ALL {
        let spec = topic.spec();
        for name in [spec.name, spec.dlq] {
            let metadata = consumer.fetch_metadata(Some(name), 5 * SECOND).expect("told");
            assert_eq!(metadata.topics()[0].partitions().len() as i32, spec.partitions, "{name}");
        }
    }
    let err = cluster.create_topic(Topic::Joins.name(), 1).expect_err("it exists");
    assert_eq!(err.code(), Some(RDKafkaErrorCode::TopicAlreadyExists), "{err}");
}
