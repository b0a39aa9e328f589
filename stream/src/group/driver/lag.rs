//! Looks now and then how far behind each partition number is, on a thread of its own, for the broker
//! has to be asked.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use quiz_schemas::Topic;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use super::{GroupError, GroupSetup};
use crate::group::limits::STALLED_US;
use crate::group::metrics;
use crate::processor::GroupSpec;

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(2);

/// What the loop knows of the partition numbers that it owns.
pub(super) struct Standing {
    /// From where the client reads each partition on; none when nothing was read of it yet.
    pub(super) positions: Vec<(Topic, i32, Option<i64>)>,
    /// For how long each number has had work without moving, µs.
    pub(super) stalled_us: Vec<(i32, i64)>,
}

/// Hands standings to the thread.
pub(super) struct LagWatch {
    standings: mpsc::SyncSender<Standing>,
}

impl LagWatch {
    /// Starts the thread, which ends with this.
    pub(super) fn start(setup: &GroupSetup, spec: &GroupSpec) -> Result<Self, GroupError> {
        let group = spec.id;
        let consumer: BaseConsumer =
            config(setup, group).create().map_err(|source| GroupError::Kafka { group, source })?;
        let (standings, inbox) = mpsc::sync_channel(1);
        let mut watch = Watch { group, consumer, numbers: BTreeMap::new() };
        thread::Builder::new()
            .name(format!("lag {group}"))
            .spawn(move || inbox.into_iter().for_each(|standing| watch.look(&standing)))
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { standings })
    }

    /// Hands a standing over, unless the thread is still busy with the last one.
    pub(super) fn look(&self, standing: Standing) {
        let _ = self.standings.try_send(standing);
    }
}

struct Number {
    /// The positions of all its topics, and since when they have been these.
    read: Vec<i64>,
    since: Instant,
    stalled: bool,
}

struct Watch {
    group: &'static str,
    consumer: BaseConsumer,
    numbers: BTreeMap<i32, Number>,
}

impl Watch {
    fn look(&mut self, standing: &Standing) {
        let lags = match self.lags(standing) {
            Ok(lags) => lags,
            Err(err) => {
                debug!(group = self.group, %err, "the lag is not known");
                return;
            }
        };
        let gone: Vec<i32> = self.numbers.keys().copied().filter(|number| !lags.contains_key(number)).collect();
        for number in gone {
            self.numbers.remove(&number);
            self.tell(number, 0, false);
        }
        for (number, (lag, read)) in lags {
            let busy_us = standing.stalled_us.iter().find(|(stalled, _)| *stalled == number).map_or(0, |(_, us)| *us);
            let known = self.numbers.entry(number).or_insert(Number {
                read: Vec::new(),
                since: Instant::now(),
                stalled: false,
            });
            if known.read != read || lag == 0 {
                known.read = read;
                known.since = Instant::now();
            }
            // Either the loop does not get on, or the client brings nothing although there is something.
            let starved = known.since.elapsed().as_micros() as i64 > STALLED_US;
            let stalled = busy_us > STALLED_US || starved;
            if stalled && !known.stalled {
                warn!(group = self.group, partition = number, lag, starved, "stalled");
            }
            known.stalled = stalled;
            self.tell(number, lag, stalled);
        }
    }

    fn tell(&self, number: i32, lag: i64, stalled: bool) {
        let (group, partition) = (self.group, number.to_string());
        ::metrics::gauge!(metrics::LAG_RECORDS, "group" => group, "partition" => partition.clone()).set(lag as f64);
        let stalled = f64::from(u8::from(stalled));
        ::metrics::gauge!(metrics::STALLED, "group" => group, "partition" => partition).set(stalled);
    }

    /// Each number's lag over its topics, and the positions it follows from.
    fn lags(&self, standing: &Standing) -> KafkaResult<BTreeMap<i32, (i64, Vec<i64>)>> {
        let committed = self.committed(standing)?;
        let mut lags: BTreeMap<i32, (i64, Vec<i64>)> = BTreeMap::new();
        for &(topic, partition, position) in &standing.positions {
            let (low, high) = self.consumer.fetch_watermarks(topic.name(), partition, ASK)?;
            let position = position.or_else(|| committed.get(&(topic, partition)).copied()).unwrap_or(low);
            let (lag, read) = lags.entry(partition).or_default();
            *lag += (high - position).max(0);
            read.push(position);
        }
        Ok(lags)
    }

    /// The committed offsets of what the client has read nothing of yet.
    fn committed(&self, standing: &Standing) -> KafkaResult<BTreeMap<(Topic, i32), i64>> {
        let mut asked = TopicPartitionList::new();
        for (topic, partition, _) in standing.positions.iter().filter(|(_, _, position)| position.is_none()) {
            asked.add_partition(topic.name(), *partition);
        }
        let mut committed = BTreeMap::new();
        if asked.count() == 0 {
            return Ok(committed);
        }
        for element in self.consumer.committed_offsets(asked, ASK)?.elements() {
            if let (Some(topic), Offset::Offset(offset)) = (Topic::from_name(element.topic()), element.offset()) {
                committed.insert((topic, element.partition()), offset);
            }
        }
        Ok(committed)
    }
}

/// It has the group's id, to look up its offsets, but never joins it.
fn config(setup: &GroupSetup, group: &str) -> ClientConfig {
    let mut config = setup.kafka.consumer();
    config.set("group.id", group).set("group.protocol", "classic").set("auto.offset.reset", "earliest");
    config
}
