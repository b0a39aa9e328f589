//! What several readers ask a broker about the ends of a log and a group's place in it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use quiz_schemas::Topic;
use rdkafka::Timestamp;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::plain_consumer::PlainConsumer;

/// How often to look whether open transactions have ended.
const DECIDED_POLL: Duration = Duration::from_millis(20);

/// A broker's timestamp of a record, µs since 1970; 0 when it has none.
pub(crate) fn appended_at_us(timestamp: Timestamp) -> i64 {
    timestamp.to_millis().unwrap_or_default().saturating_mul(1_000)
}

/// What the consumer's group has committed of these partitions; those without a commit are left out.
pub(crate) fn committed(
    consumer: &PlainConsumer,
    partitions: &[(Topic, i32)],
    wait: Duration,
) -> KafkaResult<BTreeMap<(Topic, i32), i64>> {
    let mut committed = BTreeMap::new();
    if partitions.is_empty() {
        return Ok(committed);
    }
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for &(topic, partition) in partitions {
        asked.add_partition(topic.name(), partition);
    }
    for element in consumer.committed_offsets(asked, wait)?.elements() {
        element.error()?;
        if let (Some(topic), Offset::Offset(offset)) = (Topic::from_name(element.topic()), element.offset()) {
            committed.insert((topic, element.partition()), offset);
        }
    }
    Ok(committed)
}

/// The most questions to the broker at a time.
const SIDE_BY_SIDE: usize = 8;

/// The first offset and the end of each partition. The client asks for one partition at a time, and whoever has just been
/// given a dozen holds up all of them until the last is known: so they are asked for side by side.
pub(crate) fn ranges(
    consumer: &PlainConsumer,
    partitions: &[(Topic, i32)],
    wait: Duration,
) -> KafkaResult<Vec<(i64, i64)>> {
    let share = partitions.len().div_ceil(SIDE_BY_SIDE).max(1);
    let ask = |some: &[(Topic, i32)]| -> KafkaResult<Vec<(i64, i64)>> {
        some.iter().map(|&(topic, partition)| consumer.fetch_watermarks(topic.name(), partition, wait)).collect()
    };
    let found = thread::scope(|scope| {
        let asking: Vec<_> = partitions.chunks(share).map(|some| scope.spawn(move || ask(some))).collect();
        let join = |asked: thread::ScopedJoinHandle<'_, _>| asked.join().expect("asking does not panic");
        asking.into_iter().map(join).collect::<KafkaResult<Vec<_>>>()
    })?;
    Ok(found.concat())
}

/// A partition's first offset and its end, once all that is in the log by now is decided. Readers of
/// committed records come to the end where an open transaction begins, and there may be more behind it:
/// `log` sees all records, `readable` the committed ones.
pub(crate) fn decided_range(
    log: &PlainConsumer,
    readable: &PlainConsumer,
    topic: Topic,
    partition: i32,
    wait: Duration,
) -> KafkaResult<(i64, i64)> {
    let (start, end) = log.fetch_watermarks(topic.name(), partition, wait)?;
    let began = Instant::now();
    while readable.fetch_watermarks(topic.name(), partition, wait)?.1 < end {
        if began.elapsed() > wait {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
        thread::park_timeout(DECIDED_POLL);
    }
    Ok((start.max(0), end))
}
