//! Goal: records that retention deletes before a group has read them are announced and counted, exactly, and never
//! skipped in silence; the group goes on behind them. Method: a topic of the real broker with a retention of 5 s; a
//! member reads, is stopped, misses records until they are gone, and is started again; what it reports is
//! held against the watermarks and offsets that the broker tells a plain client. Control: the low watermark has moved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quiz_schemas::events::QuizzesRecord;
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{AnyEvent, Codec, Topic};
use quiz_stream::group::{GroupSetup, metrics, run_group};
use quiz_stream::{
    Delivery, GroupSpec, KafkaConfig, Output, Processor, Producer, ProducerOptions, Record, SchemaSource, StateStore,
    StoreUnavailable, partition_of,
};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio_util::sync::CancellationToken;

#[path = "../stream/tests/kit/counters.rs"]
mod counters;
use counters::Counters;

/// A topic that no group of ours reads.
const TOPIC: Topic = Topic::Quizzes;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(90);

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see scripts/stack"))
}

/// Remembers what it has read.
struct Reader {
    group: &'static str,
}

impl Processor for Reader {
    type State = ();
    type Key = ();
    type Doc = ();
    type Write = (i32, i64);

    fn group(&self) -> GroupSpec {
        GroupSpec { id: self.group, reads: &[TOPIC], restores_from: None, delivery: Delivery::AtLeastOnce }
    }

    fn start(&self, _partition: i32) {}

    fn apply(&self, (): &mut (), batch: &[Record], _now_us: i64) -> Output<(i32, i64)> {
        Output { write: batch.iter().map(|record| (record.partition, record.offset)).collect(), ..Output::default() }
    }
}

#[derive(Default)]
struct Read(Mutex<Vec<(i32, i64)>>);

#[async_trait::async_trait]
impl StateStore<Reader> for Read {
    async fn load(&self, _keys: &[()]) -> Result<Vec<()>, StoreUnavailable> {
        Ok(Vec::new())
    }

    async fn write(&self, writes: &[(i32, i64)]) -> Result<(), StoreUnavailable> {
        self.0.lock().expect("no panic").extend(writes);
        Ok(())
    }
}

/// The log lines of this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().expect("no panic"), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// How many alerts name this partition.
    fn alerts(&self, partition: i32) -> usize {
        let bytes = self.0.lock().expect("no panic");
        let text = String::from_utf8_lossy(&bytes);
        let is_alert = |line: &&str| line.contains("deleted before they were read");
        text.lines().filter(is_alert).filter(|line| line.contains(&format!("partition={partition} "))).count()
    }
}

struct Stage {
    kafka: KafkaConfig,
    codec: Arc<Codec>,
    schemas: SchemaSource,
    producer: Producer,
    group: &'static str,
    read: Arc<Read>,
    asker: BaseConsumer,
    partitions: i32,
}

impl Stage {
    async fn set() -> Self {
        let kafka = KafkaConfig::new(server("QUIZ_KAFKA__BOOTSTRAP_SERVERS"), "retention");
        let codec = Arc::new(Codec::new());
        let schemas = SchemaSource::registry(&[server("QUIZ_REGISTRY__URL")]).expect("a registry");
        schemas.register_all(&codec).await.expect("the registry answers");
        let producer = Producer::new(&kafka, Arc::clone(&codec), ProducerOptions::default()).expect("a producer");
        producer.ready(PATIENCE).await.expect("Kafka answers");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        // A group of this run's own. It lives as long as the process.
        let group: &'static str = Box::leak(format!("test.retention-{}", now.as_micros()).into_boxed_str());
        let asker = kafka.consumer().set("group.id", group).create().expect("a consumer");
        let partitions = TOPIC.spec().partitions;
        Self { kafka, codec, schemas, producer, group, read: Arc::default(), asker, partitions }
    }

    /// Appends `count(partition)` records to each partition.
    async fn append(&self, count: impl Fn(i32) -> usize) {
        for partition in 0..self.partitions {
            let key = |n: &u64| partition_of(format!("retention-{n}/1").as_bytes(), self.partitions) == partition;
            let n = (0..).find(key).expect("some key lives there");
            let quiz = Quiz { id: format!("retention-{n}"), version: 1, title: "none".into(), questions: Vec::new() };
            let record: AnyEvent = QuizzesRecord { published_at_us: 0, quiz }.into();
            let placed = self.producer.append_all(&vec![record; count(partition)]).await.expect("Kafka takes them");
            assert!(placed.iter().all(|position| position.partition == partition));
        }
    }

    fn watermarks(&self, partition: i32) -> (i64, i64) {
        self.asker.fetch_watermarks(TOPIC.name(), partition, PATIENCE).expect("Kafka answers")
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(TOPIC.name(), 0, self.partitions - 1);
        let told = self.asker.committed_offsets(asked, PATIENCE).expect("Kafka answers");
        told.elements()
            .iter()
            .filter_map(|told| Some((told.partition(), told.offset().to_raw().filter(|at| *at >= 0)?)))
            .collect()
    }

    /// Runs a member until everything is read and committed.
    async fn run_member(&self) {
        let shutdown = CancellationToken::new();
        let setup = GroupSetup {
            kafka: self.kafka.clone(),
            codec: Arc::clone(&self.codec),
            schemas: self.schemas.clone(),
            producer: self.producer.clone(),
            instance: "one".into(),
        };
        let store: Arc<dyn StateStore<Reader>> = Arc::clone(&self.read) as _;
        let running = tokio::spawn(run_group(Reader { group: self.group }, store, setup, shutdown.clone()));
        let started = Instant::now();
        loop {
            let committed = self.committed();
            if (0..self.partitions).all(|partition| committed.get(&partition) == Some(&self.watermarks(partition).1)) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "committed: {committed:?}");
            assert!(!running.is_finished(), "the member goes on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        shutdown.cancel();
        running.await.expect("no panic").expect("it leaves");
    }
}

/// The topic's options as they were; they are put back whatever becomes of the test.
struct Options {
    admin: AdminClient<DefaultClientContext>,
    before: Vec<(String, String)>,
}

impl Options {
    async fn of_topic(kafka: &KafkaConfig) -> Self {
        let admin: AdminClient<DefaultClientContext> = kafka.client().create().expect("a client");
        let described = admin.describe_configs(&[ResourceSpecifier::Topic(TOPIC.name())], &AdminOptions::new()).await;
        let topic = described.expect("Kafka answers").remove(0).expect("the topic is there: `quizstream topics apply`");
        let own = topic.entries.into_iter().filter(|entry| matches!(entry.source, ConfigSource::DynamicTopic));
        Self { admin, before: own.filter_map(|entry| Some((entry.name, entry.value?))).collect() }
    }

    async fn alter(&self, options: &[(String, String)]) {
        let config = AlterConfig::new(ResourceSpecifier::Topic(TOPIC.name()));
        let config = options.iter().fold(config, |config, (option, value)| config.set(option, value));
        let altered = self.admin.alter_configs(&[config], &AdminOptions::new()).await.expect("Kafka answers");
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    }

    async fn shorten(&self) {
        let short = [("cleanup.policy", "delete"), ("retention.ms", "5000"), ("segment.ms", "1000")];
        let kept = self.before.iter().filter(|(option, _)| short.iter().all(|(of, _)| of != option)).cloned();
        let short = short.iter().map(|(option, value)| ((*option).to_string(), (*value).to_string()));
        self.alter(&kept.chain(short).collect::<Vec<_>>()).await;
    }

    async fn restore(&self) {
        self.alter(&self.before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_deletes_unread_is_counted_and_told_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let counters = Counters::of_process();
    let stage = Stage::set().await;
    stage.append(|_| 2).await;
    stage.run_member().await;
    let before = stage.committed();
    assert_eq!(before.len(), stage.partitions as usize, "the group's position is known everywhere");

    let options = Options::of_topic(&stage.kafka).await;
    options.shorten().await;
    // Partition 0 loses nothing, the others lose 1, 2, 3 …
    stage.append(|partition| partition as usize).await;
    let started = Instant::now();
    let gone = |partition| stage.watermarks(partition).0 >= before[&partition] + i64::from(partition);
    while !(1..stage.partitions).all(gone) {
        assert!(started.elapsed() < PATIENCE, "the broker keeps them: {:?}", stage.watermarks(1));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    options.restore().await;
    let holes: BTreeMap<i32, i64> = (0..stage.partitions)
        .map(|partition| (partition, (stage.watermarks(partition).0 - before[&partition]).max(0)))
        .collect();
    let lost: i64 = holes.values().sum();
    assert!(lost >= (1..stage.partitions).map(i64::from).sum(), "the fault bit: {holes:?}");

    stage.append(|_| 3).await;
    let read_before = stage.read.0.lock().expect("no panic").len();
    stage.run_member().await;
    let labels = format!("group={},topic={}", stage.group, TOPIC.name());
    let counted = counters.sum(metrics::RECORDS_LOST_TOTAL, &labels);
    println!(
        "fault=retention-overrun partitions={} lost={lost} counted={counted}",
        holes.values().filter(|hole| **hole > 0).count()
    );
    assert_eq!(counted, lost as u64, "{holes:?}");
    for (&partition, &hole) in &holes {
        assert_eq!(lines.alerts(partition), usize::from(hole > 0), "partition {partition} lost {hole}");
    }
    let read = stage.read.0.lock().expect("no panic")[read_before..].to_vec();
    assert_eq!(read.len(), 3 * stage.partitions as usize, "what is there is read, once: {read:?}");

    // Told once: a member that is started again has nothing to tell.
    stage.append(|_| 1).await;
    stage.run_member().await;
    assert_eq!(counters.sum(metrics::RECORDS_LOST_TOTAL, &labels), lost as u64);
}
