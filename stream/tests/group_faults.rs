//! What a member does when its surroundings fail it: a client that falls silent, a store that blocks, commits
//! that are refused. Goal: it goes on by itself, and every answer counts once. Method: the embedded cluster, with
//! its errors, a failpoint in the driver, a store with a lock in front. Control: each test asks whether its
//! fault has bitten.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

mod kit;

#[path = "simulation/counting.rs"]
mod counting;
#[path = "kit/members.rs"]
mod members;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use counting::{Counting, Snapshot, Write};
use kit::counters::Counters;
use members::{MapStore, Member};
use quiz_schemas::{Codec, LaneKey, Topic};
use quiz_stream::failpoint::{self, Point};
use quiz_stream::group::{GroupSetup, limits, metrics, run_group};
use quiz_stream::{EmbeddedCluster, Producer, SchemaSource, StateStore, StoreUnavailable, partition_of};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what a member does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store in memory that can be made to block.
#[derive(Default)]
struct Store {
    kept: MapStore,
    blocked_until: Mutex<Option<tokio::time::Instant>>,
    /// The longest call that a block has cut short or held up, ms.
    held_ms: AtomicI64,
    writes_begun: AtomicU64,
}

impl Store {
    fn block(&self, wait: Duration) {
        *self.blocked_until.lock().unwrap() = Some(tokio::time::Instant::now() + wait);
    }

    fn stored(&self) -> usize {
        self.kept.answers.lock().unwrap().len()
    }
}

#[async_trait]
impl StateStore<Counting> for Store {
    async fn load(&self, keys: &[LaneKey]) -> Result<Vec<(LaneKey, Option<Snapshot>)>, StoreUnavailable> {
        self.kept.load(keys).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), StoreUnavailable> {
        self.writes_begun.fetch_add(1, Ordering::Relaxed);
        let until = *self.blocked_until.lock().unwrap();
        if let Some(until) = until {
            let began = Instant::now();
            tokio::time::sleep_until(until).await;
            self.held_ms.fetch_max(began.elapsed().as_millis() as i64, Ordering::Relaxed);
        }
        self.kept.write(writes).await
    }
}

/// Counters and failpoints are the process's: one test at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Kit {
    _alone: tokio::sync::MutexGuard<'static, ()>,
    cluster: EmbeddedCluster,
    codec: Arc<Codec>,
    producer: Producer,
    store: Arc<Store>,
}

impl Kit {
    async fn start() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let cluster = EmbeddedCluster::start().unwrap();
        let producer = kit::producer(&cluster).await;
        Self { _alone: alone, cluster, codec: kit::codec(), producer, store: Arc::default() }
    }

    fn member(&self, instance: &str) -> Member {
        let shutdown = CancellationToken::new();
        let setup = GroupSetup {
            kafka: self.cluster.kafka_config(instance),
            codec: Arc::clone(&self.codec),
            schemas: SchemaSource::fixed(),
            producer: self.producer.clone(),
            instance: instance.to_string(),
        };
        let store: Arc<dyn StateStore<Counting>> = Arc::clone(&self.store) as _;
        let run = run_group(Counting { seals: true, announces_again: true }, store, setup, shutdown.clone());
        Member { shutdown, running: tokio::spawn(run) }
    }

    /// Answers `from..to` of one lane; each lane has its own range of submissions.
    async fn submit(&self, lane: u16, from: u64, to: u64) {
        let records: Vec<_> =
            (from..to).map(|n| kit::answer(1, lane, u64::from(lane) * 1_000_000 + n).into()).collect();
        for some in records.chunks(5_000) {
            self.producer.append_all(some).await.unwrap();
        }
    }

    /// What the group has committed of a lane's partition.
    async fn committed(&self, lane: u16) -> i64 {
        let key = kit::answer(1, lane, 0).lane_key().to_string();
        let topic = Topic::Answers.spec();
        let partition = partition_of(key.as_bytes(), topic.partitions);
        let mut config = self.cluster.kafka_config("asks").consumer();
        config.set("group.id", "toy.counting");
        let ask = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let mut asked = TopicPartitionList::new();
            asked.add_partition(topic.name, partition);
            let told = consumer.committed_offsets(asked, PATIENCE).unwrap();
            told.elements()[0].offset().to_raw().unwrap()
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    async fn stores(&self, count: usize) -> Duration {
        let started = Instant::now();
        while self.store.stored() < count {
            assert!(started.elapsed() < PATIENCE, "{} of {count} answers are stored", self.store.stored());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.store.stored(), count);
        started.elapsed()
    }
}

/// The client brings nothing more of one partition, as after a lost wake-up, while it owns it and heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_falls_silent_is_replaced() {
    let counters = Counters::of_process();
    let kit = Kit::start().await;
    let member = kit.member("silent");
    kit.submit(0, 0, 50).await;
    kit.stores(50).await;
    let before = counters.sum(metrics::CONSUMERS_REBUILT_TOTAL, "reason=stalled");
    failpoint::arm(Point::ConsumerStalls, 1);
    kit.submit(0, 50, 51).await;
    kit.stores(51).await;
    kit.submit(0, 51, 100).await;
    let silent = kit.stores(100).await;
    let rebuilt = counters.sum(metrics::CONSUMERS_REBUILT_TOTAL, "reason=stalled") - before;
    println!("fault=consumer-silent unavailable_s={:.1} rebuilt={rebuilt}", silent.as_secs_f64());
    assert_eq!(rebuilt, 1, "the fault bit, once");
    assert!(silent > Duration::from_micros(limits::STALLED_US.cast_unsigned()), "it was silent: {silent:?}");
    kit.submit(0, 100, 120).await;
    let brought = kit.stores(120).await;
    assert!(brought < Duration::from_micros(limits::STALLED_US.cast_unsigned()), "the new consumer brings all");
    member.stop().await;
}

/// The same behind an outage of the broker: then a client that brings nothing is given less time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_falls_silent_behind_an_outage_is_replaced_sooner() {
    let counters = Counters::of_process();
    let kit = Kit::start().await;
    let member = kit.member("cut off");
    kit.submit(0, 0, 50).await;
    kit.stores(50).await;
    kit.cluster.broker_down().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    kit.cluster.broker_up().unwrap();
    kit.submit(0, 50, 51).await;
    kit.stores(51).await;
    let rebuilt = || counters.sum(metrics::CONSUMERS_REBUILT_TOTAL, "reason=stalled");
    let before = rebuilt();
    failpoint::arm(Point::ConsumerStalls, 1);
    kit.submit(0, 51, 52).await;
    kit.stores(52).await;
    kit.submit(0, 52, 100).await;
    let began = Instant::now();
    while rebuilt() == before {
        assert!(began.elapsed() < PATIENCE, "it is not replaced");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let silent = began.elapsed();
    println!("fault=consumer-silent-behind-outage replaced_after_s={:.1}", silent.as_secs_f64());
    assert!(silent < Duration::from_micros(limits::STALLED_US.cast_unsigned()), "it was silent: {silent:?}");
    kit.stores(100).await;
    member.stop().await;
}

/// The store takes nothing for longer than the group's session lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_blocks_pauses_partitions_and_costs_no_rebalance() {
    const ANSWERS: u64 = 20_000;
    let counters = Counters::of_process();
    let kit = Kit::start().await;
    let member = kit.member("patient");
    kit.submit(1, 0, 10).await;
    kit.stores(10).await;
    let taken = |kind: &str| counters.sum(metrics::REBALANCES_TOTAL, &format!("group=toy.counting,kind={kind}"));
    let rebalances = || [taken("revoked"), taken("lost"), taken("assigned")];
    let (rebalanced, paused) = (rebalances(), counters.sum(metrics::PAUSES_TOTAL, ""));
    let before = kit.store.writes_begun.load(Ordering::Relaxed);
    kit.store.block(Duration::from_secs(20));
    let blocked = Instant::now();
    kit.submit(1, 10, ANSWERS).await;
    while blocked.elapsed() < Duration::from_secs(19) {
        assert_eq!(kit.store.stored(), 10, "the store is blocked");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What is applied and not written is in the log as reports by now: one for each batch.
    let writes = kit.store.writes_begun.load(Ordering::Relaxed) - before;
    assert!((1..=2 * limits::FLUSHES_MAX as u64).contains(&writes), "{writes} calls of a store that blocks");
    let caught_up = kit.stores(ANSWERS as usize).await;
    println!(
        "fault=store-blocked-20s paused={} caught_up_s={:.1}",
        counters.sum(metrics::PAUSES_TOTAL, "") - paused,
        caught_up.as_secs_f64()
    );
    assert!(counters.sum(metrics::PAUSES_TOTAL, "") > paused, "the partition was paused");
    assert_eq!(rebalances(), rebalanced, "nobody was evicted");
    assert!(
        kit.store.held_ms.load(Ordering::Relaxed) > i64::from(limits::EMBEDDED_SESSION_TIMEOUT_MS),
        "the fault bit"
    );
    member.stop().await;
}

/// The broker refuses commits: as from an older generation, from a member that it does not know, and for now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_commits_are_made_again_and_nothing_unprocessed_is_committed() {
    let kit = Kit::start().await;
    let member = kit.member("refused");
    kit.submit(2, 0, 100).await;
    kit.stores(100).await;
    let refusals = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    ];
    for (round, refusal) in (1..).zip(refusals) {
        let count = 100 + round * 50;
        kit.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[refusal, refusal]);
        kit.submit(2, count - 50, count).await;
        let started = Instant::now();
        loop {
            // In this order: what is stored only grows.
            let (committed, stored) = (kit.committed(2).await, kit.store.stored() as i64);
            assert!(committed <= stored, "{refusal:?}: {committed} are committed, {stored} are stored");
            if committed == count as i64 {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{refusal:?}: {committed} of {count} are committed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("fault=commit-{refusal:?} recovered_s={:.1}", started.elapsed().as_secs_f64());
    }
    member.stop().await;
    assert_eq!(kit.store.stored(), 300);
}
