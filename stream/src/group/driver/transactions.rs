//! The transactional producer, on a thread of its own that polls it (a transaction call blocks).

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use quiz_schemas::{AnyEvent, Codec, Topic};
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tracing::{info, warn};

use super::consumer::offset_list;
use super::{GroupError, GroupSetup, Outbox};
use crate::client_log::ClientLog;
use crate::failpoint::{self, Point};
use crate::group::event::Event;
use crate::group::limits::{TRANSACTION_CALL, TRANSACTION_HUNG, TRANSACTION_TIMEOUT_MS, TRANSACTION_TRIES_MAX};
use crate::group::metrics;
use crate::processor::Processor;
use crate::producer::is_located;

/// How often it is looked whether a transaction's records are in the log.
const DELIVERY_STEP: Duration = Duration::from_micros(200);

/// One transaction.
pub(super) struct Request {
    pub(super) transaction: u64,
    pub(super) events: Arc<Vec<AnyEvent>>,
    pub(super) offsets: Vec<(Topic, i32, i64)>,
    /// The group's metadata when the loop decided it: a zombie's is of an older generation (I12).
    pub(super) metadata: ConsumerGroupMetadata,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Aborted,
    Fenced,
}

/// Hands transactions to the thread.
pub(super) struct Transactor {
    requests: mpsc::SyncSender<Request>,
    watch: Arc<Watch>,
}

/// Since when a call is under way, ms since `origin`; negative when none is.
struct Watch {
    origin: Instant,
    since_ms: AtomicI64,
}

impl Watch {
    fn begin(&self) {
        self.since_ms.store(self.origin.elapsed().as_millis() as i64, Ordering::Release);
    }

    fn end(&self) {
        self.since_ms.store(-1, Ordering::Release);
    }
}

impl Transactor {
    /// Starts the thread, which takes the transactional id at once: whoever had it is fenced.
    pub(super) fn start<P: Processor>(
        setup: &GroupSetup,
        group: &'static str,
        outbox: Outbox<P>,
    ) -> Result<Self, GroupError> {
        let (requests, inbox) = mpsc::sync_channel(1);
        let watch = Arc::new(Watch { origin: Instant::now(), since_ms: AtomicI64::new(-1) });
        let mut thread = Thread {
            group,
            config: config(setup, group),
            codec: Arc::clone(&setup.codec),
            producer: None,
            watch: Arc::clone(&watch),
        };
        thread::Builder::new()
            .name(format!("transactions {group}"))
            .spawn(move || thread.run(&inbox, &outbox))
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { requests, watch })
    }

    /// Hands over a transaction. The loop has one at a time, so there is room.
    pub(super) fn transact(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }

    /// Whether a call has not returned for far too long: `send_offsets_to_transaction` may ignore its timeout.
    pub(super) fn is_hung(&self) -> bool {
        let since_ms = self.watch.since_ms.load(Ordering::Acquire);
        since_ms >= 0 && self.watch.origin.elapsed().as_millis() as i64 - since_ms > TRANSACTION_HUNG.as_millis() as i64
    }
}

#[derive(Default)]
struct Callbacks {
    log: ClientLog,
    /// A record of the transaction under way was reported as appended, but not where.
    unlocated: AtomicBool,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        self.log.take(level, fac, line);
    }

    fn error(&self, err: KafkaError, reason: &str) {
        warn!(%err, reason, "transactional producer");
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = ();

    /// A record that fails makes the commit fail; one that may be nowhere would not.
    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        match delivered {
            Ok(message) if !is_located(message.offset()) => self.unlocated.store(true, Ordering::Release),
            Ok(_) => {}
            Err((err, _)) => warn!(%err, "a record of a transaction was not taken"),
        }
    }
}

type Client = BaseProducer<Callbacks>;

struct Thread {
    group: &'static str,
    config: ClientConfig,
    codec: Arc<Codec>,
    producer: Option<Client>,
    watch: Arc<Watch>,
}

impl Thread {
    fn run<P: Processor>(&mut self, inbox: &mpsc::Receiver<Request>, outbox: &Outbox<P>) {
        self.ensure_producer();
        loop {
            let request = match inbox.recv_timeout(Duration::from_millis(500)) {
                Ok(request) => request,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(producer) = &self.producer {
                        producer.poll(Duration::ZERO);
                    }
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let transaction = request.transaction;
            self.watch.begin();
            let outcome = self.execute(&request);
            self.watch.end();
            let (word, event) = match outcome {
                Outcome::Done => ("done", Event::TransactionDone { transaction }),
                Outcome::Aborted => ("aborted", Event::TransactionAborted { transaction }),
                Outcome::Fenced => ("fenced", Event::Fenced { transaction }),
            };
            ::metrics::counter!(metrics::TRANSACTIONS_TOTAL, "group" => self.group, "outcome" => word).increment(1);
            if !outbox.send_blocking(event) {
                return;
            }
        }
    }

    /// Makes a producer if there is none. `init_transactions` decides what an earlier one left open.
    fn ensure_producer(&mut self) -> bool {
        if self.producer.is_some() {
            return true;
        }
        let made = self.config.create_with_context(Callbacks::default()).and_then(|producer: Client| {
            retry(|| producer.init_transactions(TRANSACTION_CALL))?;
            Ok(producer)
        });
        match made {
            Ok(producer) => self.producer = Some(producer),
            Err(err) => warn!(group = self.group, %err, "no transactional producer yet"),
        }
        self.producer.is_some()
    }

    fn execute(&mut self, request: &Request) -> Outcome {
        // Between transactions, so that none has to fail for it.
        if self.producer.as_ref().is_some_and(|producer| producer.context().log.lost_a_leader()) {
            warn!(group = self.group, "the transactional producer has lost sight of a leader; it is replaced");
            self.producer = None;
        }
        if !self.ensure_producer() {
            return Outcome::Aborted;
        }
        let Some(producer) = &self.producer else { return Outcome::Aborted };
        let Err(err) = attempt(producer, &self.codec, request) else { return Outcome::Done };
        info!(group = self.group, %err, "a transaction failed");
        let aborted = !is_fatal(&err) && abort(producer).is_ok();
        if aborted && !producer.context().log.lost_a_leader() {
            return Outcome::Aborted;
        }
        // Nobody knows what became of it before a new producer with the same id has asked.
        self.producer = None;
        self.ensure_producer();
        if is_fenced(&err) { Outcome::Fenced } else { Outcome::Aborted }
    }
}

fn attempt(producer: &Client, codec: &Codec, request: &Request) -> KafkaResult<()> {
    producer.context().unlocated.store(false, Ordering::Release);
    producer.begin_transaction()?;
    for event in request.events.iter() {
        send(producer, codec, event)?;
    }
    if failpoint::is_armed(Point::InTransaction) && !request.events.is_empty() {
        // What is only queued would die with the process.
        delivered(producer)?;
        failpoint::pass(Point::InTransaction);
    }
    if !request.offsets.is_empty() {
        let offsets = offset_list(&request.offsets)?;
        retry(|| producer.send_offsets_to_transaction(&offsets, &request.metadata, TRANSACTION_CALL))?;
    }
    failpoint::pass(Point::BeforeTransactionCommit);
    delivered(producer)?;
    retry(|| producer.commit_transaction(TRANSACTION_CALL))?;
    failpoint::pass(Point::AfterTransaction);
    Ok(())
}

/// Gives the transaction up. The client's abort waits for what became of each record, and leaves it to another
/// thread to take that from it: there is none, so it is taken before.
fn abort(producer: &Client) -> KafkaResult<()> {
    producer.purge(PurgeConfig::default().queue());
    settle(producer);
    retry(|| producer.abort_transaction(TRANSACTION_CALL))
}

/// Takes from the client what became of the records, until nothing is under way, or for too long.
fn settle(producer: &Client) {
    let started = Instant::now();
    while producer.in_flight_count() > 0 && started.elapsed() < TRANSACTION_CALL {
        // The client's own poll with a timeout spins through its last millisecond.
        producer.poll(Duration::ZERO);
        thread::sleep(DELIVERY_STEP);
    }
}

/// Waits for the transaction's records to be in the log, each at a place that is known (see [`is_located`]). The commit
/// would do that too, but its wait sleeps for whole tenths of a second, whenever the deliveries come.
fn delivered(producer: &Client) -> KafkaResult<()> {
    settle(producer);
    producer.flush(Duration::ZERO)?;
    if producer.context().unlocated.load(Ordering::Acquire) {
        return Err(KafkaError::MessageProduction(RDKafkaErrorCode::OutOfOrderSequenceNumber));
    }
    Ok(())
}

fn send(producer: &Client, codec: &Codec, event: &AnyEvent) -> KafkaResult<()> {
    let value = codec.encode_any(event).map_err(|err| KafkaError::ClientCreation(err.to_string()))?;
    let key = event.key();
    let started = Instant::now();
    loop {
        let record = BaseRecord::to(event.topic().name()).key(key.as_bytes()).payload(&value);
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((err, _)) => {
                let full = err.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                if !full || started.elapsed() > TRANSACTION_CALL {
                    return Err(err);
                }
                producer.poll(Duration::ZERO);
                thread::sleep(DELIVERY_STEP);
            }
        }
    }
}

/// Repeats a transaction call as long as it says that it may be repeated.
fn retry(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let mut tries = 1;
    loop {
        match call() {
            Err(KafkaError::Transaction(err)) if err.is_retriable() && tries < TRANSACTION_TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

fn transaction_error(err: &KafkaError) -> Option<&RDKafkaError> {
    if let KafkaError::Transaction(err) = err { Some(err) } else { None }
}

fn is_fatal(err: &KafkaError) -> bool {
    transaction_error(err).is_some_and(RDKafkaError::is_fatal)
}

fn is_fenced(err: &KafkaError) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    transaction_error(err).is_some_and(|err| matches!(err.code(), Fenced | ProducerFenced | InvalidProducerEpoch))
}

fn config(setup: &GroupSetup, group: &str) -> ClientConfig {
    let mut config = setup.kafka.client();
    config
        .set("transactional.id", format!("{group}-{}", setup.instance))
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
        // The client refuses one that outlasts a transaction.
        .set("socket.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("retries", "2147483647")
        .set("partitioner", "murmur2_random")
        .set("sticky.partitioning.linger.ms", "0")
        .set("linger.ms", "0")
        .set("message.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
        .set("request.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("message.max.bytes", (quiz_schemas::codec::RECORD_BYTES_MAX + 48_576).to_string())
        .set("batch.num.messages", "10000")
        .set("batch.size", "1000000")
        .set("compression.type", "none")
        .set("delivery.report.only.error", "false");
    config
}

#[cfg(test)]
mod tests {
    use quiz_schemas::events::{JoinsRecord, PlayerConnected};
    use quiz_schemas::{GameId, PlayerId};
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::EmbeddedCluster;

    /// A record of which two do not fit into one batch.
    fn large(player: u64) -> AnyEvent {
        let body = PlayerConnected { player: PlayerId::from_bits(player) }.into();
        JoinsRecord { game: GameId::from_bits(1), at_us: 0, edge: "e".repeat(900_000).into(), body }.into()
    }

    /// A broker, a member's consumer, and the producer.
    struct Kit {
        cluster: EmbeddedCluster,
        consumer: BaseConsumer,
        producer: Client,
        codec: Codec,
    }

    impl Kit {
        fn start() -> Self {
            let cluster = EmbeddedCluster::start().unwrap();
            let kafka = cluster.kafka_config("test");
            let consumer = kafka.consumer().set("group.id", "test").create().unwrap();
            let mut client = kafka.client();
            client.set("transactional.id", "test").set("linger.ms", "0").set("batch.size", "1000000");
            let producer: Client = client.create_with_context(Callbacks::default()).unwrap();
            producer.init_transactions(TRANSACTION_CALL).unwrap();
            Self { cluster, consumer, producer, codec: Codec::with_fixed_ids() }
        }

        fn transact(&self, events: Vec<AnyEvent>, offsets: Vec<(Topic, i32, i64)>) -> KafkaResult<()> {
            let metadata = self.consumer.group_metadata().unwrap();
            attempt(
                &self.producer,
                &self.codec,
                &Request { transaction: 1, events: Arc::new(events), offsets, metadata },
            )
        }
    }

    /// Goal: a transaction is not committed without one of its records. Method: two batches are in flight, of which the
    /// broker refuses the first and takes the second: librdkafka then reports both as appended.
    #[test]
    fn a_transaction_fails_when_a_record_may_be_nowhere() {
        let kit = Kit::start();
        kit.transact(vec![large(1)], Vec::new()).unwrap();
        kit.cluster.round_trip(Duration::from_millis(100)).unwrap();
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION];
        kit.cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        let err = kit.transact(vec![large(2), large(3)], Vec::new()).unwrap_err();
        assert_eq!(err.rdkafka_error_code(), Some(RDKafkaErrorCode::OutOfOrderSequenceNumber), "{err}");
        assert!(!is_fatal(&err) && !is_fenced(&err));
        abort(&kit.producer).unwrap();
        kit.transact(vec![large(2), large(3)], Vec::new()).unwrap();
    }

    /// Goal: a transaction that fails before anybody has looked for its records is given up at once, and the next one
    /// is made with the same producer. Method: the broker refuses its offsets, as from a member of an older generation.
    /// Control: the client's own abort, which nobody helps, does not return in its time.
    #[test]
    fn a_transaction_whose_offsets_are_refused_is_given_up() {
        let kit = Kit::start();
        let offsets = || vec![(Topic::Joins, 0, 1)];
        kit.transact(vec![large(1)], offsets()).unwrap();
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION];
        kit.cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &refused);
        let err = kit.transact(vec![large(2)], offsets()).unwrap_err();
        assert!(!is_fatal(&err) && !is_fenced(&err), "{err}");
        let err = kit.producer.abort_transaction(Duration::from_millis(500)).unwrap_err();
        assert_eq!(err.rdkafka_error_code(), Some(RDKafkaErrorCode::OperationTimedOut), "{err}");
        abort(&kit.producer).unwrap();
        kit.transact(vec![large(2)], offsets()).unwrap();
    }
}
