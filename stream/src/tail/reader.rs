//! The tail's thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quiz_schemas::{AnyEvent, Codec, DecodeError, SchemaId, Topic};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{Command, TailError, TailEvent};
use crate::config::KafkaConfig;
use crate::offsets::appended_at_us;
use crate::plain_consumer::{PlainConsumer, close_aside, plain_consumer};
use crate::processor::Record;
use crate::registry::{ResolveError, SchemaSource};

/// How long the thread sleeps at most: what it takes to notice that nobody listens any more.
const SLEEP: Duration = Duration::from_millis(50);
/// How long the broker may take to say where a partition begins and ends.
const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before the registry is asked again.
const SCHEMA_RETRY: Duration = Duration::from_millis(500);
/// How long the broker may take to answer a client that was cut off; it is asked every [`REPLACE_EVERY`].
const BACK_TIMEOUT: Duration = Duration::from_millis(200);
/// The shortest time between two clients.
const REPLACE_EVERY: Duration = Duration::from_secs(1);
/// librdkafka wants a group id even of a consumer that joins none.
const GROUP_ID: &str = "quiz.tail";

/// The receiver or the last handle is gone.
struct Ended;

pub(super) struct Reader {
    client: ClientConfig,
    consumer: Arc<PlainConsumer>,
    asked_at: Instant,
    /// The client has said that it reaches no broker.
    cut_off: bool,
    codec: Arc<Codec>,
    schemas: SchemaSource,
    topic: Topic,
    runtime: Handle,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<TailEvent>,
    /// The offset to deliver next, of each assigned partition.
    next: BTreeMap<i32, i64>,
    /// Gaps found while serving commands, not told yet: from and to, the widest of a partition.
    gaps: BTreeMap<i32, (i64, i64)>,
}

impl Reader {
    pub(super) fn new(
        config: &KafkaConfig,
        codec: Arc<Codec>,
        schemas: SchemaSource,
        topic: Topic,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<TailEvent>,
    ) -> Result<Self, TailError> {
        let client_error = |err: &dyn std::fmt::Display| TailError::Client(err.to_string());
        let runtime = Handle::try_current().map_err(|err| client_error(&err))?;
        let mut client = config.consumer();
        // "earliest": when retention overtakes the tail it goes on at the oldest record and the
        // jump in the offsets tells.
        client.set("group.id", GROUP_ID).set("auto.offset.reset", "earliest");
        let consumer = plain_consumer(&client).map_err(|err: KafkaError| client_error(&err))?;
        let (next, gaps) = (BTreeMap::new(), BTreeMap::new());
        let (consumer, asked_at) = (Arc::new(consumer), Instant::now());
        let cut_off = false;
        Ok(Self { client, consumer, asked_at, cut_off, codec, schemas, topic, runtime, commands, events, next, gaps })
    }

    pub(super) fn run(&mut self) {
        self.listen();
        while self.turn().is_ok() {}
    }

    /// Has the client wake this thread: its own poll with a timeout spins through its last millisecond.
    fn listen(&mut self) {
        let waker = thread::current();
        let consumer = Arc::get_mut(&mut self.consumer).expect("nobody shares a client that is new");
        consumer.set_nonempty_callback(move || waker.unpark());
    }

    /// Why the client should be replaced, if it should. One that was cut off may come back and yet stay away from some
    /// partitions without a word, and what it brings cannot be told from silence: it is replaced when the broker is back.
    fn is_doubtful(&self) -> Option<&'static str> {
        if self.consumer.context().log.lost_a_leader() {
            return Some("it has lost sight of a leader");
        }
        let (&partition, _) = self.next.first_key_value().filter(|_| self.cut_off)?;
        let asked = self.consumer.fetch_watermarks(self.topic.name(), partition, BACK_TIMEOUT);
        asked.is_ok().then_some("it was cut off from the broker")
    }

    /// Reads on with a new client when this one is doubtful.
    fn renew(&mut self) {
        if self.asked_at.elapsed() < REPLACE_EVERY {
            return;
        }
        self.asked_at = Instant::now();
        let Some(why) = self.is_doubtful() else { return };
        let topic = self.topic;
        let places = self.list(self.next.iter().map(|(&partition, &offset)| (partition, Offset::Offset(offset))));
        let made = plain_consumer(&self.client).and_then(|consumer| {
            if places.count() > 0 {
                consumer.incremental_assign(&places)?;
            }
            Ok(consumer)
        });
        match made {
            Ok(consumer) => {
                error!(%topic, why, "the tail's client is replaced");
                self.cut_off = false;
                ::metrics::counter!("quiz_tail_clients_replaced_total").increment(1);
                let old = std::mem::replace(&mut self.consumer, Arc::new(consumer));
                self.listen();
                close_aside(old, "tail");
            }
            Err(err) => warn!(%err, %topic, "kafka tail: no new client"),
        }
    }

    fn turn(&mut self) -> Result<(), Ended> {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.serve(command),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => return Err(Ended),
            }
        }
        while let Some((partition, (from, to))) = self.gaps.pop_first() {
            self.send(TailEvent::Gap { partition, from, to })?;
        }
        if self.events.is_closed() {
            return Err(Ended);
        }
        self.renew();
        let consumer = Arc::clone(&self.consumer);
        match consumer.poll(Duration::ZERO) {
            Some(Ok(message)) => self.take(&message),
            Some(Err(err)) => {
                warn!(%err, topic = %self.topic, "kafka tail");
                self.cut_off |= err.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
                Ok(())
            }
            None => {
                thread::park_timeout(SLEEP);
                Ok(())
            }
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Ended> {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(&expected) = self.next.get(&partition) else { return Ok(()) };
        if offset != expected {
            self.jumped(partition, expected, offset)?;
        }
        let event = match self.decode(message.payload().unwrap_or_default())? {
            Ok(event) => {
                let appended_at_us = appended_at_us(message.timestamp());
                TailEvent::Record(Record { topic: self.topic, partition, offset, appended_at_us, event })
            }
            Err(error) => TailEvent::Poison { partition, offset, error },
        };
        // A command that was served meanwhile may have moved or released the partition; then this
        // record comes again, or is not wanted.
        if self.next.get(&partition) != Some(&expected) {
            return Ok(());
        }
        self.next.insert(partition, offset + 1);
        self.send(event)
    }

    /// Tells of a gap when records are missing. Offsets also jump over control records and over
    /// what compaction took; those are behind the low watermark, not before it.
    fn jumped(&mut self, partition: i32, expected: i64, offset: i64) -> Result<(), Ended> {
        let lost = offset < expected
            || match self.consumer.fetch_watermarks(self.topic.name(), partition, WATERMARKS_TIMEOUT) {
                Ok((low, _)) => expected < low,
                // Better one gap too many: the receiver only reads its view again.
                Err(_) => true,
            };
        if lost { self.send(TailEvent::Gap { partition, from: expected, to: offset }) } else { Ok(()) }
    }

    fn decode(&mut self, value: &[u8]) -> Result<Result<AnyEvent, DecodeError>, Ended> {
        loop {
            match self.codec.decode_any(self.topic, value) {
                Err(DecodeError::UnknownSchema(id)) => match self.learn(id)? {
                    Ok(()) => {}
                    Err(ResolveError::Unavailable(reason)) => {
                        warn!(id, reason, topic = %self.topic, "waiting for the schema registry");
                        self.wait(SCHEMA_RETRY)?;
                    }
                    Err(_) => return Ok(Err(DecodeError::UnknownSchema(id))),
                },
                decoded => return Ok(decoded),
            }
        }
    }

    /// Asks the registry. Commands wait meanwhile, no longer than the registry client's timeout.
    fn learn(&self, id: SchemaId) -> Result<Result<(), ResolveError>, Ended> {
        self.runtime.clone().block_on(async {
            tokio::select! {
                learned = self.schemas.learn(&self.codec, id) => Ok(learned),
                () = self.events.closed() => Err(Ended),
            }
        })
    }

    /// Serves commands for `duration`.
    fn wait(&mut self, duration: Duration) -> Result<(), Ended> {
        let runtime = self.runtime.clone();
        let until = std::time::Instant::now() + duration;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let command = runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(left) => Ok(None),
                    command = self.commands.recv() => command.map(Some).ok_or(Ended),
                    () = self.events.closed() => Err(Ended),
                }
            })?;
            match command {
                Some(command) => self.serve(command),
                None => return Ok(()),
            }
        }
    }

    /// Hands an event over. While the receiver is slow, commands are still served, so that a
    /// receiver may ask for a partition without reading on.
    fn send(&mut self, event: TailEvent) -> Result<(), Ended> {
        let mut event = match self.events.try_send(event) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Ended),
            Err(mpsc::error::TrySendError::Full(event)) => Some(event),
        };
        let runtime = self.runtime.clone();
        loop {
            let command = runtime.block_on(async {
                tokio::select! {
                    permit = self.events.reserve() => {
                        let permit = permit.map_err(|_| Ended)?;
                        if let Some(event) = event.take() {
                            permit.send(event);
                        }
                        Ok(None)
                    }
                    command = self.commands.recv() => command.map(Some).ok_or(Ended),
                }
            })?;
            match command {
                Some(command) => self.serve(command),
                None => return Ok(()),
            }
        }
    }

    fn serve(&mut self, command: Command) {
        match command {
            Command::ReadFrom { partition, from, reply } => {
                let at = self.read_from(partition, from);
                // Who asked may have gone; the partition is read all the same.
                let _ = reply.send(at);
            }
            Command::Release { partition } => {
                if self.next.remove(&partition).is_some()
                    && let Err(err) = self.consumer.incremental_unassign(&self.at(partition, Offset::Invalid))
                {
                    warn!(%err, partition, topic = %self.topic, "kafka tail: not released");
                }
                self.gaps.remove(&partition);
            }
        }
    }

    fn read_from(&mut self, partition: i32, from: Option<i64>) -> Result<i64, TailError> {
        let standing = self.next.get(&partition).copied();
        if let Some(at) = standing
            && from.is_none_or(|from| at <= from)
        {
            return Ok(at);
        }
        let unavailable = |err: KafkaError| TailError::Unavailable { partition, reason: err.to_string() };
        let watermarks = self.consumer.fetch_watermarks(self.topic.name(), partition, WATERMARKS_TIMEOUT);
        let (low, high) = watermarks.map_err(unavailable)?;
        let from = from.unwrap_or(high);
        let at = if from > high { high } else { from.max(low) };
        if standing.is_some() {
            self.next.remove(&partition);
            self.consumer.incremental_unassign(&self.at(partition, Offset::Invalid)).map_err(unavailable)?;
        }
        self.consumer.incremental_assign(&self.at(partition, Offset::Offset(at))).map_err(unavailable)?;
        self.next.insert(partition, at);
        if at != from {
            let gap = self.gaps.entry(partition).or_insert((from, at));
            *gap = (gap.0.min(from), at);
        }
        Ok(at)
    }

    fn at(&self, partition: i32, offset: Offset) -> TopicPartitionList {
        self.list([(partition, offset)])
    }

    fn list(&self, places: impl IntoIterator<Item = (i32, Offset)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            let added = list.add_partition_offset(self.topic.name(), partition, offset);
            added.expect("an offset from the broker is a valid one");
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use quiz_schemas::events::{JoinsRecord, PlayerConnected};
    use quiz_schemas::{Event, GameId, PlayerId};
    use rdkafka::config::RDKafkaLogLevel;
    use tokio::sync::oneshot;

    use super::*;
    use crate::client_log::tests::LEADERLESS;
    use crate::{EmbeddedCluster, Producer, ProducerOptions, partition_of};

    const DEADLINE: Duration = Duration::from_secs(30);

    fn join(game: GameId, player: u64) -> JoinsRecord {
        let body = PlayerConnected { player: PlayerId::from_bits(player) }.into();
        JoinsRecord { game, at_us: 1, edge: "edge-1".into(), body }
    }

    /// The next record's offset.
    fn reads(reader: &mut Reader, events: &mut mpsc::Receiver<TailEvent>) -> i64 {
        let began = Instant::now();
        while began.elapsed() < DEADLINE {
            assert!(reader.turn().is_ok(), "somebody listens");
            if let Ok(event) = events.try_recv() {
                let TailEvent::Record(record) = event else { panic!("no record: {event:?}") };
                return record.offset;
            }
        }
        panic!("no record came");
    }

    fn is_replaced(reader: &mut Reader, old: &Arc<PlainConsumer>) {
        let began = Instant::now();
        while Arc::as_ptr(&reader.consumer) == Arc::as_ptr(old) {
            reader.renew();
            assert!(began.elapsed() < DEADLINE, "it is not replaced");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Goal: a client that has lost sight of a leader, or of the broker, is replaced, and the reading goes on where it was.
    #[test]
    fn it_reads_on_with_a_new_client() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _in_it = runtime.enter();
        let cluster = EmbeddedCluster::start().unwrap();
        let codec = Arc::new(Codec::with_fixed_ids());
        let producer = Producer::new(&cluster.kafka_config("test"), codec.clone(), ProducerOptions::default()).unwrap();
        let game = GameId::from_bits(7);
        let partition = partition_of(join(game, 0).key().as_bytes(), Topic::Joins.spec().partitions);
        let append = |player| runtime.block_on(producer.append(&join(game, player))).unwrap();
        append(0);

        let (to, commands) = mpsc::channel(1);
        let (sender, mut events) = mpsc::channel(8);
        let (config, schemas) = (cluster.kafka_config("tail"), SchemaSource::fixed());
        let mut reader = Reader::new(&config, codec, schemas, Topic::Joins, commands, sender).unwrap();
        let (reply, _) = oneshot::channel();
        reader.serve(Command::ReadFrom { partition, from: Some(0), reply });
        assert_eq!(reads(&mut reader, &mut events), 0);

        let first = Arc::clone(&reader.consumer);
        reader.consumer.context().log.take(RDKafkaLogLevel::Warning, "METADATAUPDATE", LEADERLESS);
        append(1);
        is_replaced(&mut reader, &first);
        append(2);
        assert_eq!((reads(&mut reader, &mut events), reads(&mut reader, &mut events)), (1, 2));

        let second = Arc::clone(&reader.consumer);
        cluster.broker_down().unwrap();
        let began = Instant::now();
        while !reader.cut_off {
            assert!(reader.turn().is_ok() && began.elapsed() < DEADLINE, "it is not cut off");
        }
        for _ in 0..3 {
            thread::sleep(REPLACE_EVERY);
            reader.renew();
            assert_eq!(
                Arc::as_ptr(&reader.consumer),
                Arc::as_ptr(&second),
                "a new one would not reach the broker either"
            );
        }
        cluster.broker_up().unwrap();
        is_replaced(&mut reader, &second);
        append(3);
        assert_eq!(reads(&mut reader, &mut events), 3);
        drop(to);
    }
}
