//! Carries the loop's actions out on rdkafka.
//!
//! One thread per member polls the consumer and turns the [`Machine`]; the store, the producer and
//! the registry are awaited as tasks of the surrounding runtime; transactions and restores block, so
//! each has a thread of its own.

mod commits;
mod consumer;
mod effects;
mod lag;
mod poll;
mod restore;
mod starts;
mod transactions;
mod writes;

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quiz_schemas::Codec;
use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Fatal, Now};
use super::limits::EVENTS_MAX;
use crate::config::KafkaConfig;
use crate::processor::{Processor, StateStore};
use crate::producer::Producer;
use crate::registry::SchemaSource;

/// What a member of a group runs with.
#[derive(Clone)]
pub struct GroupSetup {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// Reads the records; also what the transactional producer writes with.
    pub codec: Arc<Codec>,
    /// Where unknown schema ids are looked up.
    pub schemas: SchemaSource,
    /// Appends the output of groups that are not transactional, and dead letters.
    pub producer: Producer,
    /// Unique among the members of the group that run at the same time, and kept over restarts:
    /// the transactional id is `<group>-<instance>`.
    pub instance: String,
}

/// Why a member stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The loop cannot go on.
    #[error("group {group}: {fatal}")]
    Fatal {
        /// The group.
        group: &'static str,
        /// Why.
        fatal: Fatal,
    },
    /// The client library refuses, for good.
    #[error("group {group}: the kafka client failed: {source}")]
    Kafka {
        /// The group.
        group: &'static str,
        /// What it said.
        source: KafkaError,
    },
    /// The topics of the group are not there, or have different numbers of partitions.
    #[error("group {group}: its topics are missing or not co-partitioned: {found}")]
    Topics {
        /// The group.
        group: &'static str,
        /// What the broker has.
        found: String,
    },
    /// After a rebalance the client owns something else than it was given.
    #[error("group {group}: the client's assignment is not what the group gave it")]
    Assignment {
        /// The group.
        group: &'static str,
    },
    /// A transaction call has not returned for far too long; the process must end, for the call cannot be undone.
    #[error("group {group}: a transaction call hangs")]
    TransactionHung {
        /// The group.
        group: &'static str,
    },
    /// A thread could not be started, or is gone.
    #[error("group {group}: no thread: {reason}")]
    Thread {
        /// The group.
        group: &'static str,
        /// Why.
        reason: String,
    },
}

/// Runs one member of the processor's group until `shutdown` is cancelled, then drains, commits and
/// leaves the group, which takes no longer than [`super::limits::SHUTDOWN_DRAIN_US`] and a second.
///
/// # Errors
/// When the member cannot go on; everything that may pass (brokers, store or registry away) is waited for.
pub async fn run_group<P: Processor>(
    processor: P,
    store: Arc<dyn StateStore<P>>,
    setup: GroupSetup,
    shutdown: CancellationToken,
) -> Result<(), GroupError> {
    let group = processor.group().id;
    let (sender, inbox) = mpsc::channel(EVENTS_MAX);
    let (done_sender, done) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // Dropping this future stops the thread as well.
    let dropped = shutdown.child_token();
    let guard = dropped.clone().drop_guard();
    let starter =
        poll::Starter { processor: Arc::new(processor), store, setup, runtime, sender, inbox, shutdown: dropped };
    let thread = thread::Builder::new().name(format!("group {group}")).spawn(move || {
        // The receiver is gone when the future was dropped; then nobody asks.
        let _ = done_sender.send(starter.run());
    });
    let handle = thread.map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
    let waker = handle.thread().clone();
    let mut done = done;
    let result = tokio::select! {
        result = &mut done => result,
        () = shutdown.cancelled() => {
            waker.unpark();
            done.await
        }
    };
    drop(guard);
    result.unwrap_or_else(|_| Err(GroupError::Thread { group, reason: "it panicked".to_string() }))
}

/// The way back into the loop for those who carry out its actions.
pub(super) struct Outbox<P: Processor> {
    sender: mpsc::Sender<Event<P>>,
    thread: Thread,
}

impl<P: Processor> Clone for Outbox<P> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), thread: self.thread.clone() }
    }
}

impl<P: Processor> Outbox<P> {
    /// Tells the loop. It may be gone: then nobody cares.
    async fn send(&self, event: Event<P>) {
        let _ = self.sender.send(event).await;
        self.thread.unpark();
    }

    /// The same from a thread that may block. False when the loop is gone.
    fn send_blocking(&self, event: Event<P>) -> bool {
        let sent = self.sender.blocking_send(event).is_ok();
        self.thread.unpark();
        sent
    }
}

/// Reads the clocks for the loop.
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { origin: Instant::now() }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall_us: wall.as_micros() as i64, steady_us: self.origin.elapsed().as_micros() as i64 }
    }
}
