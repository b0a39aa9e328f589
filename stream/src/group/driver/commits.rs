//! Commits offsets, on a thread of its own: rdkafka tells the result of a commit to nobody but a
//! caller that blocks for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tracing::info;

use super::consumer::Callbacks;
use super::{GroupError, Outbox};
use crate::failpoint::{self, Point};
use crate::group::event::Event;
use crate::processor::Processor;

/// How long to wait at the end for a commit that is under way.
const JOIN_WAIT: Duration = Duration::from_secs(1);

/// Commits that may wait: the loop's own, of which there is one at a time, and one of where reading begins.
const WAITING_MAX: usize = 2;

/// Hands commits to the thread.
pub(super) struct Committer {
    requests: mpsc::SyncSender<Commit>,
    thread: JoinHandle<()>,
    /// Set when the loop has another committer: it must not take this one's answers for the other's.
    retired: Arc<AtomicBool>,
}

struct Commit {
    offsets: TopicPartitionList,
    /// Whether the loop waits for the answer.
    awaited: bool,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start<P: Processor>(
        group: &'static str,
        consumer: Arc<BaseConsumer<Callbacks>>,
        outbox: Outbox<P>,
    ) -> Result<Self, GroupError> {
        let (requests, inbox) = mpsc::sync_channel::<Commit>(WAITING_MAX);
        let retired = Arc::new(AtomicBool::new(false));
        let is_retired = Arc::clone(&retired);
        let run = move || {
            for Commit { offsets, awaited } in inbox {
                failpoint::pass(Point::BeforeCommit);
                let event = match consumer.commit(&offsets, CommitMode::Sync) {
                    Ok(()) => {
                        failpoint::pass(Point::AfterCommit);
                        Event::Committed
                    }
                    Err(err) => {
                        info!(group, %err, "a commit failed");
                        Event::CommitFailed
                    }
                };
                if is_retired.load(Ordering::Acquire) || (awaited && !outbox.send_blocking(event)) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name(format!("commits {group}"))
            .spawn(run)
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { requests, thread, retired })
    }

    /// Hands over a commit, to which an event answers. False when there is no room.
    pub(super) fn commit(&self, offsets: TopicPartitionList) -> bool {
        self.requests.try_send(Commit { offsets, awaited: true }).is_ok()
    }

    /// Hands over where reading begins; nobody waits for the answer. It goes before what the loop
    /// commits from now on.
    pub(super) fn commit_start(&self, offsets: TopicPartitionList) -> bool {
        self.requests.try_send(Commit { offsets, awaited: false }).is_ok()
    }

    /// From now on the thread tells nothing.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Ends the thread and gives its share of the consumer back, unless a commit does not return: then
    /// the thread closes the consumer when it does.
    pub(super) fn join(self) {
        drop(self.requests);
        let started = Instant::now();
        while !self.thread.is_finished() && started.elapsed() < JOIN_WAIT {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}
