//! The producer: idempotent, acknowledged by all replicas, partitioned as Java does it.
//!
//! A record is queued when `append` is *called*, so two calls in a row keep their order within a
//! partition; the [`Ack`] that it returns resolves with the broker's acknowledgement (I1).
//! Dropping an `Ack` does not take the record back.

mod ack;
mod client;
mod held;
mod telemetry;

pub(crate) use ack::is_located;
pub use ack::{Ack, AppendError, Appended};

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use quiz_schemas::{AnyEvent, Codec, EncodeError, Event, Position};
use rdkafka::message::{Header, OwnedHeaders};

use crate::config::KafkaConfig;
use client::{Outgoing, Shared};

/// How long `ProducerOptions::default` lets an append take, ms.
pub const DELIVERY_TIMEOUT_MS: u32 = 10_000;
/// The shortest delivery timeout that is taken, ms: librdkafka looks for overdue records once a
/// second, so a shorter one could not be kept.
pub const DELIVERY_TIMEOUT_MS_MIN: u32 = 1_500;
/// Records that may be queued or in flight unless told otherwise.
pub const QUEUE_RECORDS_MAX: usize = 100_000;
/// KiB of records that may be queued or in flight unless told otherwise.
pub const QUEUE_KBYTES_MAX: usize = 65_536;
/// The longest linger that is taken, ms: above it the latency goal is out of reach.
pub const LINGER_MS_MAX: u32 = 50;

/// The longest wait for company under load that suits answers, ms: it takes three quarters of the broker's
/// work for them away, and is a tenth of what a receipt may take (`docs/BENCH.md`).
pub const BUSY_LINGER_MS: u32 = 10;

/// How many times as long as an answer a join may wait: the session lets those in together that come within a tenth
/// of a second, and an edge has so few of them in each partition that a short wait finds no company.
pub const JOINS_LINGER_TIMES: u32 = 5;

/// Capacity that the encoding buffer of a thread may keep between records, bytes.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// How a producer trades latency, memory and patience.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerOptions {
    /// How long a record may wait for company in its batch, ms; 0 sends at once.
    pub linger_ms: u32,
    /// How long a record may wait for company while there is much to append, ms, up to [`LINGER_MS_MAX`].
    /// The wait follows the pace of the appends: none below 1,000/s, 2 ms there, 10 ms at 5,000/s. 0: no
    /// such wait.
    pub busy_linger_ms: u32,
    /// The same for joins, of which fewer are many: none below 100/s, 50 ms there.
    pub joins_linger_ms: u32,
    /// When an append that is not acknowledged fails, ms after the call. Kept to the second before
    /// it: a record fails between `delivery_timeout_ms - 1000` and `delivery_timeout_ms`.
    pub delivery_timeout_ms: u32,
    /// Records that may be queued or in flight; beyond that an append fails with
    /// [`AppendError::QueueFull`].
    pub queue_records_max: usize,
    /// KiB of records that may be queued or in flight.
    pub queue_kbytes_max: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            linger_ms: 1,
            busy_linger_ms: 0,
            joins_linger_ms: 0,
            delivery_timeout_ms: DELIVERY_TIMEOUT_MS,
            queue_records_max: QUEUE_RECORDS_MAX,
            queue_kbytes_max: QUEUE_KBYTES_MAX,
        }
    }
}

/// Why a producer could not be made, or not be flushed.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// An option is out of its range.
    #[error("{option} is {value}, out of {min}..={max}")]
    Option {
        /// Which.
        option: &'static str,
        /// What was given.
        value: u64,
        /// The least that is taken.
        min: u64,
        /// The most that is taken.
        max: u64,
    },
    /// The client could not be made.
    #[error("no kafka client: {0}")]
    Client(#[from] rdkafka::error::KafkaError),
    /// The polling thread could not be started.
    #[error("no thread for the producer: {0}")]
    Thread(#[from] std::io::Error),
    /// Records were still not acknowledged when the time was over.
    #[error("{in_flight} records are not acknowledged")]
    NotFlushed {
        /// How many.
        in_flight: usize,
    },
}

/// Appends records to the log. Cheap to clone; the last clone's drop gives up what is not
/// acknowledged yet, so [`Producer::flush`] first.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    codec: Arc<Codec>,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Producer {
    /// Makes a producer. No connection is awaited: appends fail in time when there is no broker.
    ///
    /// # Errors
    /// When an option is out of range or the client library refuses.
    pub fn new(config: &KafkaConfig, codec: Arc<Codec>, options: ProducerOptions) -> Result<Self, ProducerError> {
        Ok(Self { shared: Shared::start(config, &options)?, codec })
    }

    /// The codec that it writes with.
    #[must_use]
    pub fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// Queues a record; the `Ack` says where it was appended.
    pub fn append<E: Event>(&self, event: &E) -> Ack {
        let topic = E::TOPIC.name();
        self.encoded(topic, &event.key(), |codec, out| codec.encode_into(event, out))
    }

    /// As [`Producer::append`], for a record of whichever topic.
    pub fn append_any(&self, event: &AnyEvent) -> Ack {
        match event {
            AnyEvent::Commands(record) => self.append(record),
            AnyEvent::Joins(record) => self.append(record),
            AnyEvent::Sessions(record) => self.append(record),
            AnyEvent::Answers(record) => self.append(record),
            AnyEvent::Scores(record) => self.append(record),
            AnyEvent::Results(record) => self.append(record),
            AnyEvent::Quizzes(record) => self.append(record),
            AnyEvent::Tallies(record) => self.append(record),
            AnyEvent::Ledger(record) => self.append(record),
        }
    }

    /// Queues all records in their order and waits for all acknowledgements. Positions are in the
    /// order of the records.
    ///
    /// # Errors
    /// The first failure in the order of the records; any of the others may have been appended.
    pub async fn append_all(&self, events: &[AnyEvent]) -> Result<Vec<Position>, AppendError> {
        // Nothing behind a record that could not be queued is queued: the log never skips one.
        let mut acks = Vec::with_capacity(events.len());
        for event in events {
            let ack = self.append_any(event);
            let refused = ack.is_refused();
            acks.push(ack);
            if refused {
                break;
            }
        }
        let mut positions = Vec::with_capacity(events.len());
        let mut failure = None;
        for ack in acks {
            match ack.await {
                Ok(position) => positions.push(position),
                Err(err) => failure = failure.or(Some(err)),
            }
        }
        failure.map_or(Ok(positions), Err)
    }

    /// Queues raw bytes, for dead letters. The key decides the partition; without one it is random.
    pub fn append_raw(&self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> Ack {
        let mut owned = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            owned = owned.insert(Header { key, value: Some(*value) });
        }
        let headers = (!headers.is_empty()).then_some(owned);
        self.shared.queue_now(Outgoing { topic, key, value, headers })
    }

    /// Connects, and learns every topic's partitions and this client's producer id. A new producer's
    /// first append waits for these up to a second or so, which a short delivery timeout may not
    /// allow: call this before readiness is told.
    ///
    /// # Errors
    /// When the cluster does not answer within `timeout`.
    pub async fn ready(&self, timeout: Duration) -> Result<(), ProducerError> {
        self.shared.ready(timeout).await
    }

    /// Waits until everything queued so far is acknowledged or has failed.
    ///
    /// # Errors
    /// When records are left after `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<(), ProducerError> {
        self.shared.flush(timeout).await
    }

    /// Asks the cluster for the answers topic's leaders: whether an append could go out now.
    ///
    /// # Errors
    /// When no broker answers within `timeout`.
    pub async fn check(&self, timeout: Duration) -> Result<(), ProducerError> {
        self.shared.check(timeout).await
    }

    /// Records that are queued or in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// How often the client failed for good, or had lost sight of a leader, and was replaced.
    #[must_use]
    pub fn clients_replaced(&self) -> usize {
        self.shared.replaced()
    }

    fn encoded(
        &self,
        topic: &'static str,
        key: &str,
        encode: impl FnOnce(&Codec, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Ack {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            if let Err(err) = encode(&self.codec, scratch) {
                return Ack::refused(err.into());
            }
            // librdkafka copies the bytes into its queue, so the buffer is free again.
            let ack = self.shared.queue(topic, key.as_bytes(), scratch);
            if scratch.capacity() > SCRATCH_BYTES_MAX {
                scratch.shrink_to(SCRATCH_BYTES_MAX);
            }
            ack
        })
    }
}
