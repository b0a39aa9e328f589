//! The floor of an append: a loop around the client library's own producer, with the options that the
//! product's producer has, an open loop.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::statistics::Statistics;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::KafkaFloor;
use crate::error::BenchError;
use crate::latency::Latency;

/// A topic of its own, with as many partitions as that of the answers.
const TOPIC: &str = "bench.floor";
const PARTITIONS: i32 = 24;
/// The size of an answer's record in Avro with its framing: the golden records of answers are of 72 to 78 bytes.
const RECORD_BYTES: usize = 75;
/// What is sent before anything is measured: connections, metadata, the producer's id.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// How often records that are due are appended: the granularity of the timers that the load client has, too.
const TICK: Duration = Duration::from_millis(1);
/// How long the last acknowledgements may take.
const FLUSH_WAIT: Duration = Duration::from_secs(15);

/// What is measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct KafkaSpec {
    /// Records/s.
    pub rate: f64,
    /// For how long, s.
    pub seconds: f64,
    /// Producers.
    pub producers: u32,
    /// Different keys.
    pub keys: u32,
    /// How long a record may wait for company, ms.
    pub linger_ms: u32,
}

#[derive(Default)]
struct Batches {
    records: AtomicI64,
    batches: AtomicI64,
}

struct Context(Arc<Batches>);

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        if let Some(topic) = statistics.topics.get(TOPIC) {
            self.0.records.fetch_add(topic.batchcnt.sum, Ordering::Relaxed);
            self.0.batches.fetch_add(topic.batchcnt.cnt, Ordering::Relaxed);
        }
    }
}

type Plain = FutureProducer<Context>;

/// As the product's producer has it.
fn options(bootstrap: &str, linger_ms: u32) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "quiz-bench")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("retries", "2147483647")
        .set("partitioner", "murmur2_random")
        .set("sticky.partitioning.linger.ms", "0")
        .set("linger.ms", linger_ms.to_string())
        .set("message.timeout.ms", "9000")
        .set("request.timeout.ms", "10000")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("batch.num.messages", "10000")
        .set("batch.size", "1000000")
        .set("compression.type", "none")
        .set("delivery.report.only.error", "false")
        .set("statistics.interval.ms", "500");
    config
}

/// Measures it.
///
/// # Errors
/// When Kafka refuses the topic or a producer.
pub async fn measure(bootstrap: &str, spec: KafkaSpec) -> Result<KafkaFloor, BenchError> {
    create_topic(bootstrap).await?;
    let batches = Arc::new(Batches::default());
    let latency = Arc::new(Mutex::new(Latency::default()));
    let failed = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    let begin = Instant::now() + WARM_UP;
    for no in 0..spec.producers {
        let config = options(bootstrap, spec.linger_ms);
        let producer = Plain::from_config_and_context(&config, Context(batches.clone()))?;
        loops.spawn(append(producer, no, spec, begin, latency.clone(), failed.clone()));
    }
    while let Some(ended) = loops.join_next().await {
        ended.map_err(|err| BenchError::server("the floor of Kafka", err))??;
    }
    let (records, count) = (batches.records.load(Ordering::Relaxed), batches.batches.load(Ordering::Relaxed));
    let ack_ms = latency.lock().expect("nobody panics while it holds the lock").quantiles();
    Ok(KafkaFloor {
        rate: spec.rate,
        producers: spec.producers,
        keys: spec.keys,
        ack_ms,
        batch_records: if count > 0 { records as f64 / count as f64 } else { 0.0 },
        failed: failed.load(Ordering::Relaxed),
    })
}

async fn create_topic(bootstrap: &str) -> Result<(), BenchError> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    // That it is there already is no error: it comes as the result of the one topic, which is not looked at.
    admin.create_topics([&topic], &AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)))).await?;
    Ok(())
}

/// Appends one producer's share. What it sends before `begin` is not counted.
async fn append(
    producer: Plain,
    no: u32,
    spec: KafkaSpec,
    begin: Instant,
    latency: Arc<Mutex<Latency>>,
    failed: Arc<AtomicU64>,
) -> Result<(), BenchError> {
    let every = f64::from(spec.producers) / spec.rate;
    let offset = every * f64::from(no) / f64::from(spec.producers);
    let warm = (WARM_UP.as_secs_f64() / every).min(2_000.0) as u64;
    let count = (spec.seconds / every).round() as u64;
    let payload = [b'a'; RECORD_BYTES];
    let started = Instant::now();
    for number in 0..warm + count {
        let due = match number.checked_sub(warm) {
            None => started + Duration::from_secs_f64(every * number as f64),
            Some(measured) => begin + Duration::from_secs_f64(every * measured as f64 + offset),
        };
        if due > Instant::now() + TICK {
            sleep_until(due).await;
        }
        let key = format!("lane-{:010}", (number + u64::from(no)) % u64::from(spec.keys.max(1)));
        let record = FutureRecord::to(TOPIC).key(&key).payload(&payload[..]);
        let measured = number >= warm;
        match producer.send_result(record) {
            Ok(delivery) => {
                let (latency, failed) = (latency.clone(), failed.clone());
                tokio::spawn(async move {
                    let delivered = matches!(delivery.await, Ok(Ok(_)));
                    if measured && delivered {
                        latency.lock().expect("nobody panics while it holds the lock").record(due.elapsed());
                    } else if measured {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            Err(_) => {
                failed.fetch_add(u64::from(measured), Ordering::Relaxed);
            }
        }
    }
    // A flush blocks its thread.
    let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH_WAIT)).await;
    flushed.map_err(|err| BenchError::server("the floor of Kafka", err))??;
    // The last delivery reports wake tasks of this runtime.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
