//! The loop's driver against the embedded cluster. Goal: what the simulation shows for the loop holds
//! for the driver's rebalances, seeks, commits and transactions on a real client library.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod kit;

#[path = "simulation/counting.rs"]
mod counting;
#[path = "simulation/deciding.rs"]
mod deciding;
#[path = "kit/members.rs"]
mod members;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use counting::Counting;
use deciding::Deciding;
use kit::DEADLINE;
use members::{MapStore, Member};
use quiz_schemas::events::{
    AnswerSubmitted, AnswersRecord, JoinsRecord, LaneClosed, LaneOpened, PlayerConnected, SessionsRecord,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{Codec, GameId, LaneKey, PlayerId, SubmissionId, Topic};
use quiz_stream::group::limits::WRITE_INTERVAL_US;
use quiz_stream::group::{GroupSetup, run_group};
use quiz_stream::{EmbeddedCluster, Producer, ProducerOptions, SchemaSource, StateStore, StoreUnavailable};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, Producer as _};
use tokio_util::sync::CancellationToken;

/// A store that nobody may use.
struct NoStore;

#[async_trait]
impl StateStore<Deciding> for NoStore {
    async fn load(&self, _keys: &[()]) -> Result<Vec<()>, StoreUnavailable> {
        Err(StoreUnavailable("there is none".into()))
    }

    async fn write(&self, _writes: &[()]) -> Result<(), StoreUnavailable> {
        Err(StoreUnavailable("there is none".into()))
    }
}

struct Kit {
    cluster: EmbeddedCluster,
    codec: Arc<Codec>,
    producer: Producer,
}

impl Kit {
    fn start() -> Self {
        let cluster = EmbeddedCluster::start().unwrap();
        let codec = Arc::new(Codec::with_fixed_ids());
        let config = cluster.kafka_config("test");
        let producer = Producer::new(&config, Arc::clone(&codec), ProducerOptions::default()).unwrap();
        Self { cluster, codec, producer }
    }

    fn setup(&self, instance: &str) -> GroupSetup {
        GroupSetup {
            kafka: self.cluster.kafka_config(instance),
            codec: Arc::clone(&self.codec),
            schemas: SchemaSource::fixed(),
            producer: self.producer.clone(),
            instance: instance.to_string(),
        }
    }

    fn count(&self, instance: &str, store: &Arc<MapStore>) -> Member {
        let shutdown = CancellationToken::new();
        let store: Arc<dyn StateStore<Counting>> = Arc::clone(store) as _;
        let run =
            run_group(Counting { seals: true, announces_again: true }, store, self.setup(instance), shutdown.clone());
        Member { shutdown, running: tokio::spawn(run) }
    }

    fn decide(&self, instance: &str) -> Member {
        let shutdown = CancellationToken::new();
        let processor = Deciding { drops_known: true };
        let run = run_group(processor, Arc::new(NoStore), self.setup(instance), shutdown.clone());
        Member { shutdown, running: tokio::spawn(run) }
    }
}

async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn submitted(lane: LaneKey, id: u64, value: i64) -> AnswersRecord {
    let answer = AnswerSubmitted {
        question: 0,
        player: PlayerId::from_bits(id),
        submission: SubmissionId::from_bits(id),
        response: Response::Picks(Picks::one(0)),
        received_at_us: 0,
        elapsed_us: value,
        edge: "test".into(),
    };
    AnswersRecord { game: lane.game, lane: lane.lane, body: answer.into() }
}

fn opened(lane: LaneKey) -> AnswersRecord {
    let opened = LaneOpened {
        question: 0,
        key: AnswerKey::Poll { options: 2 },
        points_max: 0,
        limit_us: 1,
        rule: "toy".into(),
        streaks: false,
        opened_at_us: 0,
    };
    AnswersRecord { game: lane.game, lane: lane.lane, body: opened.into() }
}

fn closed(lane: LaneKey) -> AnswersRecord {
    AnswersRecord { game: lane.game, lane: lane.lane, body: LaneClosed { question: 0, closed_at_us: 0 }.into() }
}

fn lanes() -> Vec<LaneKey> {
    (0..40).map(|n| LaneKey { game: GameId::from_bits(1_000 + n / 4), lane: (n % 4) as u16 }).collect()
}

/// Answers `from..to` of every lane, each worth its number.
async fn submit(kit: &Kit, from: u64, to: u64) {
    let mut events = Vec::new();
    for (index, lane) in lanes().into_iter().enumerate() {
        events.extend((from..to).map(|n| submitted(lane, index as u64 * 10_000 + n, n as i64).into()));
    }
    kit.producer.append_all(&events).await.unwrap();
}

async fn mark(kit: &Kit, marker: fn(LaneKey) -> AnswersRecord) {
    let events: Vec<_> = lanes().into_iter().map(|lane| marker(lane).into()).collect();
    kit.producer.append_all(&events).await.unwrap();
}

/// Two members share the answers; one leaves in the middle, the other takes over. Every answer is
/// stored once and every lane's total is exact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_takes_over_and_totals_are_exact() {
    let kit = Kit::start();
    let store = Arc::new(MapStore::default());
    let first = kit.count("one", &store);
    let second = kit.count("two", &store);
    mark(&kit, opened).await;
    submit(&kit, 0, 20).await;
    wait_for("the first answers", || store.answers.lock().unwrap().len() == 40 * 20).await;
    let (stopped, ()) = tokio::join!(first.stop(), submit(&kit, 20, 40));
    let () = stopped;
    mark(&kit, closed).await;
    wait_for("all answers", || store.answers.lock().unwrap().len() == 40 * 40).await;
    wait_for("all snapshots", || store.snapshots.lock().unwrap().len() == 40).await;
    let expected: i64 = (0..40).sum();
    for (lane, snapshot) in store.snapshots.lock().unwrap().iter() {
        assert_eq!(snapshot.total, expected, "lane {lane}");
        assert!(snapshot.reported_at.is_some(), "lane {lane}");
    }
    second.stop().await;

    // A successor reads on from what was committed: nothing is left to do, so nothing changes.
    let reports = kit::read_all(&kit.cluster.kafka_config("reader"), Topic::Scores.name(), 12, 40);
    assert_eq!(reports.values().map(Vec::len).sum::<usize>(), 40);
    let third = kit.count("three", &store);
    submit(&kit, 40, 41).await;
    wait_for("the last answers", || store.answers.lock().unwrap().len() == 40 * 41).await;
    third.stop().await;
}

/// Records that are not records go to the dead-letter topic with their bytes, and so do records with
/// a schema id that nobody has, and those that the rules refuse; their neighbours go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_dead_lettered_and_its_neighbours_go_on() {
    let kit = Kit::start();
    let store = Arc::new(MapStore::default());
    let member = kit.count("one", &store);
    let lane = lanes()[0];
    let key = format!("{lane}");
    let unknown_schema = [&[0, 0, 0, 3, 231][..], b"whatever"].concat();
    let poison: [&[u8]; 4] = [b"", b"\x07no magic", &[0, 0, 0, 0, 4, 1], &unknown_schema];
    for (n, bytes) in poison.iter().enumerate() {
        kit.producer.append(&submitted(lane, n as u64, 1)).await.unwrap();
        kit.producer.append_raw(Topic::Answers.name(), Some(key.as_bytes()), Some(bytes), &[]).await.unwrap();
    }
    kit.producer.append(&submitted(lane, 99, -1)).await.unwrap();
    kit.producer.append(&submitted(lane, 100, 1)).await.unwrap();
    wait_for("the good answers", || store.answers.lock().unwrap().len() == 5).await;
    wait_for("their total", || store.snapshots.lock().unwrap().get(&lane).is_some_and(|doc| doc.total == 5)).await;
    member.stop().await;

    let dead = kit::read_all(&kit.cluster.kafka_config("reader"), Topic::Answers.spec().dlq, 24, 5);
    let dead: Vec<_> = dead.into_values().flatten().collect();
    let mut values: Vec<Vec<u8>> = dead.iter().map(|message| message.payload().unwrap_or_default().to_vec()).collect();
    let refused = kit.codec.encode(&submitted(lane, 99, -1)).unwrap();
    let mut expected: Vec<Vec<u8>> = poison.iter().map(|bytes| bytes.to_vec()).chain([refused]).collect();
    values.sort();
    expected.sort();
    assert_eq!(values, expected);
    let reasons: Vec<_> = dead
        .iter()
        .flat_map(|message| message.headers().unwrap().iter())
        .filter(|header| header.key == quiz_stream::dead_letter::HEADER_REASON)
        .map(|header| String::from_utf8(header.value.unwrap().to_vec()).unwrap())
        .collect();
    for reason in ["too_short", "magic", "datum", "unknown_schema", counting::REFUSED] {
        assert!(reasons.iter().any(|word| word == reason), "{reason} is not among {reasons:?}");
    }
}

/// A transactional group is stopped and started: it restores from its own output, and every input has
/// led to exactly one decision, numbered without holes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_group_restores_from_its_output() {
    let kit = Kit::start();
    let games = 20;
    let join = |game: u64, n: u64| {
        let body = PlayerConnected { player: PlayerId::from_bits(n) }.into();
        JoinsRecord { game: GameId::from_bits(game), at_us: 0, edge: "test".into(), body }.into()
    };
    let mut decided = 0;
    for round in 0..3 {
        let member = kit.decide("one");
        let joins: Vec<_> = (0..games).flat_map(|game| (0..5).map(move |n| join(game, round * 5 + n))).collect();
        kit.producer.append_all(&joins).await.unwrap();
        decided += joins.len();
        let config = kit.cluster.kafka_config("reader");
        // Each game also has its turns, in their time.
        let count = decided + games as usize * deciding::TURNS as usize;
        let read = tokio::task::spawn_blocking(move || kit::read_all(&config, Topic::Sessions.name(), 12, count));
        let by_partition = read.await.unwrap();
        member.stop().await;

        let mut seqs: BTreeMap<GameId, Vec<i64>> = BTreeMap::new();
        let mut causes: Vec<(i32, i64)> = Vec::new();
        for (partition, messages) in &by_partition {
            for message in messages {
                let record: SessionsRecord = kit.codec.decode(message.payload().unwrap()).unwrap();
                seqs.entry(record.game).or_default().push(record.seq);
                causes.extend(record.cause.map(|cause| (*partition, cause.offset)));
            }
        }
        assert!(seqs.values().all(|seqs| seqs.iter().copied().eq(0..seqs.len() as i64)), "{seqs:?}");
        causes.sort_unstable();
        causes.dedup();
        assert_eq!(causes.len(), decided, "every input led to one decision");
    }
}

/// Another producer takes the member's transactional id: the member notices at its next transaction,
/// takes the id back, restores and goes on; every input has led to one decision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_member_restores_and_goes_on() {
    let kit = Kit::start();
    let member = kit.decide("one");
    let join = |n: u64| {
        let body = PlayerConnected { player: PlayerId::from_bits(n) }.into();
        JoinsRecord { game: GameId::from_bits(7), at_us: 0, edge: "test".into(), body }.into()
    };
    let decided = |count: usize| {
        let config = kit.cluster.kafka_config("reader");
        tokio::task::spawn_blocking(move || kit::read_all(&config, Topic::Sessions.name(), 12, count))
    };
    let turns = deciding::TURNS as usize;
    kit.producer.append_all(&[join(1), join(2)]).await.unwrap();
    decided(2 + turns).await.unwrap();

    let config = kit.cluster.kafka_config("thief");
    let steal = tokio::task::spawn_blocking(move || {
        let mut client = config.client();
        let thief: BaseProducer = client.set("transactional.id", "toy.deciding-one").create().unwrap();
        thief.init_transactions(Duration::from_secs(10)).unwrap();
    });
    steal.await.unwrap();
    kit.producer.append_all(&[join(3), join(4)]).await.unwrap();
    let read = decided(4 + turns).await.unwrap();
    member.stop().await;
    let seqs = |message: &OwnedMessage| kit.codec.decode::<SessionsRecord>(message.payload().unwrap()).unwrap().seq;
    let mut seqs: Vec<i64> = read.values().flatten().map(seqs).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (0..4 + turns as i64).collect::<Vec<_>>());
}

/// What was appended before a group starts is read from the start, and once it runs an answer that comes when the one
/// before it is stored, and so waits for the next round of writes, is stored with that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_stored_within_two_rounds() {
    let kit = Kit::start();
    let store = Arc::new(MapStore::default());
    submit(&kit, 0, 1).await;
    let member = kit.count("one", &store);
    wait_for("the early answers", || store.answers.lock().unwrap().len() == 40).await;
    let mut waits = Vec::new();
    for n in 0..50 {
        let started = Instant::now();
        kit.producer.append(&submitted(lanes()[0], 500_000 + n, 1)).await.unwrap();
        wait_for("the answer", || store.answers.lock().unwrap().contains_key(&(500_000 + n))).await;
        waits.push(started.elapsed());
    }
    member.stop().await;
    waits.sort_unstable();
    let rounds = Duration::from_micros(2 * WRITE_INTERVAL_US.cast_unsigned());
    assert!(waits[25] < rounds, "the median is {:?}", waits[25]);
    println!("append to store: median {:?}, worst {:?}", waits[25], waits[49]);
}
