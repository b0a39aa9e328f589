//! Goal: a dead letter is the bad record byte for byte, and its headers say where it was and why.
//! Method: the embedded cluster, read back with a plain consumer.

mod kit;

use std::collections::BTreeMap;

use kit::{producer, read_all};
use quiz_schemas::Topic;
use quiz_stream::dead_letter::ERROR_BYTES_MAX;
use quiz_stream::{DeadLetter, EmbeddedCluster, dead_letter};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};

const LETTER: DeadLetter<'_> = DeadLetter {
    topic: Topic::Answers,
    partition: 7,
    offset: 123_456_789_012,
    reason: "datum",
    error: "the datum does not fit schema id 9",
    group: "quiz.scoring",
    key: Some(b"key"),
    value: Some(&[0, 0, 0, 0, 9, 255, 254]),
};

async fn sent(letter: &DeadLetter<'_>) -> OwnedMessage {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    dead_letter(&producer(&cluster).await, letter).await.expect("acknowledged");
    let spec = letter.topic.spec();
    let mut read = read_all(&cluster.kafka_config("reader"), spec.dlq, spec.partitions, 1);
    read.pop_first().expect("a partition").1.remove(0)
}

fn headers(message: &OwnedMessage) -> BTreeMap<String, String> {
    let text = |value: Option<&[u8]>| String::from_utf8(value.expect("a value").to_vec()).expect("text");
    message.headers().expect("headers").iter().map(|header| (header.key.to_string(), text(header.value))).collect()
}

#[tokio::test]
async fn it_is_the_record_and_says_why() {
    let message = sent(&LETTER).await;
    assert_eq!((message.key(), message.payload()), (LETTER.key, LETTER.value));
    let expected = [
        ("quiz.dlq.error", "the datum does not fit schema id 9"),
        ("quiz.dlq.group", "quiz.scoring"),
        ("quiz.dlq.offset", "123456789012"),
        ("quiz.dlq.partition", "7"),
        ("quiz.dlq.reason", "datum"),
        ("quiz.dlq.schema_id", "9"),
        ("quiz.dlq.topic", "quiz.answers.v1"),
    ];
    assert_eq!(headers(&message), expected.map(|(key, value)| (key.to_string(), value.to_string())).into());
}

#[tokio::test]
async fn without_framing_there_is_no_schema_id() {
    for value in [None, Some([].as_slice()), Some(&[0, 0, 0, 0]), Some(&[1, 0, 0, 0, 9, 1])] {
        let message = sent(&DeadLetter { key: None, value, ..LETTER }).await;
        assert_eq!((message.key(), message.payload()), (None, value));
        assert!(!headers(&message).contains_key("quiz.dlq.schema_id"), "{value:?}");
    }
}

#[tokio::test]
async fn a_long_error_is_cut_between_characters() {
    let error = "é".repeat(ERROR_BYTES_MAX);
    let message = sent(&DeadLetter { error: &error, ..LETTER }).await;
    assert_eq!(headers(&message)["quiz.dlq.error"], "é".repeat(ERROR_BYTES_MAX / 2));
}
