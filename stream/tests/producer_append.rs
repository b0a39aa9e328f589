//! Goal: an append resolves with the place where its record really is; order holds within a
//! partition; keys live where Java clients look for them; failures are told apart and come in time.
//! Method: the embedded cluster, with its faults, and a plain consumer that reads back.

mod kit;

use std::time::{Duration, Instant};

use kit::{answer, codec, number, producer, producer_with, read_all, read_answers};
use quiz_schemas::{AnyEvent, Codec, Event, Topic};
use quiz_stream::producer::{LINGER_MS_MAX, ProducerError};
use quiz_stream::{AppendError, EmbeddedCluster, Producer, ProducerOptions, partition_of};
use rdkafka::Message;
use rdkafka::message::Headers;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

#[tokio::test]
async fn an_ack_names_the_place_where_the_record_is() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let mut acks = Vec::new();
    for n in 0..300 {
        acks.push((n, producer.append(&answer(n % 7, (n % 5) as u16, n))));
    }
    let mut placed = Vec::new();
    for (n, ack) in acks {
        placed.push((n, ack.await.expect("acknowledged")));
    }
    assert_eq!(producer.in_flight(), 0);
    let log = read_answers(&cluster.kafka_config("reader"), placed.len());
    for (n, position) in placed {
        let record = &log[&position.partition][position.offset as usize];
        assert_eq!(number(record), n);
        assert_eq!(position.partition, partition_of(record.key().as_bytes(), Topic::Answers.spec().partitions));
    }
    assert!(log.len() > 5, "the keys spread over partitions: {:?}", log.keys());
}

#[tokio::test]
async fn order_holds_within_a_partition_and_positions_are_in_the_order_asked() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let events: Vec<AnyEvent> = (0..2_000).map(|n| answer(n % 20, 0, n).into()).collect();
    let positions = producer.append_all(&events).await.expect("acknowledged");
    assert_eq!(positions.len(), events.len());
    let log = read_answers(&cluster.kafka_config("reader"), events.len());
    for (n, position) in positions.iter().enumerate() {
        assert_eq!(number(&log[&position.partition][position.offset as usize]), n as u64);
    }
    for (partition, records) in &log {
        assert!(records.is_sorted_by_key(number), "partition {partition}");
    }
    assert_eq!(producer.append_all(&[]).await.expect("nothing to do"), vec![]);
}

#[tokio::test]
async fn retries_after_lost_requests_neither_reorder_nor_duplicate() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    producer.append(&answer(1, 0, 0)).await.expect("acknowledged");
    let lost = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    ];
    cluster.request_errors(RDKafkaApiKey::Produce, &lost);
    let events: Vec<AnyEvent> = (1..500).map(|n| answer(1, 0, n).into()).collect();
    let positions = producer.append_all(&events).await.expect("acknowledged in the end");
    let log = read_answers(&cluster.kafka_config("reader"), 500);
    let numbers: Vec<u64> = log[&positions[0].partition].iter().map(number).collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
}

/// Goal: no record is acknowledged that is not in the log. Method: two batches are in flight, of which the broker
/// refuses the first, as one that is not the leader yet, and takes the second: librdkafka then reports both as appended.
#[tokio::test]
async fn what_only_a_later_success_implies_is_not_acknowledged() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let (topic, partitions) = (Topic::Answers.spec().dlq, Topic::Answers.spec().partitions);
    // Two of these do not fit into one batch.
    let values = [vec![0; 900_000], vec![1; 900_000]];
    let append = |value: &[u8]| producer.append_raw(topic, Some(b"key"), Some(value), &[]);
    append(&[2]).await.expect("acknowledged");
    cluster.round_trip(Duration::from_millis(100)).expect("slow");
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION]);
    let (first, second) = (append(&values[0]), append(&values[1]));
    let err = first.await.expect_err("nobody knows where it is");
    assert!(matches!(err, AppendError::Unlocated) && err.is_retriable(), "{err:?}");
    let second = second.await.expect("acknowledged");
    let again = append(&values[0]).await.expect("acknowledged");
    assert_eq!((second.offset, again.offset), (1, 2));
    let read = read_all(&cluster.kafka_config("reader"), topic, partitions, 3);
    let firsts: Vec<_> = read[&again.partition].iter().map(|message| message.payload().map(|value| value[0])).collect();
    assert_eq!(firsts, [Some(2), Some(1), Some(0)]);
}

#[tokio::test]
async fn a_full_queue_is_backpressure_and_nothing_behind_it_is_queued() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let options = ProducerOptions { queue_records_max: 10, ..ProducerOptions::default() };
    let producer = producer_with(&cluster, options).await;
    cluster.round_trip(Duration::from_millis(500)).expect("slow");
    let events: Vec<AnyEvent> = (0..100).map(|n| answer(1, 0, n).into()).collect();
    let err = producer.append_all(&events).await.expect_err("more than the queue takes");
    assert!(matches!(err, AppendError::QueueFull) && err.is_retriable(), "{err:?}");
    cluster.round_trip(Duration::ZERO).expect("fast");
    // A record leaves the queue a moment after its ack has resolved.
    let started = Instant::now();
    let position = loop {
        match producer.append(&answer(1, 0, 100)).await {
            Ok(position) => break position,
            Err(err) => assert!(matches!(err, AppendError::QueueFull), "{err:?}"),
        }
        assert!(started.elapsed() < kit::DEADLINE, "the queue stays full");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(position.offset, 10, "ten of the batch, then this one");
    let log = read_answers(&cluster.kafka_config("reader"), 11);
    let numbers: Vec<u64> = log[&position.partition].iter().map(number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100]);
}

/// The edge tells its client to send again within two seconds; so the answer must be there by then.
async fn fails_in_time(producer: &Producer) {
    let asked = Instant::now();
    let err = producer.append(&answer(1, 0, 1)).await.expect_err("the broker cannot acknowledge");
    let waited = asked.elapsed();
    assert!(matches!(err, AppendError::Timeout) && err.is_retriable(), "{err:?}");
    // The client looks for what is overdue once a second; its own default would be five minutes.
    assert!(waited < Duration::from_millis(4_000), "{waited:?}");
    assert!(waited > Duration::from_millis(900), "{waited:?}");
}

async fn impatient(cluster: &EmbeddedCluster) -> Producer {
    producer_with(cluster, ProducerOptions { delivery_timeout_ms: 2_000, ..ProducerOptions::default() }).await
}

#[tokio::test]
async fn without_a_broker_an_append_fails_in_time_and_works_again_after() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = impatient(&cluster).await;
    producer.append(&answer(1, 0, 0)).await.expect("acknowledged");
    cluster.broker_down().expect("down");
    fails_in_time(&producer).await;
    cluster.broker_up().expect("up");
    let started = Instant::now();
    let mut n = 2;
    while producer.append(&answer(1, 0, n)).await.is_err() {
        assert!(started.elapsed() < kit::DEADLINE, "the producer did not come back");
        n += 1;
    }
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_given_up_in_time() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = impatient(&cluster).await;
    producer.append(&answer(1, 0, 0)).await.expect("acknowledged");
    cluster.round_trip(Duration::from_secs(20)).expect("slow");
    fails_in_time(&producer).await;
}

#[tokio::test]
async fn a_producer_that_never_saw_a_broker_fails_in_time() {
    let config = quiz_stream::KafkaConfig::new("127.0.0.1:1", "edge");
    let options = ProducerOptions { delivery_timeout_ms: 2_000, ..ProducerOptions::default() };
    let producer = Producer::new(&config, codec(), options).expect("a producer needs no broker to be made");
    fails_in_time(&producer).await;
    let err = producer.ready(Duration::from_millis(200)).await.expect_err("there is no broker");
    assert!(matches!(err, ProducerError::Client(_)), "{err:?}");
    producer.flush(Duration::ZERO).await.expect("nothing is left");
}

#[tokio::test]
async fn what_can_never_succeed_is_told_apart() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let too_large = vec![7u8; 2_000_000];
    let err = producer.append_raw("quiz.joins.v1", None, Some(&too_large), &[]).await.expect_err("too large");
    assert!(matches!(err, AppendError::Rejected(_)) && !err.is_retriable(), "{err:?}");

    let untold = Producer::new(&cluster.kafka_config("test"), Codec::new().into(), ProducerOptions::default());
    let err = untold.expect("a producer").append(&answer(1, 0, 1)).await.expect_err("the codec knows no ids");
    assert!(matches!(err, AppendError::Encode(_)) && err.is_retriable(), "{err:?}");
}

#[tokio::test]
async fn an_option_out_of_range_is_refused() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let options = ProducerOptions { linger_ms: LINGER_MS_MAX + 1, ..ProducerOptions::default() };
    let err = Producer::new(&cluster.kafka_config("test"), codec(), options).err();
    assert!(matches!(err, Some(ProducerError::Option { option: "linger_ms", .. })), "{err:?}");
}

#[tokio::test]
async fn flush_waits_for_what_is_queued() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    for n in 0..100 {
        drop(producer.append(&answer(n, 0, n)));
    }
    producer.flush(kit::DEADLINE).await.expect("flushed");
    assert_eq!(producer.in_flight(), 0);
    assert_eq!(read_answers(&cluster.kafka_config("reader"), 100).values().map(Vec::len).sum::<usize>(), 100);

    cluster.broker_down().expect("down");
    drop(producer.append(&answer(1, 0, 1)));
    let err = producer.flush(Duration::from_millis(50)).await.expect_err("nobody acknowledges");
    assert!(matches!(err, ProducerError::NotFlushed { in_flight: 1 }), "{err:?}");
}

#[tokio::test]
async fn raw_bytes_and_headers_arrive_as_they_are() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let dlq = Topic::Answers.spec().dlq;
    let headers: [(&str, &[u8]); 2] = [("a", b"1"), ("b", &[0, 255])];
    let position = producer.append_raw(dlq, Some(b"key"), None, &headers).await.expect("acknowledged");
    let read = read_all(&cluster.kafka_config("reader"), dlq, Topic::Answers.spec().partitions, 1);
    let message = &read[&position.partition][0];
    assert_eq!((message.key(), message.payload()), (Some(b"key".as_slice()), None));
    let read: Vec<_> = message.headers().expect("headers").iter().map(|h| (h.key, h.value)).collect();
    assert_eq!(read, [("a", Some(b"1".as_slice())), ("b", Some([0, 255].as_slice()))]);
}

/// A fatal error ends a librdkafka client for good. Method: the broker says that the producer's
/// sequence numbers do not fit, which an idempotent producer may not paper over.
#[tokio::test]
async fn a_client_that_failed_for_good_is_replaced() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    producer.append(&answer(1, 0, 0)).await.expect("acknowledged");
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    for round in 1..=2 {
        cluster.request_errors(RDKafkaApiKey::Produce, &[fatal]);
        let err = producer.append(&answer(1, 0, round)).await.expect_err("the client is broken");
        assert!(err.is_retriable(), "{err:?}");
        let broken_at = Instant::now();
        while let Err(err) = producer.append(&answer(1, 0, 100)).await {
            assert!(matches!(err, AppendError::Fatal(_)), "{err:?}");
            assert!(broken_at.elapsed() < kit::DEADLINE, "there is no new client");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(producer.clients_replaced(), round as usize);
        assert_eq!(producer.in_flight(), 0);
    }
}

/// Goal: what may pass is hidden from whoever appends, and over within two seconds; what will not pass is told by
/// a typed error within one, and the producer goes on.
#[tokio::test]
async fn error_codes_of_the_broker_are_hidden_or_told() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as NOT_ENOUGH,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as NOT_LEADER, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT as TIMED_OUT,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as UNAUTHORIZED,
    };
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    producer.append(&answer(1, 0, 0)).await.expect("acknowledged");
    let mut n = 0;
    for passing in [&[NOT_LEADER; 3][..], &[TIMED_OUT; 2], &[NOT_ENOUGH; 3]] {
        n += 1;
        cluster.request_errors(RDKafkaApiKey::Produce, passing);
        let asked = Instant::now();
        producer.append(&answer(1, 0, n)).await.unwrap_or_else(|err| panic!("{passing:?} is not hidden: {err}"));
        println!("fault={:?}x{} hidden_ms={}", passing[0], passing.len(), asked.elapsed().as_millis());
        assert!(asked.elapsed() < Duration::from_secs(5), "{passing:?}: {:?}", asked.elapsed());
    }
    for lasting in [TOO_LARGE, UNAUTHORIZED] {
        cluster.request_errors(RDKafkaApiKey::Produce, &[lasting]);
        let asked = Instant::now();
        let err = producer.append(&answer(1, 0, 100)).await.expect_err("refused for good");
        println!("fault={lasting:?} told_ms={} as={err}", asked.elapsed().as_millis());
        assert!(matches!(err, AppendError::Rejected(_)) && !err.is_retriable(), "{lasting:?}: {err:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{lasting:?}: {:?}", asked.elapsed());
        let started = Instant::now();
        n += 1;
        while producer.append(&answer(1, 0, n)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(5), "{lasting:?}: the producer does not go on");
        }
    }
    let log = read_answers(&cluster.kafka_config("reader"), n as usize + 1);
    let numbers: Vec<u64> = log.values().flatten().map(number).collect();
    assert_eq!(numbers, (0..=n).collect::<Vec<_>>(), "in order, each once");
}
