//! How much the loop holds and how long it waits (I9).

use std::time::Duration;

/// The most records in one batch of one partition number.
pub const BATCH_RECORDS_MAX: usize = 1_000;

/// The most batches of one partition number that are applied and not finished.
pub const FLUSHES_MAX: usize = 8;

/// The most records buffered per partition number before it is paused.
pub const BUFFER_RECORDS_MAX: usize = 4 * BATCH_RECORDS_MAX;

/// The most bytes buffered per partition number before it is paused.
pub const BUFFER_BYTES_MAX: usize = 8 << 20;

/// The most writes in one call of the store.
pub const WRITES_MAX: usize = 10_000;

/// How long a call of the store that carries the writes of several partition numbers may take. Then each goes by itself,
/// for it may be one that the store cannot take, a shard being away. What comes behind waits no longer, either.
pub const COMPANY_TIMEOUT: Duration = Duration::from_secs(2);

/// The least time between two rounds of writes while nothing waits for them, µs. What comes meanwhile goes with the
/// next round, of all partition numbers: a call costs the store much the same however little is in it.
pub const WRITE_INTERVAL_US: i64 = 100_000;

/// The first wait after a failure, µs.
pub const BACKOFF_MIN_US: i64 = 20_000;

/// The longest wait after a failure, µs.
pub const BACKOFF_MAX_US: i64 = 2_000_000;

/// The least time between two commits while nobody waits for one, µs. Committing later costs only
/// re-reading after a crash.
pub const COMMIT_INTERVAL_US: i64 = 200_000;

/// How long a revoke may wait for what is under way, µs. The rest of the group waits with us.
pub const REVOKE_DRAIN_US: i64 = 3_000_000;

/// How long a shutdown may wait for what is under way, µs.
pub const SHUTDOWN_DRAIN_US: i64 = 4_000_000;

/// The most records in one transaction, unless one batch alone leads to more.
pub const TRANSACTION_EVENTS_MAX: usize = 10_000;

/// How often in a row, without a transaction done in between, another producer may take our id.
/// A transaction that the broker times out looks the same.
pub const FENCES_MAX: u32 = 5;

/// How long the registry's "no such schema" is believed, µs.
pub const SCHEMA_ABSENT_US: i64 = 10_000_000;

/// The most schema ids remembered as absent.
pub const SCHEMAS_ABSENT_MAX: usize = 256;

/// After how long without a move a partition number that has work counts as stalled, µs.
pub const STALLED_US: i64 = 10_000_000;

/// The same for a number of which the client brings nothing, when it was cut off from its brokers lately, µs.
pub const STARVED_WARY_US: i64 = 3_000_000;

/// The most events that wait for the loop: results of what it has under way, and restored records.
pub const EVENTS_MAX: usize = 1_024;

/// The longest sleep of the polling thread; it is woken for records and results, so this bounds only
/// what a lost wake-up costs.
pub const POLL_SLEEP: Duration = Duration::from_millis(10);

/// How long a call of the store, the registry or the producer may take before it counts as failed.
pub const EFFECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the registry may take to answer for a schema. With the back-off, the wait after an outage is less
/// than 5 s.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait at the start for all topics to be there.
pub const TOPICS_WAIT: Duration = Duration::from_secs(30);

/// The most restored records handed over at once.
pub const RESTORE_CHUNK: usize = 1_000;

/// How long a restore may go without a record or an end.
pub const RESTORE_IDLE: Duration = Duration::from_secs(15);

/// How long the broker keeps a transaction open that its producer has left, ms.
///
/// Less than [`SESSION_TIMEOUT_MS`], so that what a dead member left open is aborted before a successor has
/// its partitions and never holds up the restore. (The other way, one transactional id for each partition
/// number, which the successor would fence at once, costs a producer with its connections and threads
/// for each, and a transaction for each where one carries all.) The broker looks for such transactions every
/// `transaction.abort.timed.out.transaction.cleanup.interval.ms`, which is 10 s unless set: the servers that we
/// set up have 1 s. A member that is started again under its name fences its predecessor at once.
pub const TRANSACTION_TIMEOUT_MS: u32 = 4_000;

/// How long one call about a transaction may take before it is tried again.
pub const TRANSACTION_CALL: Duration = Duration::from_secs(5);

/// How often a transaction call is tried when it says that it may be.
pub const TRANSACTION_TRIES_MAX: u32 = 3;

/// After how long a transaction call counts as hung.
pub const TRANSACTION_HUNG: Duration = Duration::from_secs(60);

/// When the group gives a silent member's partitions to others, ms. The broker's
/// `group.consumer.session.timeout.ms`, to which the servers that we set up have this.
pub const SESSION_TIMEOUT_MS: u32 = 6_000;

/// The same on the embedded cluster, ms. It must be longer than the 3 s for which that holds back the first join.
pub const EMBEDDED_SESSION_TIMEOUT_MS: u32 = 4_000;

/// How long a member may go without polling, ms.
pub const POLL_INTERVAL_MS_MAX: u32 = 30_000;

const _: () = assert!(BUFFER_RECORDS_MAX >= BATCH_RECORDS_MAX);
const _: () = assert!(BACKOFF_MIN_US < BACKOFF_MAX_US);
const _: () = assert!(BACKOFF_MAX_US < REVOKE_DRAIN_US);
const _: () = assert!(RESOLVE_TIMEOUT.as_micros() as i64 + BACKOFF_MAX_US < 5_000_000);
const _: () = assert!(FLUSHES_MAX >= 2, "one being written and one being appended");
const _: () = assert!(TRANSACTION_TIMEOUT_MS < SESSION_TIMEOUT_MS && SESSION_TIMEOUT_MS <= POLL_INTERVAL_MS_MAX);
const _: () = assert!(REVOKE_DRAIN_US < POLL_INTERVAL_MS_MAX as i64 * 1_000);
const _: () = assert!(TRANSACTION_HUNG.as_secs() > TRANSACTION_CALL.as_secs() * TRANSACTION_TRIES_MAX as u64 * 3);
