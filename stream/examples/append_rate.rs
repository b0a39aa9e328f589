//! Measures appends at a fixed rate: acknowledgement latency and the process's own CPU time.
//!
//! `append_rate <host:port | embedded> [appends a second] [seconds] [linger ms] [ours | future]`
//!
//! `future` sends the same bytes through the client library's own future-based producer, to compare.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quiz_schemas::events::{AnswerSubmitted, AnswersRecord};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{Codec, Event, GameId, PlayerId, SubmissionId};
use quiz_stream::{EmbeddedCluster, KafkaConfig, Producer, ProducerOptions};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::mpsc;

/// How often a burst of appends is made.
const TICK: Duration = Duration::from_millis(1);

#[derive(Clone)]
enum Way {
    Ours(Producer),
    Future(FutureProducer, Arc<Codec>),
}

fn answer(n: u64) -> AnswersRecord {
    let submitted = AnswerSubmitted {
        question: 1,
        player: PlayerId::from_bits(n),
        submission: SubmissionId::from_bits(n),
        response: Response::Picks(Picks::new(&[1]).expect("one pick")),
        received_at_us: 1_790_000_000_000_000,
        elapsed_us: 1_000_000,
        edge: "edge-1".into(),
    };
    AnswersRecord { game: GameId::from_bits(n % 200), lane: 0, body: submitted.into() }
}

impl Way {
    /// Queues an answer and tells the latency of its acknowledgement when it is there.
    fn append(&self, n: u64, latencies: mpsc::Sender<u64>) {
        let asked = Instant::now();
        let event = answer(n);
        match self {
            Way::Ours(producer) => {
                let ack = producer.append(&event);
                tokio::spawn(async move {
                    ack.await.expect("acknowledged");
                    let _ = latencies.send(asked.elapsed().as_micros() as u64).await;
                });
            }
            Way::Future(producer, codec) => {
                let (value, key) = (codec.encode(&event).expect("encoded"), event.key());
                let record = FutureRecord::to(AnswersRecord::TOPIC.name()).key(key.as_str()).payload(&value);
                let ack = producer.send_result(record).map_err(|(err, _)| err).expect("queued");
                tokio::spawn(async move {
                    ack.await.expect("the client lives").map_err(|(err, _)| err).expect("acknowledged");
                    let _ = latencies.send(asked.elapsed().as_micros() as u64).await;
                });
            }
        }
    }
}

/// CPU time of this process so far, in clock ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let bootstrap = args.next().unwrap_or_else(|| "embedded".into());
    let mut number = |default: u64| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (per_second, seconds, linger_ms) = (number(10_000), number(10), number(1));
    let way = args.next().unwrap_or_else(|| "ours".into());

    let cluster = (bootstrap == "embedded").then(|| EmbeddedCluster::start().expect("a cluster"));
    let config =
        cluster.as_ref().map_or_else(|| KafkaConfig::new(bootstrap, "append-rate"), |c| c.kafka_config("rate"));
    let codec = Arc::new(Codec::with_fixed_ids());
    let way = match way.as_str() {
        "future" => {
            let mut client = config.client();
            client.set("enable.idempotence", "true").set("acks", "all").set("partitioner", "murmur2_random");
            client.set("linger.ms", linger_ms.to_string()).set("message.timeout.ms", "9000");
            Way::Future(client.create().expect("a producer"), codec)
        }
        _ => {
            let options = ProducerOptions { linger_ms: linger_ms as u32, ..ProducerOptions::default() };
            let producer = Producer::new(&config, codec, options).expect("a producer");
            let asked = Instant::now();
            producer.ready(Duration::from_secs(10)).await.expect("a cluster");
            println!("ready in {:.0?}", asked.elapsed());
            Way::Ours(producer)
        }
    };

    let (latencies, mut received) = mpsc::channel(100_000);
    // Metadata and connections first.
    way.append(0, latencies.clone());
    println!("first acknowledgement after {} µs", received.recv().await.expect("an acknowledgement"));

    let (total, cpu_before, started) = (per_second * seconds, cpu_ticks(), Instant::now());
    let collecting = tokio::spawn(async move {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("a histogram");
        while let Some(latency_us) = received.recv().await {
            histogram.saturating_record(latency_us);
        }
        histogram
    });
    let mut ticks = tokio::time::interval(TICK);
    let mut sent = 0;
    while sent < total {
        ticks.tick().await;
        let due = (started.elapsed().as_micros() as u64 * per_second / 1_000_000).min(total);
        for n in sent..due {
            way.append(n, latencies.clone());
        }
        sent = due;
    }
    drop(latencies);
    let histogram = collecting.await.expect("collected");
    let elapsed = started.elapsed();
    let cpu_us = (cpu_ticks() - cpu_before) * 10_000;
    let [p50, p99, p999, max] = [50.0, 99.0, 99.9, 100.0].map(|p| histogram.value_at_percentile(p));
    println!(
        "{} acks in {elapsed:.2?}; latency µs p50 {p50} p99 {p99} p99.9 {p999} max {max}; CPU {:.1} µs an append",
        histogram.len(),
        cpu_us as f64 / total as f64,
    );
}
