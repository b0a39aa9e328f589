//! What goes into the loop and what comes out of it.

use std::sync::Arc;

use bytes::Bytes;
use quiz_schemas::{AnyEvent, Position, SchemaId, Topic};

use crate::processor::Processor;

/// The two clocks, read once per turn by whoever drives the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Wall clock, µs since 1970: what processors see.
    pub wall_us: i64,
    /// A clock that never steps, µs since any origin: what back-offs and deadlines are measured by.
    pub steady_us: i64,
}

/// A partition number in one of its incarnations in this member. After a revoke, a loss or an aborted
/// transaction the number gets a new incarnation, and results that come for an older one are ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId {
    /// The partition number of all the group's topics.
    pub partition: i32,
    /// Rises with every incarnation of any partition number.
    pub incarnation: u64,
}

/// A record as the broker holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawRecord {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The broker's timestamp, µs since 1970.
    pub appended_at_us: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
}

impl RawRecord {
    /// Where it stands in its topic.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { partition: self.partition, offset: self.offset }
    }

    /// What it weighs in a buffer, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A bad record and why it is bad (I11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadRecord {
    /// The record, byte for byte.
    pub raw: RawRecord,
    /// A short stable word.
    pub reason: &'static str,
    /// The same in words.
    pub error: String,
}

/// A partition of a topic.
pub type TopicPartition = (Topic, i32);

/// What happened.
pub enum Event<P: Processor> {
    /// The group gave this member partitions; the consumer already has them.
    Assigned(Vec<TopicPartition>),
    /// The group wants partitions back, and waits for [`Action::AckRevoke`].
    Revoked(Vec<TopicPartition>),
    /// Partitions are gone and may have another owner already.
    Lost(Vec<TopicPartition>),
    /// Records, each topic partition's in offset order.
    Fetched(Vec<RawRecord>),
    /// Part of the answer to [`Action::Restore`].
    Restored {
        /// Whose state.
        task: TaskId,
        /// The next records of the topic to restore from.
        records: Vec<RawRecord>,
    },
    /// The end of the answer to [`Action::Restore`].
    RestoreDone {
        /// Whose state.
        task: TaskId,
        /// From where to read each topic: its committed offset, or its start.
        from: Vec<(Topic, i64)>,
    },
    /// [`Action::Restore`] failed.
    RestoreFailed {
        /// Whose state.
        task: TaskId,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// For whom.
        task: TaskId,
        /// One document for each key.
        docs: Vec<P::Doc>,
    },
    /// [`Action::Load`] failed.
    LoadFailed {
        /// For whom.
        task: TaskId,
    },
    /// The broker acknowledged all of [`Action::Append`].
    Appended {
        /// Whose output.
        task: TaskId,
        /// Where each record stands.
        positions: Vec<Position>,
    },
    /// [`Action::Append`] failed; any of its records may be in the log.
    AppendFailed {
        /// Whose output.
        task: TaskId,
    },
    /// The broker acknowledged all of [`Action::DeadLetter`].
    DeadLettered {
        /// Whose input.
        task: TaskId,
    },
    /// [`Action::DeadLetter`] failed; any of its records may be in the log.
    DeadLetterFailed {
        /// Whose input.
        task: TaskId,
    },
    /// The store made all of [`Action::Write`].
    Wrote {
        /// Whose output.
        task: TaskId,
    },
    /// [`Action::Write`] failed; any of its writes may have been made.
    WriteFailed {
        /// Whose output.
        task: TaskId,
    },
    /// The broker acknowledged all of [`Action::Announce`].
    Announced {
        /// Whose output.
        task: TaskId,
    },
    /// [`Action::Announce`] failed; any of its records may be in the log.
    AnnounceFailed {
        /// Whose output.
        task: TaskId,
    },
    /// The broker has the offsets of the last [`Action::Commit`].
    Committed,
    /// It refused them, or did not answer.
    CommitFailed,
    /// The registry has the schema, and the codec knows it now.
    SchemaKnown(SchemaId),
    /// The registry has no schema under this id.
    SchemaAbsent(SchemaId),
    /// The registry does not answer.
    SchemaUnreachable(SchemaId),
    /// [`Action::Transact`] is committed.
    TransactionDone {
        /// Which.
        transaction: u64,
    },
    /// [`Action::Transact`] was aborted, or nobody knows; nothing more will come of it.
    TransactionAborted {
        /// Which.
        transaction: u64,
    },
    /// Another producer has taken this member's transactional id; nothing more will come of the transaction.
    Fenced {
        /// Which.
        transaction: u64,
    },
    /// Time has passed: see [`super::Machine::wake_in_us`].
    Tick,
    /// Finish what is under way, commit, and stop.
    Drain,
}

/// What to do.
pub enum Action<P: Processor> {
    /// Stop fetching this partition number, all topics.
    Pause(i32),
    /// Fetch it again, from where it stopped.
    Resume(i32),
    /// Look up the committed offsets of the group's topics, and only then read the topic to restore from,
    /// from its start to its end. The order matters: a transaction that carries one of these offsets is
    /// decided when the look-up returns, so what was committed with the offsets is in what is read after.
    /// The end is that of the log, not of what readers of committed records see: behind an open
    /// transaction, a dead member's say, there may be committed records, which must be waited for.
    Restore {
        /// For whom.
        task: TaskId,
    },
    /// Seek each topic, and resume.
    Start {
        /// Who starts.
        task: TaskId,
        /// From where, each topic.
        from: Vec<(Topic, i64)>,
    },
    /// Load documents.
    Load {
        /// For whom.
        task: TaskId,
        /// Which.
        keys: Vec<P::Key>,
    },
    /// Append, in order, and await all acknowledgements.
    Append {
        /// Whose output.
        task: TaskId,
        /// The records.
        events: Arc<Vec<AnyEvent>>,
    },
    /// Append to the dead-letter topics and await all acknowledgements.
    DeadLetter {
        /// Whose input.
        task: TaskId,
        /// The records.
        dead: Arc<Vec<DeadRecord>>,
    },
    /// Write to the store.
    Write {
        /// Whose output.
        task: TaskId,
        /// The writes.
        writes: Arc<Vec<P::Write>>,
        /// Whether they failed before. Then they go by themselves, not in one call with others'.
        failed_before: bool,
    },
    /// Append, in order, what the store holds now, and await all acknowledgements.
    Announce {
        /// Whose output.
        task: TaskId,
        /// The records.
        events: Arc<Vec<AnyEvent>>,
    },
    /// Commit: everything below each offset need not be read again.
    Commit(Vec<(Topic, i32, i64)>),
    /// Append and commit in one transaction, with the group's metadata as it is now.
    Transact {
        /// Names it.
        transaction: u64,
        /// The records, in order.
        events: Arc<Vec<AnyEvent>>,
        /// The offsets.
        offsets: Vec<(Topic, i32, i64)>,
    },
    /// Ask the registry for a schema and tell the codec.
    Resolve(SchemaId),
    /// Give the partitions back.
    AckRevoke(Vec<TopicPartition>),
    /// A batch has run its whole course.
    Finished {
        /// Its partition number.
        partition: i32,
        /// Input records in it.
        records: usize,
        /// From taking it to its last write, µs.
        took_us: i64,
    },
    /// Nothing more will come.
    Stop(Result<(), Fatal>),
}

/// Why the loop cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fatal {
    /// The topics of the group are not co-partitioned in this assignment.
    #[error("the group owns partition {partition} of some of its topics only")]
    SplitAssignment {
        /// The partition number.
        partition: i32,
    },
    /// A transactional group wrote to the store or announced something, which no transaction covers.
    #[error("a transactional group wrote to the store")]
    WriteInTransaction,
    /// Another process uses the same transactional id, again and again.
    #[error("another producer has the same transactional id")]
    Fenced,
}
