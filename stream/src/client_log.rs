//! What librdkafka logs, and the one thing in it that a client does not get over by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;

/// How long nothing more must be said of leaders before the client is given up: while they move, a new client
/// would hear the same.
const SETTLE: Duration = Duration::from_millis(500);

/// A client's log.
///
/// A broker that answers a fetch or an append with "not the leader, and there is none now" leaves librdkafka with
/// a partition that it asks for no more, even when there is a leader again
/// (confluentinc/librdkafka#5430, open as of 2.14). Records for it time out and records of it do not come, and
/// nothing but this line tells. Such a client is replaced by a new one.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    /// Whether there is something in `leaderless`: it is looked at for each record.
    told: AtomicBool,
    leaderless: Mutex<Option<Instant>>,
}

impl ClientLog {
    /// Passes a line on to our log, and looks whether it is the one.
    pub(crate) fn take(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        use RDKafkaLogLevel as Level;
        if fac == "METADATAUPDATE" && line.contains("new leader-1 not found") {
            *self.leaderless.lock().expect("no thread panics while it holds the lock") = Some(Instant::now());
            self.told.store(true, Ordering::Release);
        }
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::error!(target: "librdkafka", "librdkafka: {fac} {line}");
            }
            Level::Warning => tracing::warn!(target: "librdkafka", "librdkafka: {fac} {line}"),
            Level::Notice | Level::Info => tracing::info!(target: "librdkafka", "librdkafka: {fac} {line}"),
            Level::Debug => tracing::debug!(target: "librdkafka", "librdkafka: {fac} {line}"),
        }
    }

    /// Whether the client has lost sight of a leader and may be replaced now.
    pub(crate) fn lost_a_leader(&self) -> bool {
        if !self.told.load(Ordering::Acquire) {
            return false;
        }
        let told = *self.leaderless.lock().expect("no thread panics while it holds the lock");
        told.is_some_and(|at| at.elapsed() >= SETTLE)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As librdkafka 2.12 says it.
    pub(crate) const LEADERLESS: &str =
        "[thrd:main]: Partition quiz.scores.v1(ltg0OPy1Qdi0gMtKa3CDdA)[2]: new leader-1 not found in cache";

    #[test]
    fn only_a_partition_without_a_leader_is_one_that_is_lost() {
        let log = ClientLog::default();
        let others = [
            ("METADATAUPDATE", "[thrd:main]: Partition a(x)[2]: new leader3 not found in cache"),
            ("METADATAUPDATE", "[thrd:main]: Topic a not found in cache"),
            ("FAIL", LEADERLESS),
        ];
        for (fac, line) in others {
            log.take(RDKafkaLogLevel::Warning, fac, line);
        }
        assert_eq!(*log.leaderless.lock().unwrap(), None);
        log.take(RDKafkaLogLevel::Warning, "METADATAUPDATE", LEADERLESS);
        assert!(!log.lost_a_leader(), "they may still be moving");
        *log.leaderless.lock().unwrap() = Instant::now().checked_sub(SETTLE);
        assert!(log.lost_a_leader());
    }
}
