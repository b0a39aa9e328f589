//! Looks now and then how far behind each partition number is, on a thread of its own, for the broker
//! has to be asked.

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

use super::{GroupError, GroupSetup};
use crate::group::event::TopicPartition;
use crate::group::limits::{STALLED_US, STARVED_WARY_US};
use crate::group::metrics;
use crate::offsets;
use crate::plain_consumer::LastingConsumer;
use crate::processor::GroupSpec;

/// For how long a client is trusted little behind the last time that it was cut off.
const WARY: Duration = Duration::from_secs(30);

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(2);

/// What the loop knows of the partition numbers that it owns.
pub(super) struct Standing {
    /// From where the client reads each partition on; none when nothing was read of it yet.
    pub(super) positions: Vec<(Topic, i32, Option<i64>)>,
    /// For how long each number has had work without moving, µs; 0 when it has none.
    pub(super) stalled_us: Vec<(i32, i64)>,
}

/// Hands standings to the thread.
pub(super) struct LagWatch {
    standings: mpsc::SyncSender<(Standing, Trust)>,
    starved: mpsc::Receiver<i32>,
    looked_at: Instant,
    /// When the member's client said last that it reaches no broker.
    cut_off_at: Option<Instant>,
}

/// How far the member's client is trusted to read on by itself.
#[derive(Clone, Copy)]
enum Trust {
    Usual,
    /// It was cut off from its brokers lately, and may stay away from some partitions.
    Little,
}

impl Trust {
    /// After how long a client that brings nothing, though there is something, is starved, µs.
    fn starved_us(self) -> i64 {
        match self {
            Self::Usual => STALLED_US,
            Self::Little => STARVED_WARY_US,
        }
    }

    /// How often the lag is looked at; each time the broker is asked once per partition.
    fn look_every(self) -> Duration {
        match self {
            Self::Usual => Duration::from_secs(5),
            Self::Little => Duration::from_secs(1),
        }
    }
}

impl LagWatch {
    /// Starts the thread, which ends with this.
    pub(super) fn start(setup: &GroupSetup, spec: &GroupSpec) -> Result<Self, GroupError> {
        let group = spec.id;
        let consumer =
            LastingConsumer::new(config(setup, group), group).map_err(|source| GroupError::Kafka { group, source })?;
        let (standings, inbox) = mpsc::sync_channel(1);
        let (sender, starved) = mpsc::sync_channel(1);
        let mut watch = Watch { group, consumer, numbers: BTreeMap::new(), starved: sender };
        thread::Builder::new()
            .name(format!("lag {group}"))
            .spawn(move || inbox.into_iter().for_each(|(standing, trust)| watch.look(&standing, trust)))
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { standings, starved, looked_at: Instant::now(), cut_off_at: None })
    }

    /// Notes that the member's client reaches no broker.
    pub(super) fn cut_off(&mut self) {
        self.cut_off_at = Some(Instant::now());
    }

    fn trust(&self) -> Trust {
        if self.cut_off_at.is_some_and(|at| at.elapsed() < WARY) { Trust::Little } else { Trust::Usual }
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self) -> bool {
        self.looked_at.elapsed() >= self.trust().look_every()
    }

    /// Hands a standing over, unless the thread is still busy with the last one.
    pub(super) fn look(&mut self, standing: Standing) {
        self.looked_at = Instant::now();
        let _ = self.standings.try_send((standing, self.trust()));
    }

    /// A number of which the member's consumer brings nothing although another client can read it.
    pub(super) fn starved(&self) -> Option<i32> {
        self.starved.try_recv().ok()
    }
}

/// A partition, from where the member reads on, and the log's end.
type Reach = (Topic, i64, i64);

struct Number {
    /// How far its topics are read, and since when that has been so.
    read: Vec<Reach>,
    since: Instant,
    stalled: bool,
    /// With `read` as it is, nothing can be read: what is ahead is no record, but the marks of transactions.
    idle: bool,
}

struct Watch {
    group: &'static str,
    consumer: LastingConsumer,
    numbers: BTreeMap<i32, Number>,
    starved: mpsc::SyncSender<i32>,
}

impl Watch {
    fn look(&mut self, standing: &Standing, trust: Trust) {
        let lags = match self.consumer.renew().and_then(|()| self.lags(standing)) {
            Ok(lags) => lags,
            Err(err) => {
                debug!(group = self.group, %err, "the lag is not known");
                // A broker that does not answer us brings the member nothing either.
                self.numbers.values_mut().for_each(|known| known.since = Instant::now());
                return;
            }
        };
        let gone: Vec<i32> = self.numbers.keys().copied().filter(|number| !lags.contains_key(number)).collect();
        for number in gone {
            self.numbers.remove(&number);
            self.tell(number, 0, false);
        }
        for (number, read) in lags {
            let busy_us = standing.stalled_us.iter().find(|(stalled, _)| *stalled == number).map_or(0, |(_, us)| *us);
            self.judge(number, read, busy_us, trust);
        }
    }

    /// Either the loop does not get on, or the client brings nothing although there is something.
    fn judge(&mut self, number: i32, read: Vec<Reach>, busy_us: i64, trust: Trust) {
        let mut lag: i64 = read.iter().map(|(_, position, end)| (end - position).max(0)).sum();
        let fresh = || Number { read: Vec::new(), since: Instant::now(), stalled: false, idle: false };
        let mut known = self.numbers.remove(&number).unwrap_or_else(fresh);
        let moved = known.read.iter().map(|reach| reach.1).ne(read.iter().map(|reach| reach.1));
        known.idle &= known.read == read;
        if moved || lag == 0 || busy_us > 0 || known.idle {
            known.since = Instant::now();
        }
        known.read = read;
        let mut starved = known.since.elapsed().as_micros() as i64 > trust.starved_us();
        if starved {
            match self.can_read(number, &known.read) {
                Ok(true) => {}
                Ok(false) => (starved, known.idle) = (false, true),
                Err(err) => {
                    debug!(group = self.group, partition = number, %err, "cannot tell whether there is a record");
                    starved = false;
                }
            }
        }
        if known.idle {
            lag = 0;
        }
        let stalled = busy_us > STALLED_US || starved;
        if stalled && !known.stalled {
            warn!(group = self.group, partition = number, lag, starved, "stalled");
        }
        if starved {
            let _ = self.starved.try_send(number);
        }
        known.stalled = stalled;
        self.numbers.insert(number, known);
        self.tell(number, lag, stalled);
    }

    /// Whether this client can read a record that the member's does not bring.
    fn can_read(&self, number: i32, read: &[Reach]) -> KafkaResult<bool> {
        let mut all = Ok(false);
        for &(topic, position, _) in read.iter().filter(|(_, position, end)| position < end) {
            match self.reads(topic, number, position) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(err) => all = Err(err),
            }
        }
        all
    }

    /// Whether there is a record: the client says so, or that there is none; when it says neither nobody knows.
    fn reads(&self, topic: Topic, partition: i32, position: i64) -> KafkaResult<bool> {
        let consumer = self.consumer.get();
        let mut tpl = TopicPartitionList::with_capacity(1);
        tpl.add_partition_offset(topic.name(), partition, Offset::Offset(position))?;
        consumer.assign(&tpl)?;
        let started = Instant::now();
        let mut found = Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        while let Some(left) = ASK.checked_sub(started.elapsed()) {
            match consumer.poll(left) {
                Some(Ok(_)) => found = Ok(true),
                Some(Err(KafkaError::PartitionEOF(_))) => found = Ok(false),
                // It may be of an outage that is over: nobody has asked since.
                Some(Err(err)) => {
                    found = Err(err);
                    continue;
                }
                None => {}
            }
            break;
        }
        consumer.unassign()?;
        found
    }

    fn tell(&self, number: i32, lag: i64, stalled: bool) {
        let (group, partition) = (self.group, number.to_string());
        ::metrics::gauge!(metrics::LAG_RECORDS, "group" => group, "partition" => partition.clone()).set(lag as f64);
        let stalled = f64::from(u8::from(stalled));
        ::metrics::gauge!(metrics::STALLED, "group" => group, "partition" => partition).set(stalled);
    }

    /// How far each number is read, over its topics.
    fn lags(&self, standing: &Standing) -> KafkaResult<BTreeMap<i32, Vec<Reach>>> {
        let unread = standing.positions.iter().filter(|(_, _, position)| position.is_none());
        let unread: Vec<TopicPartition> = unread.map(|&(topic, partition, _)| (topic, partition)).collect();
        let committed = offsets::committed(self.consumer.get(), &unread, ASK)?;
        let mut lags: BTreeMap<i32, Vec<Reach>> = BTreeMap::new();
        for &(topic, partition, position) in &standing.positions {
            let (low, high) = self.consumer.get().fetch_watermarks(topic.name(), partition, ASK)?;
            let position = position.or_else(|| committed.get(&(topic, partition)).copied()).unwrap_or(low);
            lags.entry(partition).or_default().push((topic, position, high));
        }
        Ok(lags)
    }
}

/// It has the group's id, to look up its offsets, but never joins it.
fn config(setup: &GroupSetup, group: &str) -> ClientConfig {
    let mut config = setup.kafka.consumer();
    config
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true");
    config
}
