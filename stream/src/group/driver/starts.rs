//! Finds where reading begins, on a thread of its own, for the broker has to be asked.
//!
//! The client is not left to find that out: it would jump over what the log has lost without a word.
//! A partition that the group has never read begins at its start, and that is committed at once, so
//! that the group's position is known from then on and every later loss can be counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, Thread};
use std::time::Duration;

use quiz_schemas::Topic;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaResult;
use tracing::{error, warn};

use super::{GroupError, GroupSetup};
use crate::group::event::TopicPartition;
use crate::group::metrics;
use crate::offsets;
use crate::plain_consumer::{PlainConsumer, plain_consumer};
use crate::processor::GroupSpec;

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(5);

/// How long each of the first two questions may take, to which nobody needs an answer.
const FIRST_ASK: Duration = Duration::from_millis(500);

/// How long to wait after a question that was not answered.
const PAUSE: Duration = Duration::from_millis(200);

/// Where reading begins.
pub(super) struct Starts {
    /// Each partition's.
    pub(super) from: Vec<(Topic, i32, i64)>,
    /// Those of them that the group has to be told: they are not what is committed.
    pub(super) commit: Vec<(Topic, i32, i64)>,
}

/// Asks the thread, one question at a time.
pub(super) struct Opener {
    requests: mpsc::SyncSender<Vec<TopicPartition>>,
    found: mpsc::Receiver<Starts>,
    stop: Arc<AtomicBool>,
}

impl Opener {
    /// Starts the thread; `waker` is woken when it has found something.
    pub(super) fn start(setup: &GroupSetup, spec: &GroupSpec, waker: Thread) -> Result<Self, GroupError> {
        let group = spec.id;
        let consumer = plain_consumer(&config(setup, group)).map_err(|source| GroupError::Kafka { group, source })?;
        let (requests, inbox) = mpsc::sync_channel::<Vec<TopicPartition>>(1);
        let (sender, found) = mpsc::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reads = spec.reads;
        let run = move || {
            get_ready(&consumer, reads);
            for partitions in inbox {
                let Some(starts) = find(group, &consumer, &partitions, &stopped) else { return };
                if sender.send(starts).is_err() {
                    return;
                }
                waker.unpark();
            }
        };
        thread::Builder::new()
            .name(format!("starts {group}"))
            .spawn(run)
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { requests, found, stop })
    }

    /// Asks. False when the thread is gone or still at work on an earlier question.
    pub(super) fn ask(&self, partitions: Vec<TopicPartition>) -> bool {
        self.requests.try_send(partitions).is_ok()
    }

    /// The answer, when it is there.
    pub(super) fn found(&self) -> Option<Starts> {
        self.found.try_recv().ok()
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Lets the client find the group's coordinator and open its connections while nobody waits for it: partitions that are
/// given to a member stand still until it knows where they begin.
fn get_ready(consumer: &PlainConsumer, reads: &[Topic]) {
    let first: Vec<TopicPartition> = reads.iter().map(|&topic| (topic, 0)).collect();
    // What cannot be answered now is asked again when it matters.
    let _ = offsets::committed(consumer, &first, FIRST_ASK);
    let _ = offsets::ranges(consumer, &first, FIRST_ASK);
}

/// Asks until there is an answer; none when nobody waits for it any more.
fn find(
    group: &'static str,
    consumer: &PlainConsumer,
    partitions: &[TopicPartition],
    stopped: &AtomicBool,
) -> Option<Starts> {
    while !stopped.load(Ordering::Acquire) {
        match look_up(group, consumer, partitions) {
            Ok(starts) => return Some(starts),
            Err(err) => warn!(group, %err, "where to begin is not known yet"),
        }
        thread::park_timeout(PAUSE);
    }
    None
}

fn look_up(group: &'static str, consumer: &PlainConsumer, partitions: &[TopicPartition]) -> KafkaResult<Starts> {
    let committed = offsets::committed(consumer, partitions, ASK)?;
    let seen = offsets::ranges(consumer, partitions, ASK)?;
    // Only when all is known is anything told, so that a loss is told once.
    let mut starts = Starts { from: Vec::new(), commit: Vec::new() };
    for (&(topic, partition), &(low, high)) in partitions.iter().zip(&seen) {
        let (from, known) = match committed.get(&(topic, partition)) {
            None => (low.max(0), false),
            Some(&committed) if committed < low => {
                tell_lost(group, topic, partition, committed, low);
                (low, false)
            }
            Some(&committed) => {
                if committed > high {
                    error!(group, %topic, partition, committed, high, "the log ends before what was committed; waits");
                }
                (committed, true)
            }
        };
        starts.from.push((topic, partition, from));
        if !known {
            starts.commit.push((topic, partition, from));
        }
    }
    Ok(starts)
}

/// Records are gone that the group has not read: says so, and counts them.
fn tell_lost(group: &'static str, topic: Topic, partition: i32, committed: i64, low: i64) {
    let lost = low - committed;
    error!(group, %topic, partition, committed, low, lost, "records were deleted before they were read; goes on behind them");
    let labels = [("group", group), ("topic", topic.name())];
    ::metrics::counter!(metrics::RECORDS_LOST_TOTAL, &labels).increment(lost.cast_unsigned());
}

/// It has the group's id, to look up its offsets, but never joins it. It does not wait for open
/// transactions: a group that has them looks its offsets up again when it restores.
fn config(setup: &GroupSetup, group: &str) -> ClientConfig {
    let mut config = setup.kafka.consumer();
    config
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted");
    config
}
