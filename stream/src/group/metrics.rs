//! The names of the loop's metrics.

/// Counter: input records whose batch has run its whole course. Label `group`.
pub const RECORDS_TOTAL: &str = "quiz_group_records_total";
/// Histogram: from taking a batch to its last write, seconds. Label `group`.
pub const BATCH_SECONDS: &str = "quiz_group_batch_seconds";
/// Counter: operations that failed and are tried again. Labels `group`, `stage`.
pub const FLUSH_RETRIES_TOTAL: &str = "quiz_group_flush_retries_total";
/// Counter: records sent to a dead-letter topic. Labels `topic` (of origin), `reason`.
pub const DLQ_RECORDS_TOTAL: &str = "quiz_dlq_records_total";
/// Counter: assignments, revokes and losses. Labels `group`, `kind`.
pub const REBALANCES_TOTAL: &str = "quiz_group_rebalances_total";
/// Counter: times a partition number was paused because its buffer was full. Label `group`.
pub const PAUSES_TOTAL: &str = "quiz_group_pauses_total";
/// Gauge: 1 while a partition number has work and has not moved for longer than
/// [`super::limits::STALLED_US`], or the consumer brings nothing although there is lag. Labels `group`, `partition`.
pub const STALLED: &str = "quiz_group_stalled";
/// Gauge: records in the log that the group has not read yet, over its topics. Labels `group`, `partition`.
pub const LAG_RECORDS: &str = "quiz_group_lag_records";
/// Counter: transactions by outcome. Labels `group`, `outcome`.
pub const TRANSACTIONS_TOTAL: &str = "quiz_group_transactions_total";
/// Counter: records that were deleted from the log before the group had read them. Labels `group`, `topic`.
pub const RECORDS_LOST_TOTAL: &str = "quiz_consumer_records_lost_total";
/// Counter: times a member made itself a new consumer. Labels `group`, `reason`: `stalled` (another
/// client can read what this one does not bring), `leader` (the client has lost sight of a partition's leader) or
/// `offset` (what it was to read is not in the log).
pub const CONSUMERS_REBUILT_TOTAL: &str = "quiz_group_consumers_rebuilt_total";
/// Counter: times a member did not poll for so long that the group took its partitions. Label `group`.
pub const POLL_EXCEEDED_TOTAL: &str = "quiz_group_poll_exceeded_total";
