//! Goal: results that an edge never reads are made up for on the same sockets, and results that come again, in any
//! order, change nothing that anybody sees. Method: two edges on the real servers, a player on each; the results of
//! the game are deleted from the log while one edge is stopped, or appended once more, backwards. Control: the log
//! begins behind what that edge had read; the log is as much longer as was appended.

use std::net::SocketAddr;
use std::time::Duration;

use quiz_ingest::http::Created;
use quiz_ingest::protocol::{Answer, ClientMessage};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::topic::GAME_PARTITIONS;
use quiz_schemas::{QuestionNo, SubmissionId, Topic};
use quiz_stream::{Producer, ProducerOptions, partition_of};
use quizstream::client::create::create;
use quizstream::client::host::Host;
use quizstream::client::link::Way;
use quizstream::demo::stage::{Guard, Pipeline};
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::time::Instant;

#[path = "support/process.rs"]
mod process;
mod support;
#[path = "support/talker.rs"]
mod talker;

use process::Paused;
use support::Cluster;
use talker::Talker;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than any question of these games needs.
const LIMIT: Duration = Duration::from_secs(60);

/// A player who notes the order in which questions and boards come.
struct Player {
    talker: Talker,
    submissions: u64,
}

impl Player {
    async fn join(edge: SocketAddr, created: &Created, nickname: &str, submissions: u64) -> Self {
        let (talker, _) = Talker::join(edge, &created.pin.to_string(), nickname).await;
        Self { talker, submissions }
    }

    /// The next message of this type about a question.
    async fn hears(&mut self, kind: &str, no: QuestionNo) -> Value {
        loop {
            let message = self.talker.next(&[kind]).await;
            if message["question"] == no {
                return message;
            }
        }
    }

    /// Hears a question: the offset of its record, none in a snapshot.
    async fn asked(&mut self, no: QuestionNo) -> Option<i64> {
        self.hears("question", no).await["at"].as_i64()
    }

    async fn board(&mut self, no: QuestionNo) {
        self.hears("board", no).await;
    }

    /// Answers, and waits for the receipt.
    async fn answers(&mut self, question: QuestionNo) {
        self.submissions += 1;
        let submission = SubmissionId::from_bits(self.submissions);
        // The third question of the test quiz asks for a number.
        let response = if question == 2 { Response::Number(42.0) } else { Response::Picks(Picks::one(1)) };
        let answer = ClientMessage::Answer(Answer { question, submission, response, proof: None });
        self.talker.send(&serde_json::to_value(&answer).expect("JSON")).await;
        let ack = self.talker.next(&["ack", "error"]).await;
        assert_eq!((&ack["type"], &ack["submission"]), (&json!("ack"), &json!(submission)), "{ack}");
    }

    /// What was seen never went back.
    fn went_forward(&self) {
        let heard = self.talker.heard.iter().map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
        let seen = heard.filter_map(|message| {
            let is_board = match message["type"].as_str()? {
                "question" => false,
                "board" => true,
                _ => return None,
            };
            Some((message["question"].as_u64()?, is_board))
        });
        let seen: Vec<_> = seen.collect();
        assert!(seen.len() >= 5, "three questions and boards of two: {seen:?}");
        let strictly = seen.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(strictly, "questions and boards in order, none twice: {seen:?}");
    }
}

/// A game on two edges.
struct Stage {
    pipeline: Pipeline,
    guard: Guard,
    host: Option<Host>,
    /// On the first edge, as the host.
    ada: Player,
    /// On the second.
    bob: Player,
    /// The key of its records.
    key: Vec<u8>,
    partition: i32,
}

impl Stage {
    async fn set() -> Self {
        let (pipeline, guard) = support::pipeline(Cluster { edges: 2, scoring: 1, boards: 1 }).await;
        let way = Way::new(&pipeline.edges[..1], 8, PATIENCE);
        let created =
            create(&way, &support::quiz(3, 60_000), 10).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        let ada = Player::join(pipeline.edges[0], &created, "Ada", 100).await;
        let bob = Player::join(pipeline.edges[1], &created, "Bob", 200).await;
        let key = created.game.to_string().into_bytes();
        let partition = partition_of(&key, GAME_PARTITIONS);
        let host = Some(Host::new(way, created.host_token));
        Self { pipeline, guard, host, ada, bob, key, partition }
    }

    /// Has the host open a question and wait for its board beside what the test does.
    fn open(&mut self, no: QuestionNo) -> tokio::task::JoinHandle<(Host, i64)> {
        let mut host = self.host.take().expect("the last question is over");
        tokio::spawn(async move {
            let board = host.ask(no, LIMIT).await.unwrap_or_else(|failure| panic!("{}", failure.message));
            (host, board.answered)
        })
    }

    /// Both answer a question that both have heard, and get its board.
    async fn play(&mut self, no: QuestionNo, open: tokio::task::JoinHandle<(Host, i64)>) {
        self.ada.answers(no).await;
        self.bob.answers(no).await;
        self.boards(no, open).await;
    }

    /// Waits until all have the board of a question that both have answered.
    async fn boards(&mut self, no: QuestionNo, open: tokio::task::JoinHandle<(Host, i64)>) {
        self.ada.board(no).await;
        self.bob.board(no).await;
        let (host, answered) = open.await.expect("no panic");
        assert_eq!(answered, 2, "both answers count");
        self.host = Some(host);
    }

    fn consumer(&self) -> BaseConsumer {
        let mut client = self.pipeline.kafka.consumer();
        client.set("group.id", "test.results").set("enable.partition.eof", "true");
        client.create().expect("a client")
    }

    fn watermarks(&self) -> (i64, i64) {
        let asked = self.consumer().fetch_watermarks(Topic::Results.name(), self.partition, PATIENCE);
        asked.expect("the broker answers")
    }

    /// The keys and values of the game's results so far, oldest first.
    fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let consumer = self.consumer();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(Topic::Results.name(), self.partition, Offset::Beginning).expect("an offset");
        consumer.assign(&all).expect("assigned");
        let mut records = Vec::new();
        loop {
            match consumer.poll(PATIENCE).expect("the broker answers") {
                Ok(record) if record.key() == Some(&self.key) => {
                    let value = record.payload().expect("no tombstones").to_vec();
                    records.push((self.key.clone(), value));
                }
                Ok(_) => {}
                Err(KafkaError::PartitionEOF(_)) => return records,
                Err(err) => panic!("{err}"),
            }
        }
    }

    async fn end(mut self) {
        self.ada.went_forward();
        self.bob.went_forward();
        drop((self.host.take(), self.pipeline));
        self.guard.down().await.unwrap_or_else(|failure| panic!("{}", failure.message));
    }
}

/// F20, a record is missing.
#[tokio::test(flavor = "multi_thread")]
async fn results_that_an_edge_never_reads_are_made_up_for() {
    let mut stage = Stage::set().await;
    let first = stage.open(0);
    stage.ada.asked(0).await;
    stage.bob.asked(0).await.expect("news has an offset");
    let (_, read_to) = stage.watermarks();
    stage.bob.answers(0).await;

    let admin: AdminClient<DefaultClientContext> = stage.pipeline.kafka.client().create().expect("a client");
    let pid = stage.guard.processes().and_then(|processes| processes.pid("edge-2")).expect("it runs");
    // For less than what makes an edge send its clients away.
    let paused = Paused::process(pid);
    stage.ada.answers(0).await;
    stage.ada.board(0).await;
    let (host, answered) = first.await.expect("no panic");
    assert_eq!(answered, 2);
    stage.host = Some(host);
    let second = stage.open(1);
    stage.ada.asked(1).await;

    let mut all = TopicPartitionList::new();
    all.add_partition_offset(Topic::Results.name(), stage.partition, Offset::End).expect("an offset");
    admin.delete_records(&all, &AdminOptions::new()).await.expect("the broker deletes");
    let (low, _) = stage.watermarks();
    assert!(low > read_to, "the log begins at {low}; the edge has read to {read_to}");

    drop(paused);
    let woke = Instant::now();
    // That records are gone is seen when the next one comes: how many have answered.
    stage.ada.answers(1).await;
    let at = stage.bob.asked(1).await;
    let resync_ms = woke.elapsed().as_millis();
    assert_eq!(at, None, "the present state, not a record that is gone");
    stage.bob.answers(1).await;
    stage.boards(1, second).await;
    let third = stage.open(2);
    stage.ada.asked(2).await;
    assert!(stage.bob.asked(2).await.is_some(), "news again");
    stage.play(2, third).await;
    println!("fault=F20-missing deleted={} resync_ms={resync_ms}", low - read_to);
    stage.end().await;
}

/// F20, records come twice and out of order.
#[tokio::test(flavor = "multi_thread")]
async fn results_that_come_again_change_nothing() {
    let mut stage = Stage::set().await;
    for no in 0..2 {
        let open = stage.open(no);
        stage.ada.asked(no).await;
        stage.bob.asked(no).await;
        stage.play(no, open).await;
    }
    let third = stage.open(2);
    stage.ada.asked(2).await;
    stage.bob.asked(2).await;

    let (_, before) = stage.watermarks();
    let records = stage.records();
    let producer = Producer::new(&stage.pipeline.kafka, stage.pipeline.codec.clone(), ProducerOptions::default())
        .expect("a producer");
    for (key, value) in records.iter().rev() {
        let appended = producer.append_raw(Topic::Results.name(), Some(key), Some(value), &[]);
        appended.await.expect("appended");
    }
    let (_, after) = stage.watermarks();
    assert!(
        records.len() >= 7 && after - before >= i64::try_from(records.len()).expect("few"),
        "{} again",
        records.len()
    );
    // What comes behind them in the log is heard as ever, and nothing of them before it.
    stage.play(2, third).await;
    println!("fault=F20-again appended={}", records.len());
    stage.end().await;
}
