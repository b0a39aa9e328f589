//! Goal: a change of the group stops no partition for long, whoever joins, leaves or dies, and no answer is
//! lost or counted twice by it. Method: real scoring workers as processes on real servers; one lane in each
//! partition gets an answer every 50 ms, and what the workers report of each lane says when it got on; at the
//! end each lane's counts must be what was appended. Whoever takes a partition over reads it from the oldest question
//! on that is open in it, and scores and stores again what is open, which keeps a machine of two cores, and so all
//! lanes, busy for seconds when it is much: so what other tests left open is closed first, and a new question begins
//! before each change. Control: each change moves partitions, or the reports of the last phase could not come.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quiz_schemas::events::{
    AnswerSubmitted, AnswersBody, AnswersRecord, LaneClosed, LaneOpened, ScoresBody, ScoresRecord,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{Codec, GameId, LaneKey, PlayerId, QuestionNo, SubmissionId, Topic};
use quiz_stream::{KafkaConfig, Producer, ProducerOptions, SchemaSource, partition_of};
use quiz_workers::scoring::GROUP;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two answers of a lane.
const EVERY: Duration = Duration::from_millis(50);

/// For how long a change of the group is watched: longer than a dead member is waited for.
const WATCHED: Duration = Duration::from_secs(14);

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see scripts/stack"))
}

/// A scoring worker; killed when it is dropped.
struct Worker(Child);

impl Worker {
    fn start(name: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
        command.args(["serve", "scoring", "--instance", name, "--admin-listen", "127.0.0.1:0"]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the binary starts"))
    }

    /// SIGTERM, and the time that it takes to end.
    fn stop(mut self) -> Duration {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let status = self.0.wait().expect("it ends");
        assert!(status.success(), "{status}");
        started.elapsed()
    }

    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the workers have said of a lane.
#[derive(Default)]
struct Heard {
    /// The latest question, and how many answers to it are scored.
    at: (QuestionNo, i64),
    /// When `at` rose, in order.
    rose: Vec<Instant>,
    /// How many answers each closed question had; all that was said of it.
    closed: BTreeMap<QuestionNo, Vec<i64>>,
}

/// Answers on the way to all lanes, every [`EVERY`].
struct Answering {
    /// The question that is to be answered; none when it is over.
    wanted: watch::Sender<Option<QuestionNo>>,
    /// How many answers each lane got to each question.
    task: JoinHandle<Vec<u64>>,
}

impl Answering {
    /// Closes the question that is open and goes on with the next, whose number is given.
    fn next(&self) -> QuestionNo {
        let mut next = 0;
        self.wanted.send_modify(|wanted| {
            next = wanted.map_or(0, |question| question + 1);
            *wanted = Some(next);
        });
        next
    }

    /// Closes the last question.
    async fn stop(self) -> Vec<u64> {
        self.wanted.send_replace(None);
        self.task.await.expect("no panic")
    }
}

struct Stage {
    codec: Arc<Codec>,
    producer: Producer,
    lanes: Vec<LaneKey>,
    reader: BaseConsumer,
    heard: BTreeMap<LaneKey, Heard>,
}

impl Stage {
    async fn set() -> Self {
        let kafka = KafkaConfig::new(server("QUIZ_KAFKA__BOOTSTRAP_SERVERS"), "rebalances");
        let codec = Arc::new(Codec::new());
        let schemas = SchemaSource::registry(&[server("QUIZ_REGISTRY__URL")]).expect("a registry");
        schemas.register_all(&codec).await.expect("the registry answers");
        let producer = Producer::new(&kafka, Arc::clone(&codec), ProducerOptions::default()).expect("a producer");
        producer.ready(Duration::from_secs(20)).await.expect("Kafka answers");
        let left = left_open(&kafka, &codec);
        println!("closing {} questions that were left open", left.len());
        let close = |(LaneKey { game, lane }, question)| {
            AnswersRecord { game, lane, body: LaneClosed { question, closed_at_us: 0 }.into() }.into()
        };
        producer.append_all(&left.into_iter().map(close).collect::<Vec<_>>()).await.expect("Kafka takes them");
        let reader = reader(&kafka);
        Self { lanes: lanes(), codec, producer, reader, heard: BTreeMap::new() }
    }

    /// Opens a question and answers it in each lane.
    fn answer(&self) -> Answering {
        let (wanted, question) = watch::channel(Some(0));
        let task = tokio::spawn(answers(self.producer.clone(), self.lanes.clone(), question));
        Answering { wanted, task }
    }

    /// Goes on with the next question, and waits until answers to it are scored in all lanes.
    fn next_question(&mut self, answering: &Answering) {
        let question = answering.next();
        let begun = |heard: &BTreeMap<LaneKey, Heard>| heard.values().all(|heard| heard.at >= (question, 1));
        assert!(self.hear(Duration::from_secs(20), begun), "not every lane has begun question {question}");
    }

    /// Takes what the workers have said, for so long or until `enough`.
    fn hear(&mut self, patience: Duration, enough: impl Fn(&BTreeMap<LaneKey, Heard>) -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < patience {
            if enough(&self.heard) {
                return true;
            }
            let Some(message) = self.reader.poll(Duration::from_millis(20)) else { continue };
            let message = message.expect("Kafka answers");
            let record: ScoresRecord = self.codec.decode(message.payload().unwrap_or_default()).expect("a report");
            let lane = LaneKey { game: record.game, lane: record.lane };
            if !self.lanes.contains(&lane) {
                continue;
            }
            let heard = self.heard.entry(lane).or_default();
            let at = (record.question, record.counts.scored);
            if at > heard.at {
                heard.at = at;
                heard.rose.push(Instant::now());
            }
            if matches!(record.body, ScoresBody::LaneScored(_)) {
                heard.closed.entry(record.question).or_default().push(record.counts.scored);
            }
        }
        enough(&self.heard)
    }

    /// Watches what a change does to the lanes: how long one got nowhere, at the longest and for a quarter of them.
    fn watch(&mut self, what: &str) -> Pauses {
        let from = Instant::now();
        self.hear(WATCHED, |_| false);
        let mut pauses: Vec<Duration> = self.lanes.iter().map(|lane| self.heard[lane].pause(from)).collect();
        pauses.sort_unstable();
        let (quarter, longest) = (pauses[pauses.len() / 4], pauses[pauses.len() - 1]);
        let stood = pauses.iter().filter(|pause| **pause > Duration::from_millis(500)).count();
        println!(
            "fault={what} longest_pause_s={:.2} median_pause_s={:.2} quarter_pause_s={:.2} lanes_over_500ms={stood}/{}",
            longest.as_secs_f64(),
            pauses[pauses.len() / 2].as_secs_f64(),
            quarter.as_secs_f64(),
            pauses.len()
        );
        Pauses { longest, quarter }
    }

    /// Holds the counts of all lanes against what was sent to each of the questions.
    fn judge(&mut self, sent: &[u64]) {
        let told =
            |heard: &BTreeMap<LaneKey, Heard>| heard.values().filter(|one| one.closed.len() == sent.len()).count();
        let lanes = self.lanes.len();
        let all = self.hear(Duration::from_secs(20), |heard| told(heard) == lanes);
        assert!(all, "{} of {lanes} lanes have reported", told(&self.heard));
        for (lane, heard) in &self.heard {
            for (question, scored) in &heard.closed {
                let sent = sent[usize::from(*question)];
                assert!(scored.iter().all(|scored| *scored == sent as i64), "{lane} #{question}: {scored:?} of {sent}");
            }
        }
    }
}

/// For how long lanes got nowhere.
#[derive(Clone, Copy, Debug)]
struct Pauses {
    longest: Duration,
    /// A quarter of them stood still for no longer.
    quarter: Duration,
}

impl Heard {
    /// The longest time from `from` on in which it did not rise.
    fn pause(&self, from: Instant) -> Duration {
        let before = self.rose.iter().rev().find(|at| **at < from).copied().unwrap_or(from);
        let after = self.rose.iter().filter(|at| **at >= from).copied();
        let times: Vec<Instant> = std::iter::once(before).chain(after).chain([Instant::now()]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// One lane of a new game in each partition.
fn lanes() -> Vec<LaneKey> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let game = GameId::from_bits(now.as_micros() as u64);
    let partitions = Topic::Answers.spec().partitions;
    let in_partition = |partition| {
        let lanes = (0..1_000).map(|lane| LaneKey { game, lane });
        lanes.into_iter().find(|lane| partition_of(lane.to_string().as_bytes(), partitions) == partition)
    };
    (0..partitions).map(|partition| in_partition(partition).expect("a thousand lanes reach every partition")).collect()
}

/// Opens, answers and closes the questions that are wanted, until none is; how many answers each lane got to each.
async fn answers(producer: Producer, lanes: Vec<LaneKey>, wanted: watch::Receiver<Option<QuestionNo>>) -> Vec<u64> {
    let append = async |body: AnswersBody| {
        let record = |&LaneKey { game, lane }: &LaneKey| AnswersRecord { game, lane, body: body.clone() }.into();
        let records: Vec<_> = lanes.iter().map(record).collect();
        producer.append_all(&records).await.expect("Kafka takes them");
    };
    let mut sent: Vec<u64> = Vec::new();
    let mut submission = 0;
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let wanted = *wanted.borrow();
        let open = sent.len().checked_sub(1).map(|question| question as QuestionNo);
        if open != wanted {
            if let Some(question) = open {
                append(LaneClosed { question, closed_at_us: 0 }.into()).await;
            }
            let Some(question) = wanted else { return sent };
            append(opened(question).into()).await;
            sent.push(0);
        }
        let Some(count) = sent.last_mut() else { return sent };
        (*count, submission) = (*count + 1, submission + 1);
        let question = (sent.len() - 1) as QuestionNo;
        append(answer(question, submission).into()).await;
    }
}

fn opened(question: QuestionNo) -> LaneOpened {
    LaneOpened {
        question,
        key: AnswerKey::Single { options: 4, correct: Picks::one(1) },
        points_max: 1000,
        limit_us: 3_600_000_000,
        rule: "speed-v1".into(),
        streaks: false,
        opened_at_us: 0,
    }
}

fn answer(question: QuestionNo, n: u64) -> AnswerSubmitted {
    AnswerSubmitted {
        question,
        player: PlayerId::from_bits(n),
        submission: SubmissionId::from_bits(n),
        response: Response::Picks(Picks::one(1)),
        received_at_us: 0,
        elapsed_us: 1_000,
        edge: "test".into(),
    }
}

/// The questions that are open for the group: those that its members would read again.
fn left_open(kafka: &KafkaConfig, codec: &Codec) -> BTreeMap<LaneKey, QuestionNo> {
    let patience = Duration::from_secs(10);
    let topic = Topic::Answers;
    let mut config = kafka.consumer();
    config.set("group.id", GROUP).set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
    let reader: BaseConsumer = config.create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    all.add_partition_range(topic.name(), 0, topic.spec().partitions - 1);
    let all = reader.committed_offsets(all, patience).expect("Kafka answers");
    for mut partition in all.elements() {
        if partition.offset() == Offset::Invalid {
            partition.set_offset(Offset::Beginning).expect("an offset");
        }
    }
    reader.assign(&all).expect("assigned");
    let (mut open, mut at_end) = (BTreeMap::new(), BTreeSet::new());
    while (at_end.len() as i32) < topic.spec().partitions {
        let message = match reader.poll(patience).expect("Kafka answers") {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(partition)) => {
                at_end.insert(partition);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let record: AnswersRecord = codec.decode(message.payload().unwrap_or_default()).expect("a record");
        let lane = LaneKey { game: record.game, lane: record.lane };
        match record.body {
            AnswersBody::LaneOpened(opened) => {
                open.insert(lane, opened.question);
            }
            AnswersBody::LaneClosed(_) => {
                open.remove(&lane);
            }
            AnswersBody::AnswerSubmitted(_) | AnswersBody::Unknown => {}
        }
    }
    open
}

/// Reads the reports from now on.
fn reader(kafka: &KafkaConfig) -> BaseConsumer {
    let mut config = kafka.consumer();
    config.set("group.id", "test.rebalances").set("auto.offset.reset", "error");
    let reader: BaseConsumer = config.create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..Topic::Scores.spec().partitions {
        let (_, end) = reader
            .fetch_watermarks(Topic::Scores.name(), partition, Duration::from_secs(10))
            .expect("the topics are there: `quizstream topics apply`");
        all.add_partition_offset(Topic::Scores.name(), partition, Offset::Offset(end)).expect("an offset");
    }
    reader.assign(&all).expect("assigned");
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_group_stops_no_partition_for_long() {
    let mut stage = Stage::set().await;
    let answering = stage.answer();
    let mut workers = vec![Worker::start("rebalances-1")];
    let lanes = stage.lanes.len();
    assert!(stage.hear(Duration::from_secs(40), |heard| heard.len() == lanes), "the first worker has all lanes");
    let steady = stage.watch("none");

    stage.next_question(&answering);
    workers.push(Worker::start("rebalances-2"));
    let second = stage.watch("1-to-2-workers");
    stage.next_question(&answering);
    workers.extend([Worker::start("rebalances-3"), Worker::start("rebalances-4")]);
    let fourth = stage.watch("2-to-4-workers");
    stage.next_question(&answering);
    let ended = workers.remove(0).stop();
    let left = stage.watch("worker-sigterm");
    stage.next_question(&answering);
    workers.remove(0).kill();
    let killed = stage.watch("worker-kill-9");
    stage.next_question(&answering);
    workers.push(Worker::start("rebalances-5"));
    let again = stage.watch("worker-again");

    let sent = answering.stop().await;
    stage.judge(&sent);
    let answers = sent.iter().sum::<u64>() * lanes as u64;
    println!("seed=0 fault=rebalances sigterm_s={:.2} answers={answers}", ended.as_secs_f64());
    assert!(steady.longest < Duration::from_secs(2), "at rest: {steady:?}");
    for (what, pauses) in [("second", second), ("fourth", fourth), ("left", left), ("again", again)] {
        // Nobody waits for the end of a session, and who keeps its worker goes on.
        assert!(pauses.longest < Duration::from_secs(5), "{what}: {pauses:?}");
        assert!(pauses.quarter < Duration::from_secs(1), "{what}: {pauses:?}");
    }
    assert!(killed.longest < Duration::from_secs(10), "killed: {killed:?}");
    assert!(ended < Duration::from_secs(8), "SIGTERM: {ended:?}");
}

/// Every two seconds a worker starts or is killed, for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_rebalances_loses_nothing() {
    const ROUNDS: usize = 30;
    const WORKERS: usize = 4;
    let mut stage = Stage::set().await;
    let answering = stage.answer();
    let mut workers = vec![Worker::start("storm-0")];
    let lanes = stage.lanes.len();
    assert!(stage.hear(Duration::from_secs(40), |heard| heard.len() == lanes), "the first worker has all lanes");
    let (mut longest, mut kills) = (Duration::ZERO, 0);
    let mut moved_at = Instant::now();
    for round in 1..=ROUNDS {
        if workers.len() == WORKERS || (round % 2 == 0 && workers.len() > 1) {
            workers.remove(0).kill();
            kills += 1;
        } else {
            workers.push(Worker::start(&format!("storm-{round}")));
        }
        let before: i64 = stage.heard.values().map(|heard| heard.at.1).sum();
        stage.hear(Duration::from_secs(2), |_| false);
        if stage.heard.values().map(|heard| heard.at.1).sum::<i64>() > before {
            moved_at = Instant::now();
        }
        longest = longest.max(moved_at.elapsed());
        assert!(longest < Duration::from_secs(10), "round {round}: nothing was scored for {longest:?}");
    }
    let sent = answering.stop().await;
    let calm = Instant::now();
    stage.judge(&sent);
    let caught_up = calm.elapsed();
    println!(
        "seed=0 fault=rebalance-storm kills={kills} nothing_scored_s={:.1} caught_up_s={:.1} answers={}",
        longest.as_secs_f64(),
        caught_up.as_secs_f64(),
        sent.iter().sum::<u64>() * lanes as u64
    );
    assert!(kills >= 10, "the fault bit");
}
