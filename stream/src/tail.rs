//! The tail: reads partitions of one topic by assignment, without a consumer group.
//!
//! An edge has its games in some partitions only and keeps its own cursors, so it joins no group
//! and commits nothing. A thread of its own polls the client; when the receiver is slow the thread
//! waits and the client's queue fills up to its bound, and nothing is lost (I9).

mod reader;

use std::sync::Arc;
use std::thread::{self, Thread};

use quiz_schemas::{Codec, DecodeError, Topic};
use tokio::sync::{mpsc, oneshot};

use crate::config::KafkaConfig;
use crate::processor::Record;
use crate::registry::SchemaSource;

/// Events that wait for the receiver.
pub const EVENTS_MAX: usize = 1_024;
/// Commands that wait for the thread.
const COMMANDS_MAX: usize = 64;

/// What the tail sees.
#[derive(Debug)]
pub enum TailEvent {
    /// A record.
    Record(Record),
    /// A record that cannot be decoded; the tail goes on behind it.
    Poison {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// Records in `from..to` are gone before they were read: retention overran the reader.
    Gap {
        /// The partition.
        partition: i32,
        /// The first offset that was asked for.
        from: i64,
        /// The offset at which the tail goes on; below `from` when the log was cut or made anew.
        to: i64,
    },
}

/// Why the tail did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The client could not be made.
    #[error("no kafka client: {0}")]
    Client(String),
    /// The broker did not say where the partition begins and ends; ask again.
    #[error("partition {partition} cannot be read now: {reason}")]
    Unavailable {
        /// The partition.
        partition: i32,
        /// What the client said.
        reason: String,
    },
    /// The tail has ended.
    #[error("the tail has ended")]
    Ended,
}

/// Tells a tail what to read. The tail ends when all handles, or the receiver, are dropped.
#[derive(Clone)]
pub struct TailHandle {
    commands: mpsc::Sender<Command>,
    thread: Thread,
}

enum Command {
    ReadFrom { partition: i32, from: Option<i64>, reply: oneshot::Sender<Result<i64, TailError>> },
    Release { partition: i32 },
}

/// Starts tails.
pub struct Tail;

impl Tail {
    /// Starts a tail of `topic` that reads nothing yet. Needs a Tokio runtime around it.
    ///
    /// # Errors
    /// When the client or its thread cannot be made.
    pub fn start(
        config: &KafkaConfig,
        codec: Arc<Codec>,
        schemas: SchemaSource,
        topic: Topic,
    ) -> Result<(TailHandle, mpsc::Receiver<TailEvent>), TailError> {
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let mut reader = reader::Reader::new(config, codec, schemas, topic, asked, events)?;
        let thread = thread::Builder::new().name("kafka-tail".into()).spawn(move || reader.run());
        let thread = thread.map_err(|err| TailError::Client(err.to_string()))?.thread().clone();
        Ok((TailHandle { commands, thread }, receiver))
    }
}

impl TailHandle {
    /// Reads `partition` from `from` on (`None`: from its present end on), and returns the offset
    /// at which the tail stands. A tail that stands at or before `from` stays where it is; one that
    /// stands later goes back, so records come again. Records queued before the call may still come.
    ///
    /// # Errors
    /// When the broker does not answer or the tail has ended.
    pub async fn read_from(&self, partition: i32, from: Option<i64>) -> Result<i64, TailError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::ReadFrom { partition, from, reply };
        self.tell(command).await?;
        answer.await.map_err(|_| TailError::Ended)?
    }

    /// Reads `partition` no more. Records queued before the call may still come.
    ///
    /// # Errors
    /// When the tail has ended.
    pub async fn release(&self, partition: i32) -> Result<(), TailError> {
        self.tell(Command::Release { partition }).await
    }

    async fn tell(&self, command: Command) -> Result<(), TailError> {
        self.commands.send(command).await.map_err(|_| TailError::Ended)?;
        self.thread.unpark();
        Ok(())
    }
}
