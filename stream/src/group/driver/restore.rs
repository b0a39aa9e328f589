//! Restores states from the group's own output, on a thread of its own with a consumer of its own.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use quiz_schemas::Topic;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::poll::raw_record;
use super::{GroupError, GroupSetup, Outbox};
use crate::failpoint::{self, Point};
use crate::group::event::{Event, RawRecord, TaskId, TopicPartition};
use crate::group::limits::{RESTORE_CHUNK, RESTORE_IDLE, TRANSACTION_TIMEOUT_MS};
use crate::offsets;
use crate::plain_consumer::LastingConsumer;
use crate::processor::{GroupSpec, Processor};

const POLL: Duration = Duration::from_millis(50);

/// How long one look-up may take, or the wait for open transactions: the broker ends a dead one in less.
const LOOK_UP: Duration = Duration::from_secs(15);

const _: () = assert!(LOOK_UP.as_millis() > TRANSACTION_TIMEOUT_MS as u128);

/// Asks the thread for restores.
pub(super) struct Restorer {
    requests: mpsc::Sender<TaskId>,
}

impl Restorer {
    /// Starts the thread.
    pub(super) fn start<P: Processor>(
        setup: &GroupSetup,
        spec: GroupSpec,
        outbox: Outbox<P>,
    ) -> Result<Self, GroupError> {
        let failed = |source| GroupError::Kafka { group: spec.id, source };
        let consumer = LastingConsumer::new(config(setup, &spec, "read_committed"), spec.id).map_err(failed)?;
        let log = LastingConsumer::new(config(setup, &spec, "read_uncommitted"), spec.id).map_err(failed)?;
        let (requests, inbox) = mpsc::channel();
        let mut thread = Thread { spec, consumer, log, inbox, outbox };
        thread::Builder::new()
            .name(format!("restore {}", spec.id))
            .spawn(move || thread.run())
            .map_err(|err| GroupError::Thread { group: spec.id, reason: err.to_string() })?;
        Ok(Self { requests })
    }

    /// Asks. There is at most one request per partition number that matters, so the queue is bounded by them.
    pub(super) fn restore(&self, task: TaskId) {
        // The thread ends only with the loop.
        let _ = self.requests.send(task);
    }
}

struct Thread<P: Processor> {
    spec: GroupSpec,
    consumer: LastingConsumer,
    /// Sees the end of the log, open transactions included.
    log: LastingConsumer,
    inbox: mpsc::Receiver<TaskId>,
    outbox: Outbox<P>,
}

impl<P: Processor> Thread<P> {
    fn run(&mut self) {
        while let Ok(first) = self.inbox.recv() {
            // The newest incarnation of each number is the one that counts.
            let mut tasks = BTreeMap::from([(first.partition, first)]);
            tasks.extend(self.inbox.try_iter().map(|task| (task.partition, task)));
            let mut left = tasks;
            if let Err(err) = self.restore(&mut left) {
                warn!(group = self.spec.id, %err, "a restore failed; it is tried again");
            }
            for (_, task) in left {
                if !self.outbox.send_blocking(Event::RestoreFailed { task }) {
                    return;
                }
            }
        }
        debug!(group = self.spec.id, "no more restores");
    }

    /// Restores all of `left`, and takes out those that are done.
    fn restore(&mut self, left: &mut BTreeMap<i32, TaskId>) -> KafkaResult<()> {
        self.consumer.renew()?;
        self.log.renew()?;
        // First the offsets, then the records: see `Action::Restore`.
        let mut from = self.offsets(left)?;
        let mut done = |task: TaskId| {
            let from = from.remove(&task.partition).unwrap_or_default();
            self.outbox.send_blocking(Event::RestoreDone { task, from });
        };
        let Some(topic) = self.spec.restores_from else {
            std::mem::take(left).into_values().for_each(done);
            return Ok(());
        };
        let mut tpl = TopicPartitionList::new();
        for &partition in left.keys() {
            offsets::decided_range(self.log.get(), self.consumer.get(), topic, partition, LOOK_UP)?;
            tpl.add_partition_offset(topic.name(), partition, Offset::Beginning)?;
        }
        self.consumer.get().assign(&tpl)?;
        let read = self.read_to_end(topic, left, &mut done);
        self.consumer.get().unassign()?;
        read
    }

    fn read_to_end(
        &self,
        topic: Topic,
        left: &mut BTreeMap<i32, TaskId>,
        done: &mut impl FnMut(TaskId),
    ) -> KafkaResult<()> {
        let mut chunks: BTreeMap<i32, Vec<RawRecord>> = BTreeMap::new();
        let mut moved_at = Instant::now();
        while !left.is_empty() {
            match self.consumer.get().poll(POLL) {
                Some(Ok(message)) => {
                    moved_at = Instant::now();
                    failpoint::pass(Point::InRestore);
                    let Some(raw) = raw_record(&message) else { continue };
                    let chunk = chunks.entry(raw.partition).or_default();
                    let partition = raw.partition;
                    chunk.push(raw);
                    if chunk.len() >= RESTORE_CHUNK
                        && let Some(&task) = left.get(&partition)
                    {
                        self.outbox.send_blocking(Event::Restored { task, records: std::mem::take(chunk) });
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    moved_at = Instant::now();
                    let Some(task) = left.remove(&partition) else { continue };
                    if let Some(records) = chunks.remove(&partition) {
                        self.outbox.send_blocking(Event::Restored { task, records });
                    }
                    done(task);
                }
                Some(Err(err)) => debug!(group = self.spec.id, %topic, %err, "while restoring"),
                None if self.consumer.is_lost() => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::LeaderNotAvailable));
                }
                None if moved_at.elapsed() > RESTORE_IDLE => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// From where to read each topic of each number: what is committed, else its start.
    fn offsets(&self, tasks: &BTreeMap<i32, TaskId>) -> KafkaResult<BTreeMap<i32, Vec<(Topic, i64)>>> {
        let reads = self.spec.reads.iter();
        let asked: Vec<TopicPartition> =
            reads.flat_map(|&topic| tasks.keys().map(move |&partition| (topic, partition))).collect();
        let committed = offsets::committed(self.consumer.get(), &asked, LOOK_UP)?;
        let mut from: BTreeMap<i32, Vec<(Topic, i64)>> = BTreeMap::new();
        let ranges = offsets::ranges(self.consumer.get(), &asked, LOOK_UP)?;
        for ((topic, partition), (start, _)) in asked.into_iter().zip(ranges) {
            let start = start.max(0);
            // What lies before the start was counted as lost when the partition was taken.
            let offset = committed.get(&(topic, partition)).map_or(start, |&offset| offset.max(start));
            from.entry(partition).or_default().push((topic, offset));
        }
        Ok(from)
    }
}

/// It has the group's id, to look up its offsets, but never joins it.
fn config(setup: &GroupSetup, spec: &GroupSpec, isolation: &str) -> ClientConfig {
    let mut config = setup.kafka.consumer();
    config
        .set("group.id", spec.id)
        .set("group.protocol", "classic")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true");
    config
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quiz_schemas::events::{GameOver, OverReason, SessionsRecord};
    use quiz_schemas::{Codec, Event as _, GameId};
    use rdkafka::config::RDKafkaLogLevel;
    use tokio::sync::mpsc as events;

    use super::*;
    use crate::client_log::tests::LEADERLESS;
    use crate::group::limits::EVENTS_MAX;
    use crate::processor::{Delivery, Output, Record};
    use crate::{EmbeddedCluster, Producer, ProducerOptions, SchemaSource, partition_of};

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A group that is only restored.
    struct Restored;

    impl Processor for Restored {
        type State = ();
        type Key = ();
        type Doc = ();
        type Write = ();

        fn group(&self) -> GroupSpec {
            let (reads, restores_from) = (&[Topic::Commands][..], Some(Topic::Sessions));
            GroupSpec { id: "toy.restored", reads, restores_from, delivery: Delivery::Transactional }
        }

        fn start(&self, _: i32) {}

        fn apply(&self, (): &mut (), _: &[Record], _: i64) -> Output<()> {
            Output::default()
        }
    }

    fn decision() -> SessionsRecord {
        let body = GameOver { reason: OverReason::Expired }.into();
        SessionsRecord { game: GameId::from_bits(7), seq: 0, at_us: 1, cause: None, body }
    }

    /// How many records a restore brings.
    fn restores(thread: &mut Thread<Restored>, inbox: &mut events::Receiver<Event<Restored>>, partition: i32) -> usize {
        let task = TaskId { partition, incarnation: 1 };
        thread.restore(&mut BTreeMap::from([(partition, task)])).unwrap();
        let mut count = 0;
        loop {
            match inbox.try_recv().unwrap() {
                Event::Restored { records, .. } => count += records.len(),
                Event::RestoreDone { .. } => return count,
                _ => panic!("something else than a restore"),
            }
        }
    }

    /// Goal: a restore outlives the blindness of the clients that it reads with. Method: each is told that it has
    /// lost sight of a leader. Control: both are others afterwards, once.
    #[test]
    fn it_restores_with_new_clients() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _in_it = runtime.enter();
        let cluster = EmbeddedCluster::start().unwrap();
        let (kafka, codec) = (cluster.kafka_config("test"), Arc::new(Codec::with_fixed_ids()));
        let producer = Producer::new(&kafka, codec.clone(), ProducerOptions::default()).unwrap();
        for _ in 0..3 {
            runtime.block_on(producer.append(&decision())).unwrap();
        }
        let setup = GroupSetup { kafka, codec, schemas: SchemaSource::fixed(), producer, instance: "test".to_string() };
        let client = |isolation| LastingConsumer::new(config(&setup, &Restored.group(), isolation), "test").unwrap();
        let (sender, mut inbox) = events::channel(EVENTS_MAX);
        let mut thread = Thread {
            spec: Restored.group(),
            consumer: client("read_committed"),
            log: client("read_uncommitted"),
            inbox: mpsc::channel().1,
            outbox: Outbox { sender, thread: thread::current() },
        };
        let partition = partition_of(decision().key().as_bytes(), Topic::Sessions.spec().partitions);
        let clients =
            |thread: &Thread<Restored>| [thread.consumer.get(), thread.log.get()].map(|it| it.client().native_ptr());
        let first = clients(&thread);
        assert_eq!(restores(&mut thread, &mut inbox, partition), 3);
        assert_eq!(clients(&thread), first, "nothing is wrong with them");

        for client in [&thread.consumer, &thread.log] {
            client.get().context().log.take(RDKafkaLogLevel::Warning, "METADATAUPDATE", LEADERLESS);
        }
        let began = Instant::now();
        while !(thread.consumer.is_lost() && thread.log.is_lost()) {
            assert!(began.elapsed() < DEADLINE, "they do not count as lost");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(restores(&mut thread, &mut inbox, partition), 3);
        let second = clients(&thread);
        assert!(first.iter().zip(&second).all(|(first, second)| first != second), "they are replaced");
        assert_eq!(restores(&mut thread, &mut inbox, partition), 3);
        assert_eq!(clients(&thread), second);
    }
}
