//! Goal: a record that cannot be read goes to the dead-letter topic byte for byte, and the records
//! beside it are scored as if it were not there. Method: raw bytes between the answers of a running
//! game, on the partition of its lane; the dead letters are read back with kcat, not with our code.

use std::process::Command;
use std::time::Duration;

use quiz_schemas::Topic;
use quiz_stream::{Producer, ProducerOptions};
use tokio::time::Instant;

mod support;
use support::Cluster;

const PLAYERS: u32 = 40;

/// Values that no reader of the topic can take: empty, a foreign first byte, a schema that nobody
/// registered, a cut datum, noise. `tag` makes them this run's own.
fn poison(tag: u64, good: &[u8]) -> Vec<Vec<u8>> {
    let tag = tag.to_be_bytes();
    let with = |head: &[u8]| [head, &tag].concat();
    let noise = (0..100_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect::<Vec<u8>>();
    vec![
        with(&[7, 0, 0, 0, 1]),
        with(&[0, 0x7f, 0xff, 0xff, 0xfe]),
        with(&good[..8]),
        [good, &tag].concat(),
        with(&noise),
    ]
}

/// The values of a topic, read by kcat.
fn dead_letters() -> Vec<Vec<u8>> {
    let brokers = support::server("QUIZ_KAFKA__BOOTSTRAP_SERVERS");
    let output = Command::new("kcat")
        .args(["-C", "-q", "-e", "-o", "beginning", "-b", &brokers, "-t", Topic::Answers.spec().dlq, "-f", "%R%s"])
        .output()
        .expect("kcat is installed: scripts/setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    let mut values = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length).max(0) as usize;
        values.push(tail[..length].to_vec());
        rest = &tail[length..];
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_between_answers_is_dead_lettered_and_harms_nobody() {
    let (pipeline, guard) = support::pipeline(Cluster { edges: 1, scoring: 1, boards: 1 }).await;
    let mut game = support::game(&pipeline, support::quiz(2, 6_000), PLAYERS, 5).await;
    let producer =
        Producer::new(&pipeline.kafka, pipeline.codec.clone(), ProducerOptions::default()).expect("a producer");
    let lane = game.lane_keys()[0];
    let tag = lane.game.bits();
    let good = pipeline
        .codec
        .encode(&quiz_schemas::events::AnswersRecord {
            game: lane.game,
            lane: lane.lane,
            body: quiz_schemas::events::LaneClosed { question: 9, closed_at_us: 1 }.into(),
        })
        .expect("it encodes");
    let poison = poison(tag, &good);
    let tally = game.tally().clone();
    let poisoned = async {
        let deadline = Instant::now() + Duration::from_secs(20);
        while tally.question(0, |seen| seen.acked.len()) < 5 {
            assert!(Instant::now() < deadline, "no answers came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for value in &poison {
            let key = lane.to_string();
            producer
                .append_raw(Topic::Answers.name(), Some(key.as_bytes()), Some(value), &[])
                .await
                .expect("the broker takes any bytes");
        }
    };
    let (asked, ()) = tokio::join!(game.ask(&pipeline, 0), poisoned);
    asked.unwrap_or_else(|failure| panic!("{}", failure.message));
    game.ask(&pipeline, 1).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let over = game.end().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    let proof = game.prove(&pipeline, &over).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert_eq!(proof.summary.acked, u64::from(PLAYERS) * 2);
    assert!(proof.holds(), "{:?}", proof.ledger);

    let dead = dead_letters();
    for (no, value) in poison.iter().enumerate() {
        assert_eq!(
            dead.iter().filter(|dead| *dead == value).count(),
            1,
            "poison {no} is dead-lettered once, as it was"
        );
    }
    let ours = dead.iter().filter(|dead| dead.ends_with(&tag.to_be_bytes())).count();
    assert_eq!(ours, poison.len(), "nothing else was dead-lettered");
    drop(pipeline);
    guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
}
