//! Goal: the tail delivers every record of the partitions it was asked for, in order, from where
//! it was asked, through slow receivers, seeks back, bad records and lost ones.
//! Method: the embedded cluster; the log's own positions are the oracle.

mod kit;

use std::time::Duration;

use kit::{answer, codec, number, producer};
use quiz_schemas::{AnyEvent, Codec, DecodeError, Event, Position, Topic};
use quiz_stream::tail::EVENTS_MAX;
use quiz_stream::{EmbeddedCluster, Producer, SchemaSource, Tail, TailError, TailEvent, TailHandle, partition_of};
use tokio::sync::mpsc;
use tokio::time::timeout;

type Events = mpsc::Receiver<TailEvent>;

fn tail(cluster: &EmbeddedCluster) -> (TailHandle, Events) {
    tail_with(cluster, codec())
}

fn tail_with(cluster: &EmbeddedCluster, codec: std::sync::Arc<Codec>) -> (TailHandle, Events) {
    Tail::start(&cluster.kafka_config("edge"), codec, SchemaSource::fixed(), Topic::Answers).expect("a tail")
}

async fn next(events: &mut Events) -> TailEvent {
    timeout(kit::DEADLINE, events.recv()).await.expect("an event in time").expect("the tail lives")
}

/// The next event, which must be an answer: its number and place.
async fn next_answer(events: &mut Events) -> (u64, Position) {
    match next(events).await {
        TailEvent::Record(record) => match &record.event {
            AnyEvent::Answers(answer) => (number(answer), record.position()),
            other => panic!("not an answer: {other:?}"),
        },
        other => panic!("not a record: {other:?}"),
    }
}

/// The partition of game `game`'s lane 0.
fn partition(game: u64) -> i32 {
    partition_of(answer(game, 0, 0).key().as_bytes(), Topic::Answers.spec().partitions)
}

/// Appends answers `from..to` of a game; all go to one partition.
async fn append(producer: &Producer, game: u64, numbers: std::ops::Range<u64>) {
    let events: Vec<AnyEvent> = numbers.map(|n| answer(game, 0, n).into()).collect();
    producer.append_all(&events).await.expect("acknowledged");
}

#[tokio::test]
async fn it_reads_what_was_there_and_what_comes() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let p = partition(1);
    append(&producer, 1, 0..50).await;
    let (handle, mut events) = tail(&cluster);
    assert_eq!(handle.read_from(p, Some(20)).await.expect("assigned"), 20);
    append(&producer, 1, 50..60).await;
    for n in 20..60 {
        assert_eq!(next_answer(&mut events).await, (n, Position { partition: p, offset: n as i64 }));
    }
}

#[tokio::test]
async fn from_the_end_means_from_the_moment_of_the_call() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    append(&producer, 1, 0..50).await;
    let (handle, mut events) = tail(&cluster);
    assert_eq!(handle.read_from(partition(1), None).await.expect("assigned"), 50);
    append(&producer, 1, 50..53).await;
    for n in 50..53 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
}

#[tokio::test]
async fn it_goes_back_when_asked_and_never_forward() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let p = partition(1);
    append(&producer, 1, 0..40).await;
    let (handle, mut events) = tail(&cluster);
    handle.read_from(p, Some(0)).await.expect("assigned");
    for n in 0..40 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
    assert_eq!(handle.read_from(p, Some(60)).await.expect("stays"), 40);
    assert_eq!(handle.read_from(p, None).await.expect("stays"), 40);
    // Back and back again, with records on their way, many times: none is missing, none is out of order.
    for round in 0..30 {
        let back = (round * 7) % 40;
        assert_eq!(handle.read_from(p, Some(back)).await.expect("goes back"), back);
        for n in back..40 {
            assert_eq!(next_answer(&mut events).await.1.offset, n, "round {round}");
        }
    }
    append(&producer, 1, 40..45).await;
    for n in 40..45 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
}

/// Goal: going back while records are on their way neither loses nor mixes any. Method: read a part,
/// go back, and check that what comes is what was queued before, then all from the new place on.
#[tokio::test]
async fn going_back_in_the_middle_mixes_nothing() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let (p, total) = (partition(1), EVENTS_MAX as i64 * 12);
    append(&producer, 1, 0..total as u64).await;
    let (handle, mut events) = tail(&cluster);
    handle.read_from(p, Some(0)).await.expect("assigned");
    let mut expected = 0;
    for round in 0..20 {
        for _ in 0..100 + (round * 137) % 600 {
            assert_eq!(next_answer(&mut events).await.1.offset, expected, "round {round}");
            expected += 1;
        }
        let back = expected - 50;
        assert_eq!(handle.read_from(p, Some(back)).await.expect("goes back"), back);
        let jumped = loop {
            let offset = next_answer(&mut events).await.1.offset;
            if offset != expected {
                break offset;
            }
            expected += 1;
        };
        assert_eq!(jumped, back, "round {round}, standing at {expected}");
        expected = back + 1;
    }
    while expected < total {
        assert_eq!(next_answer(&mut events).await.1.offset, expected);
        expected += 1;
    }
}

#[tokio::test]
async fn a_released_partition_is_silent_and_the_others_are_not() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let other = (2..).find(|&game| partition(game) != partition(1)).expect("a game elsewhere");
    let (handle, mut events) = tail(&cluster);
    for game in [1, other] {
        handle.read_from(partition(game), Some(0)).await.expect("assigned");
    }
    handle.release(partition(1)).await.expect("released");
    append(&producer, 1, 0..10).await;
    append(&producer, other, 10..20).await;
    for n in 10..20 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
    assert_eq!(handle.read_from(partition(1), Some(3)).await.expect("assigned again"), 3);
    for n in 3..10 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
}

/// Method: fill the channel, then ask for another partition before reading anything.
#[tokio::test]
async fn a_slow_receiver_loses_nothing_and_may_still_ask() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let total = EVENTS_MAX as u64 * 3;
    append(&producer, 1, 0..total).await;
    let other = (2..).find(|&game| partition(game) != partition(1)).expect("a game elsewhere");
    let (handle, mut events) = tail(&cluster);
    handle.read_from(partition(1), Some(0)).await.expect("assigned");
    while events.len() < EVENTS_MAX {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = timeout(kit::DEADLINE, handle.read_from(partition(other), Some(0))).await;
    assert_eq!(asked.expect("served while the channel is full").expect("assigned"), 0);
    for n in 0..total {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
}

#[tokio::test]
async fn a_bad_record_is_told_and_passed() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let key = answer(1, 0, 0).key();
    let name = Topic::Answers.name();
    append(&producer, 1, 0..1).await;
    for bad in [Some(b"x".as_slice()), Some(&[0, 0, 0, 0, 99, 1]), None] {
        producer.append_raw(name, Some(key.as_bytes()), bad, &[]).await.expect("acknowledged");
    }
    append(&producer, 1, 4..5).await;
    let (handle, mut events) = tail(&cluster);
    handle.read_from(partition(1), Some(0)).await.expect("assigned");
    assert_eq!(next_answer(&mut events).await.0, 0);
    let expected = ["TooShort(1)", "UnknownSchema(99)", "TooShort(0)"];
    for (index, expected) in expected.into_iter().enumerate() {
        let TailEvent::Poison { partition: at, offset, error } = next(&mut events).await else { panic!("no poison") };
        assert_eq!((at, offset), (partition(1), index as i64 + 1));
        assert_eq!(format!("{error:?}"), expected);
    }
    assert_eq!(next_answer(&mut events).await.0, 4);
}

#[tokio::test]
async fn a_schema_that_the_codec_does_not_know_is_learned() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    append(&producer(&cluster).await, 1, 0..3).await;
    let (handle, mut events) = tail_with(&cluster, Codec::new().into());
    handle.read_from(partition(1), Some(0)).await.expect("assigned");
    assert_eq!(next_answer(&mut events).await.0, 0);
}

/// The embedded cluster keeps 5 MiB of a partition; what was pushed out is a gap.
#[tokio::test]
async fn what_retention_took_is_told_as_a_gap() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    let key = answer(1, 0, 0).key();
    let big = vec![0u8; 900_000];
    for _ in 0..8 {
        let ack = producer.append_raw(Topic::Answers.name(), Some(key.as_bytes()), Some(&big), &[]);
        ack.await.expect("acknowledged");
    }
    let (handle, mut events) = tail(&cluster);
    let at = handle.read_from(partition(1), Some(0)).await.expect("assigned");
    assert!(at > 0, "nothing was pushed out");
    let TailEvent::Gap { partition: p, from, to } = next(&mut events).await else { panic!("no gap") };
    assert_eq!((p, from, to), (partition(1), 0, at));
    assert!(
        matches!(next(&mut events).await, TailEvent::Poison { offset, error: DecodeError::UnknownSchema(0), .. } if offset == at)
    );

    // A cursor from another life of the log: behind its end.
    handle.release(partition(1)).await.expect("released");
    assert_eq!(handle.read_from(partition(1), Some(500)).await.expect("assigned"), 8);
    loop {
        match next(&mut events).await {
            TailEvent::Gap { from, to, .. } => break assert_eq!((from, to), (500, 8)),
            TailEvent::Poison { .. } => {}
            TailEvent::Record(record) => panic!("{record:?}"),
        }
    }
}

#[tokio::test]
async fn a_broker_outage_is_waited_out() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let producer = producer(&cluster).await;
    append(&producer, 1, 0..5).await;
    let (handle, mut events) = tail(&cluster);
    handle.read_from(partition(1), Some(0)).await.expect("assigned");
    assert_eq!(next_answer(&mut events).await.0, 0);
    cluster.broker_down().expect("down");
    let other = (2..).find(|&game| partition(game) != partition(1)).expect("a game elsewhere");
    let err = handle.read_from(partition(other), None).await.expect_err("nobody knows the end");
    assert!(matches!(err, TailError::Unavailable { .. }), "{err:?}");
    cluster.broker_up().expect("up");
    append(&producer, 1, 5..10).await;
    for n in 1..10 {
        assert_eq!(next_answer(&mut events).await.0, n);
    }
}

#[tokio::test]
async fn it_ends_with_its_receiver_and_with_its_handles() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let (handle, events) = tail(&cluster);
    drop(events);
    let ended = async {
        while handle.read_from(0, Some(0)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(kit::DEADLINE, ended).await.expect("the tail ends without its receiver");

    let (handle, mut events) = tail(&cluster);
    drop(handle);
    let last = timeout(kit::DEADLINE, events.recv()).await.expect("the tail ends without handles");
    assert!(last.is_none());
}
