//! One librdkafka client at a time, its polling thread, and its replacement when it breaks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quiz_schemas::{Position, Topic};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext};
use rdkafka::{Message, Timestamp};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::ack::{Ack, AppendError, Appended, Outcome, is_located};
use super::held::{Hold, Patience, Waiting};
use super::telemetry;
use super::{DELIVERY_TIMEOUT_MS, DELIVERY_TIMEOUT_MS_MIN, LINGER_MS_MAX, ProducerError, ProducerOptions};
use crate::client_log::ClientLog;
use crate::config::KafkaConfig;

/// How long the polling thread serves deliveries before it looks whether it must stop. rdkafka's `poll` spins
/// through its last millisecond, so it is called seldom.
const POLL: Duration = Duration::from_millis(500);
/// The shortest time between two clients: a cluster that breaks each new one is not hammered.
const REPLACE_EVERY: Duration = Duration::from_secs(1);
/// How often librdkafka looks for overdue records, ms.
const OVERDUE_SCAN_MS: u32 = 1_000;
/// How often `ready` asks for the topics, and how long it waits in between.
const READY_FETCHES: u32 = 3;
const READY_PAUSE: Duration = Duration::from_millis(20);
/// How often `flush` looks at what is left.
const FLUSH_STEP: Duration = Duration::from_millis(1);

/// A record as librdkafka takes it.
pub(super) struct Outgoing<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Option<OwnedHeaders>,
}

/// What librdkafka calls back.
pub(super) struct Callbacks {
    in_flight: Arc<AtomicUsize>,
    /// Whether librdkafka said that the client failed for good.
    broken: AtomicBool,
    embedded: bool,
    log: ClientLog,
}

impl Callbacks {
    /// The stamp of an appended record, µs. The embedded cluster keeps the producer's own time and makes
    /// up the one that it acknowledges with.
    fn stamp_us(&self, acknowledged: Timestamp) -> i64 {
        if self.embedded {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            return i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        }
        acknowledged.to_millis().unwrap_or_default().saturating_mul(1_000)
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        self.log.take(level, fac, line);
    }

    fn error(&self, err: KafkaError, reason: &str) {
        if let Some(RDKafkaErrorCode::Fatal) = err.rdkafka_error_code() {
            error!(reason, "the producer's client failed for good");
            self.broken.store(true, Ordering::Release);
        } else {
            warn!(%err, reason, "kafka producer");
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Callbacks {
    type DeliveryOpaque = Box<Waiter>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        self.in_flight.fetch_sub(1, Ordering::Release);
        let outcome = match delivered {
            Ok(message) if !is_located(message.offset()) => Err(AppendError::Unlocated),
            Ok(message) => Ok(Appended {
                position: Position { partition: message.partition(), offset: message.offset() },
                appended_at_us: self.stamp_us(message.timestamp()),
                acked_at: Instant::now(),
            }),
            Err((err, _)) => Err(AppendError::from_kafka(err)),
        };
        if let Err(err) = &outcome {
            telemetry::append_failed(err.reason());
            if let AppendError::Fatal(_) = err {
                self.broken.store(true, Ordering::Release);
            }
        }
        // Nobody waits when the `Ack` was dropped.
        let _ = waiting.send(outcome);
    }
}

type Client = BaseProducer<Callbacks>;

/// Who waits for what becomes of a record.
type Waiter = oneshot::Sender<Outcome>;

/// What the clones of a producer share.
pub(super) struct Shared {
    config: ClientConfig,
    embedded: bool,
    client: RwLock<Arc<Client>>,
    in_flight: Arc<AtomicUsize>,
    replaced: AtomicUsize,
    stopping: Arc<AtomicBool>,
    holds: Holds,
}

/// Where records wait for company; a topic's are all in one place, so their order is kept.
struct Holds {
    joins: Option<Arc<Hold>>,
    others: Option<Arc<Hold>>,
}

impl Holds {
    fn new(options: &ProducerOptions) -> Self {
        let hold = |longest_ms: u32, patience: fn(Duration) -> Patience| {
            let longest = Duration::from_millis(longest_ms.into());
            (!longest.is_zero()).then(|| Arc::new(Hold::new(patience(longest))))
        };
        Self {
            joins: hold(options.joins_linger_ms, Patience::of_joins),
            others: hold(options.busy_linger_ms, Patience::of_answers),
        }
    }

    fn of(&self, topic: &str) -> Option<&Arc<Hold>> {
        if topic == Topic::Joins.name() { self.joins.as_ref() } else { self.others.as_ref() }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Hold>> {
        self.joins.iter().chain(&self.others)
    }
}

fn check(option: &'static str, value: u64, min: u64, max: u64) -> Result<(), ProducerError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ProducerError::Option { option, value, min, max }) }
}

fn client_config(config: &KafkaConfig, options: &ProducerOptions) -> Result<ClientConfig, ProducerError> {
    check("linger_ms", options.linger_ms.into(), 0, LINGER_MS_MAX.into())?;
    check("busy_linger_ms", options.busy_linger_ms.into(), 0, LINGER_MS_MAX.into())?;
    check("joins_linger_ms", options.joins_linger_ms.into(), 0, LINGER_MS_MAX.into())?;
    let timeout_ms = options.delivery_timeout_ms;
    check("delivery_timeout_ms", timeout_ms.into(), DELIVERY_TIMEOUT_MS_MIN.into(), DELIVERY_TIMEOUT_MS.into())?;
    check("queue_records_max", options.queue_records_max as u64, 1, 10_000_000)?;
    check("queue_kbytes_max", options.queue_kbytes_max as u64, 1, 2_000_000)?;
    let mut client = config.client();
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("retries", "2147483647")
        .set("partitioner", "murmur2_random")
        .set("sticky.partitioning.linger.ms", "0")
        .set("linger.ms", options.linger_ms.to_string())
        .set("message.timeout.ms", (timeout_ms - OVERDUE_SCAN_MS).to_string())
        .set("request.timeout.ms", timeout_ms.to_string())
        .set("queue.buffering.max.messages", options.queue_records_max.to_string())
        .set("queue.buffering.max.kbytes", options.queue_kbytes_max.to_string())
        .set("message.max.bytes", (quiz_schemas::codec::RECORD_BYTES_MAX + 48_576).to_string())
        .set("batch.num.messages", "10000")
        .set("batch.size", "1000000")
        .set("compression.type", "none")
        .set("delivery.report.only.error", "false");
    Ok(client)
}

impl Shared {
    pub(super) fn start(config: &KafkaConfig, options: &ProducerOptions) -> Result<Arc<Self>, ProducerError> {
        let embedded = config.embedded;
        let config = client_config(config, options)?;
        let in_flight = Arc::new(AtomicUsize::new(0));
        let client = new_client(&config, embedded, &in_flight)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Self {
            config,
            embedded,
            client: RwLock::new(Arc::clone(&client)),
            in_flight,
            replaced: AtomicUsize::new(0),
            stopping,
            holds: Holds::new(options),
        });
        let (weak, stopping) = (Arc::downgrade(&shared), Arc::clone(&shared.stopping));
        for hold in shared.holds.all() {
            let (hold, shared) = (Arc::clone(hold), Weak::clone(&weak));
            thread::Builder::new().name("kafka-held".into()).spawn(move || serve_held(&hold, &shared))?;
        }
        thread::Builder::new().name("kafka-producer".into()).spawn(move || serve(client, &weak, &stopping))?;
        Ok(shared)
    }

    /// Queues a record at once, or behind others that wait for company.
    pub(super) fn queue(&self, topic: &'static str, key: &[u8], value: &[u8]) -> Ack {
        let outgoing = Outgoing { topic, key: Some(key), value: Some(value), headers: None };
        let Some(hold) = self.holds.of(topic) else { return self.queue_now(outgoing) };
        let mut waiting = hold.lock();
        if !waiting.holds(Instant::now(), hold.patience()) {
            // Under the lock still, so that it does not overtake what the thread of the held releases.
            return self.queue_now(outgoing);
        }
        let (sender, receiver) = oneshot::channel();
        self.in_flight.fetch_add(1, Ordering::Acquire);
        let full = waiting.push(topic, key, value, sender);
        if full {
            self.release(&mut waiting);
        } else if waiting.len() == 1 {
            hold.first_came();
        }
        Ack::waiting(receiver)
    }

    /// Queues a record at once.
    pub(super) fn queue_now(&self, outgoing: Outgoing<'_>) -> Ack {
        let (sender, receiver) = oneshot::channel();
        // Counted before it is queued: its delivery may be reported before `send` returns.
        self.in_flight.fetch_add(1, Ordering::Acquire);
        match self.send(outgoing, Box::new(sender)) {
            Ok(()) => Ack::waiting(receiver),
            Err((err, _)) => Ack::refused(err),
        }
    }

    /// Hands a record that is counted as in flight to librdkafka.
    fn send(&self, outgoing: Outgoing<'_>, waiting: Box<Waiter>) -> Result<(), (AppendError, Box<Waiter>)> {
        let mut record = BaseRecord::with_opaque_to(outgoing.topic, waiting);
        record.key = outgoing.key;
        record.payload = outgoing.value;
        record.headers = outgoing.headers;
        let client = self.client.read().expect("no thread panics while it holds the lock");
        client.send(record).map_err(|(err, record)| {
            self.in_flight.fetch_sub(1, Ordering::Release);
            let err = AppendError::from_kafka(&err);
            telemetry::append_failed(err.reason());
            if let AppendError::Fatal(_) = &err {
                client.context().broken.store(true, Ordering::Release);
            }
            (err, record.delivery_opaque)
        })
    }

    /// Queues what waited. Nothing behind a record that cannot be queued is queued: the log never skips one.
    fn release(&self, waiting: &mut Waiting) {
        let mut refused = false;
        waiting.take(|held, key, value| {
            let outgoing = Outgoing { topic: held.topic, key: Some(key), value: Some(value), headers: None };
            let outcome = if refused {
                self.in_flight.fetch_sub(1, Ordering::Release);
                Err((AppendError::QueueFull, held.waiting))
            } else {
                self.send(outgoing, held.waiting)
            };
            if let Err((err, waiting)) = outcome {
                refused = true;
                // Nobody waits when the `Ack` was dropped.
                let _ = waiting.send(Err(err));
            }
        });
    }

    pub(super) async fn check(&self, timeout: Duration) -> Result<(), ProducerError> {
        let client = Arc::clone(&self.client.read().expect("no thread panics while it holds the lock"));
        let asked = move || client.client().fetch_metadata(Some(Topic::Answers.name()), timeout).map(|_| ());
        // The call blocks. A panic in it is an answer too: none.
        match tokio::task::spawn_blocking(asked).await {
            Ok(answer) => answer.map_err(ProducerError::Client),
            Err(err) => Err(ProducerError::Thread(std::io::Error::other(err))),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) async fn ready(&self, timeout: Duration) -> Result<(), ProducerError> {
        let client = Arc::clone(&self.client.read().expect("no thread panics while it holds the lock"));
        let fetching = tokio::task::spawn_blocking(move || -> Result<(), KafkaError> {
            // Each answer also makes a client that has no producer id ask for one at once; the first
            // answers come before the connection that it would ask over.
            for _ in 0..READY_FETCHES {
                client.client().fetch_metadata(None, timeout)?;
                thread::sleep(READY_PAUSE);
            }
            Ok(())
        });
        Ok(fetching.await.map_err(|_| KafkaError::Canceled)??)
    }

    pub(super) fn replaced(&self) -> usize {
        self.replaced.load(Ordering::Relaxed)
    }

    pub(super) async fn flush(&self, timeout: Duration) -> Result<(), ProducerError> {
        // The polling thread serves the deliveries; waiting here must not take a thread. librdkafka
        // sends what lingers within `LINGER_MS_MAX` by itself.
        let deadline = tokio::time::Instant::now() + timeout;
        while self.in_flight() > 0 {
            if tokio::time::Instant::now() >= deadline {
                return Err(ProducerError::NotFlushed { in_flight: self.in_flight() });
            }
            tokio::time::sleep(FLUSH_STEP).await;
        }
        Ok(())
    }

    fn install(&self, client: &Arc<Client>) -> Arc<Client> {
        self.replaced.fetch_add(1, Ordering::Relaxed);
        telemetry::client_replaced();
        let mut current = self.client.write().expect("no thread panics while it holds the lock");
        std::mem::replace(&mut *current, Arc::clone(client))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.holds.all().for_each(|hold| hold.stop());
    }
}

fn new_client(config: &ClientConfig, embedded: bool, in_flight: &Arc<AtomicUsize>) -> Result<Arc<Client>, KafkaError> {
    let (in_flight, broken) = (Arc::clone(in_flight), AtomicBool::new(false));
    let callbacks = Callbacks { in_flight, broken, embedded, log: ClientLog::default() };
    Ok(Arc::new(Client::from_config_and_context(config, callbacks)?))
}

/// Queues what has waited long enough, until the producer is dropped.
fn serve_held(hold: &Hold, shared: &Weak<Shared>) {
    while let Some(mut waiting) = hold.next_due() {
        let Some(shared) = shared.upgrade() else { return };
        shared.release(&mut waiting);
        // Before the last owner goes, whose drop takes the lock.
        drop(waiting);
    }
}

/// Serves deliveries until the producer is dropped, and replaces a client that failed for good or has lost sight of
/// a leader.
/// The old client is dropped on this thread, since that may block.
fn serve(mut client: Arc<Client>, shared: &Weak<Shared>, stopping: &AtomicBool) {
    let mut born_at = Instant::now();
    while !stopping.load(Ordering::Acquire) {
        client.poll(POLL);
        let (context, fatal) = (client.context(), client.client().fatal_error());
        let lost_a_leader = context.log.lost_a_leader();
        let broken = context.broken.load(Ordering::Acquire) || fatal.is_some() || lost_a_leader;
        if !broken || born_at.elapsed() < REPLACE_EVERY {
            continue;
        }
        let Some(shared) = shared.upgrade() else { return };
        match new_client(&shared.config, shared.embedded, &shared.in_flight) {
            Ok(next) => {
                warn!(?fatal, lost_a_leader, "the producer's client is replaced");
                drop(shared.install(&next));
                client = next;
            }
            Err(err) => error!(%err, "no new kafka client"),
        }
        born_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EmbeddedCluster;
    use crate::client_log::tests::LEADERLESS;

    /// Goal: a client that has lost sight of a leader is replaced, and appends go on.
    #[tokio::test]
    async fn a_client_that_lost_sight_of_a_leader_is_replaced() {
        let cluster = EmbeddedCluster::start().unwrap();
        let shared = Shared::start(&cluster.kafka_config("test"), &ProducerOptions::default()).unwrap();
        let append = || {
            let (topic, value) = (Topic::Joins.name(), Some(b"value".as_slice()));
            shared.queue_now(Outgoing { topic, key: Some(b"key"), value, headers: None })
        };
        let before = append().await.unwrap();
        let client = Arc::clone(&shared.client.read().unwrap());
        client.context().log.take(RDKafkaLogLevel::Warning, "METADATAUPDATE", LEADERLESS);
        let began = Instant::now();
        while shared.replaced() == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "it is not replaced");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let after = append().await.unwrap();
        assert_eq!((after.partition, after.offset), (before.partition, before.offset + 1));
    }
}
