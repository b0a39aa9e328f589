//! The group's consumer: its options, and its callbacks, which only take down what happened.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Instant;

use quiz_schemas::Topic;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, warn};

use super::GroupError;
use crate::client_log::ClientLog;
use crate::config::KafkaConfig;
use crate::group::event::TopicPartition;
use crate::group::limits::{EMBEDDED_SESSION_TIMEOUT_MS, POLL_INTERVAL_MS_MAX, TOPICS_WAIT};
use crate::processor::GroupSpec;

/// What a callback took down.
pub(super) enum Called {
    /// The group gives partitions and waits for the assign call.
    Assign(TopicPartitionList),
    /// The group takes partitions and waits for the unassign call.
    Revoke(TopicPartitionList),
    /// The group has taken partitions already.
    Lost(TopicPartitionList),
}

/// Takes down what librdkafka calls back while the consumer is polled.
pub(super) struct Callbacks {
    called: Mutex<VecDeque<Called>>,
    incremental: bool,
    /// Set when the loop has ended: what is taken back then is given at once.
    closing: AtomicBool,
    log: ClientLog,
}

impl Callbacks {
    fn push(&self, called: Called) {
        self.called.lock().expect("no thread panics while it holds the lock").push_back(called);
    }

    /// The oldest thing taken down.
    pub(super) fn pop(&self) -> Option<Called> {
        self.called.lock().expect("no thread panics while it holds the lock").pop_front()
    }

    /// Whether the client has lost sight of a partition's leader.
    pub(super) fn lost_a_leader(&self) -> bool {
        self.log.lost_a_leader()
    }

    /// From now on nothing is left to the loop.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        self.log.take(level, fac, line);
    }

    fn error(&self, err: KafkaError, reason: &str) {
        warn!(%err, reason, "kafka consumer");
    }
}

impl ConsumerContext for Callbacks {
    /// librdkafka waits for the assign or unassign call, which need not come from inside of this.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let assigns = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            let given = if assigns { TopicPartitionList::new() } else { tpl.clone() };
            if let Err(err) = answer(consumer, self.incremental, assigns, &given) {
                debug!(%err, "a rebalance while closing");
            }
            return;
        }
        self.push(match assigns {
            true => Called::Assign(tpl.clone()),
            false if consumer.assignment_lost() => Called::Lost(tpl.clone()),
            false => Called::Revoke(tpl.clone()),
        });
    }
}

/// The assign or unassign call that librdkafka waits for after a rebalance event.
fn answer(
    consumer: &BaseConsumer<Callbacks>,
    incremental: bool,
    assigns: bool,
    tpl: &TopicPartitionList,
) -> KafkaResult<()> {
    match (incremental, assigns) {
        (true, true) => consumer.incremental_assign(tpl),
        (true, false) => consumer.incremental_unassign(tpl),
        (false, true) => consumer.assign(tpl),
        (false, false) => consumer.unassign(),
    }
}

/// The consumer of one member.
pub(super) struct GroupConsumer {
    /// Shared with the thread that commits.
    pub(super) inner: Arc<BaseConsumer<Callbacks>>,
    group: &'static str,
    incremental: bool,
}

impl GroupConsumer {
    /// Makes the consumer; `waker` is woken when it has something.
    pub(super) fn new(
        kafka: &KafkaConfig,
        spec: &GroupSpec,
        gather_ms: u32,
        waker: Thread,
    ) -> Result<Self, GroupError> {
        let incremental = !kafka.embedded;
        let (called, closing) = (Mutex::new(VecDeque::new()), AtomicBool::new(false));
        let callbacks = Callbacks { called, incremental, closing, log: ClientLog::default() };
        let created: KafkaResult<BaseConsumer<Callbacks>> =
            config(kafka, spec, gather_ms).create_with_context(callbacks);
        let mut inner = created.map_err(|source| GroupError::Kafka { group: spec.id, source })?;
        inner.set_nonempty_callback(move || waker.unpark());
        Ok(Self { inner: Arc::new(inner), group: spec.id, incremental })
    }

    /// Joins the group when all its topics are there.
    pub(super) fn join(&self, spec: &GroupSpec, stop: impl Fn() -> bool) -> Result<(), GroupError> {
        let started = Instant::now();
        while !stop() {
            let found = self.partitions(spec);
            if found.iter().all(|(_, count)| *count > 0 && *count == found[0].1) {
                break;
            }
            if started.elapsed() > TOPICS_WAIT {
                return Err(GroupError::Topics { group: self.group, found: format!("{found:?}") });
            }
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        self.subscribe(spec)
    }

    /// Joins the group, whose topics are there.
    pub(super) fn subscribe(&self, spec: &GroupSpec) -> Result<(), GroupError> {
        let names: Vec<&str> = spec.reads.iter().map(|topic| topic.name()).collect();
        self.inner.subscribe(&names).map_err(|source| self.failed(source))
    }

    fn partitions(&self, spec: &GroupSpec) -> Vec<(&'static str, usize)> {
        let mut found = Vec::new();
        for topic in spec.reads {
            let answer = self.inner.fetch_metadata(Some(topic.name()), std::time::Duration::from_secs(2));
            let count =
                answer.map_or(0, |metadata| metadata.topics().iter().map(|topic| topic.partitions().len()).sum());
            found.push((topic.name(), count));
        }
        found
    }

    /// Takes nothing of what the group gives: the member is about to leave.
    pub(super) fn assign_nothing(&self) {
        if let Err(err) = answer(&self.inner, self.incremental, true, &TopicPartitionList::new()) {
            debug!(group = self.group, %err, "while leaving");
        }
    }

    /// Takes what the group gives, to be read from the offsets in the list, and checks that it is taken.
    pub(super) fn assign(&self, tpl: &TopicPartitionList) -> Result<(), GroupError> {
        answer(&self.inner, self.incremental, true, tpl).map_err(|source| self.failed(source))?;
        let owned = self.inner.assignment().map_err(|source| self.failed(source))?;
        let missing = |&(topic, partition): &TopicPartition| owned.find_partition(topic.name(), partition).is_none();
        if topic_partitions(tpl).iter().any(missing) {
            return Err(GroupError::Assignment { group: self.group });
        }
        Ok(())
    }

    /// Gives back what the group takes.
    pub(super) fn unassign(&self, tpl: &TopicPartitionList) -> Result<(), GroupError> {
        answer(&self.inner, self.incremental, false, tpl).map_err(|source| self.failed(source))
    }

    pub(super) fn failed(&self, source: KafkaError) -> GroupError {
        GroupError::Kafka { group: self.group, source }
    }
}

/// The topics and partitions of a list; what is not ours is not there.
pub(super) fn topic_partitions(tpl: &TopicPartitionList) -> Vec<TopicPartition> {
    let known = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        Topic::from_name(element.topic()).map(|topic| (topic, element.partition()))
    };
    tpl.elements().iter().filter_map(known).collect()
}

/// One partition number of all topics.
pub(super) fn number_list(topics: &[Topic], partition: i32) -> TopicPartitionList {
    let mut tpl = TopicPartitionList::with_capacity(topics.len());
    for topic in topics {
        tpl.add_partition(topic.name(), partition);
    }
    tpl
}

/// Offsets as the client takes them.
pub(super) fn offset_list(offsets: &[(Topic, i32, i64)]) -> KafkaResult<TopicPartitionList> {
    let mut tpl = TopicPartitionList::with_capacity(offsets.len());
    for &(topic, partition, offset) in offsets {
        tpl.add_partition_offset(topic.name(), partition, Offset::Offset(offset))?;
    }
    Ok(tpl)
}

/// What a member adds to the options of every consumer.
///
/// On a cluster the broker assigns (KIP-848): what stays with a member goes on while something else
/// moves, for co-partitioned topics too, because a member gives back a number of all topics in one step.
/// When a member is taken for dead is the broker's to say (`group.consumer.session.timeout.ms`). The
/// embedded cluster has no assignor of its own, so its members use the older protocol.
fn config(kafka: &KafkaConfig, spec: &GroupSpec, gather_ms: u32) -> ClientConfig {
    let mut config = kafka.gathering_consumer(gather_ms);
    config
        .set("group.id", spec.id)
        // Where reading begins is looked up before: the client must never jump by itself.
        .set("auto.offset.reset", "error")
        .set("max.poll.interval.ms", POLL_INTERVAL_MS_MAX.to_string())
        .set("enable.partition.eof", "false");
    if kafka.embedded {
        config
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", EMBEDDED_SESSION_TIMEOUT_MS.to_string())
            .set("heartbeat.interval.ms", (EMBEDDED_SESSION_TIMEOUT_MS / 4).to_string());
    } else {
        config.set("group.protocol", "consumer").set("group.remote.assignor", assignor(spec));
    }
    config
}

/// Who on the broker says which member has which partitions. Several topics stay together by their numbers only under
/// `range`, which hands out rows of numbers anew whenever a member comes, and so also takes from members what it gives
/// back to them a moment later. With one topic there is nothing to keep together: `uniform` moves what has to move.
fn assignor(spec: &GroupSpec) -> &'static str {
    if spec.reads.len() > 1 { "range" } else { "uniform" }
}
