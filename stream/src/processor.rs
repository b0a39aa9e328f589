//! The contract between a consumer group's rules and the one loop that runs them all.
//!
//! A processor is pure: it has no clock, no randomness and no I/O, and none of its methods can
//! fail (I4). It owns a state per partition number of the co-partitioned topics that it reads.
//! The loop feeds it batches in log order and carries out what it returns, in the order that I6
//! asks for: append and await the acks, then write to the store, then announce, then commit.

use quiz_schemas::{AnyEvent, Position, Topic};

/// A record as the loop hands it to a processor.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// Its topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The broker's timestamp, µs since 1970.
    pub appended_at_us: i64,
    /// Its decoded value.
    pub event: AnyEvent,
}

impl Record {
    /// Where it stands in its topic.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { partition: self.partition, offset: self.offset }
    }
}

/// How a group's output reaches the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Idempotent producer; a crash may append a record twice, and readers do not mind (I5).
    AtLeastOnce,
    /// Output and offsets in one Kafka transaction with the group's metadata (I12).
    Transactional,
}

/// What a consumer group reads and how it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupSpec {
    /// The group's id on the broker, `<service>.<purpose>`.
    pub id: &'static str,
    /// Co-partitioned topics: a member owns partition `p` of all of them or of none.
    pub reads: &'static [Topic],
    /// A topic whose partition `p` is folded, from its start to its end, into a new state before
    /// the first batch: the group's own output, when the log is the state.
    pub restores_from: Option<Topic>,
    /// How output reaches the log.
    pub delivery: Delivery,
}

/// What a batch led to.
#[derive(Clone, PartialEq, Debug)]
pub struct Output<W> {
    /// Records to append, in order.
    pub produce: Vec<AnyEvent>,
    /// Writes to the store, made when all of `produce` is acknowledged.
    pub write: Vec<W>,
    /// Records to append, in order, when all of `write` is made: what they say of the store is so. A group with
    /// transactions has none.
    pub announce: Vec<AnyEvent>,
    /// Input records that are well formed but make no sense: to the dead-letter topic (I11).
    pub dead: Vec<Rejected>,
}

impl<W> Default for Output<W> {
    fn default() -> Self {
        Self { produce: Vec::new(), write: Vec::new(), announce: Vec::new(), dead: Vec::new() }
    }
}

impl<W> Output<W> {
    /// Whether there is nothing to carry out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.produce.is_empty() && self.write.is_empty() && self.announce.is_empty() && self.dead.is_empty()
    }
}

/// An input record that a processor gives up on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Its topic.
    pub topic: Topic,
    /// Where it stands.
    pub position: Position,
    /// A short stable word for metrics and headers.
    pub reason: &'static str,
}

/// The rules of one consumer group.
pub trait Processor: Send + Sync + 'static {
    /// What the rules remember of one partition number.
    type State: Send + 'static;
    /// Names a document that a state needs from the store.
    type Key: Clone + Send + Sync + std::fmt::Debug + 'static;
    /// What the store holds under a key; a key with nothing stored yields one too, saying so.
    type Doc: Send + 'static;
    /// A write to the store. Idempotent and absolute: twice, or an older one late, changes nothing (I5).
    type Write: Clone + Send + Sync + 'static;

    /// What the group reads and how it writes.
    fn group(&self) -> GroupSpec;

    /// The state of a partition that nothing is known of.
    fn start(&self, partition: i32) -> Self::State;

    /// Folds records of [`GroupSpec::restores_from`] into a new state.
    fn restore(&self, state: &mut Self::State, records: &[Record]) {
        let _ = (state, records);
    }

    /// The documents that `state` lacks to take `batch`; with an empty batch, those that it lacks for the
    /// [`Processor::tick`] that is due.
    fn needs(&self, state: &Self::State, batch: &[Record]) -> Vec<Self::Key> {
        let _ = (state, batch);
        Vec::new()
    }

    /// Puts loaded documents into `state`, in the order of the keys asked for.
    fn supply(&self, state: &mut Self::State, docs: Vec<Self::Doc>) {
        let _ = (state, docs);
    }

    /// Takes a batch: records of one partition number, each topic's in offset order. `now_us` is
    /// the driver's wall clock; scoring does not look at it.
    fn apply(&self, state: &mut Self::State, batch: &[Record], now_us: i64) -> Output<Self::Write>;

    /// How long `event` may wait for others to be taken in one batch with it, µs. A batch costs an append and
    /// a write however little it holds, so what nobody waits for had better come in company. It is taken
    /// earlier when the batch is full, or when something comes that cannot wait.
    fn patience_us(&self, event: &AnyEvent) -> i64 {
        let _ = event;
        0
    }

    /// How long after the last record came a batch is taken that waits for more, µs: those whose patience
    /// lasts longer wait while others come, and not for nothing.
    fn lull_us(&self) -> i64 {
        i64::MAX
    }

    /// How long the broker may gather records for the group before it answers a fetch, ms; 0: it answers as
    /// soon as there is one. A fetch costs the broker and the member much the same whatever it brings.
    fn gather_ms(&self) -> u32 {
        0
    }

    /// When `tick` wants to be called at the latest, µs since 1970.
    fn next_tick_us(&self, state: &Self::State) -> Option<i64> {
        let _ = state;
        None
    }

    /// Does what time alone demands.
    fn tick(&self, state: &mut Self::State, now_us: i64) -> Output<Self::Write> {
        let _ = (state, now_us);
        Output::default()
    }

    /// Fills in where the output was appended: `positions` goes with [`Output::produce`].
    fn appended(&self, write: &mut Self::Write, positions: &[Position]) {
        let _ = (write, positions);
    }

    /// Whether `write` lets a successor skip the records that other writes of its batch come of, as a
    /// snapshot does. A failed or interrupted [`StateStore::write`] may have made any of its writes, so
    /// the loop makes these only when all the others are made.
    fn seals(&self, write: &Self::Write) -> bool {
        let _ = write;
        false
    }

    /// From where a successor must read `topic`, given that everything below `next` has been
    /// applied. A state that is not stored as it stands commits less (a lane: the oldest open marker).
    fn commit_point(&self, state: &Self::State, topic: Topic, next: i64) -> i64 {
        let _ = (state, topic);
        next
    }
}

/// Why the store did not do what the loop asked. The loop waits and tries again: an outage is not
/// a bad record.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable: {0}")]
pub struct StoreUnavailable(pub String);

/// The store behind a processor, as the loop sees it.
#[async_trait::async_trait]
pub trait StateStore<P: Processor>: Send + Sync + 'static {
    /// The documents under `keys`, in their order, one for each.
    async fn load(&self, keys: &[P::Key]) -> Result<Vec<P::Doc>, StoreUnavailable>;

    /// Makes all the writes, or fails; after a failure any of them may have been made.
    async fn write(&self, writes: &[P::Write]) -> Result<(), StoreUnavailable>;
}
