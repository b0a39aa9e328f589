//! Commits offsets, on a thread of its own: rdkafka tells the result of a commit to nobody but a
//! caller that blocks for it.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tracing::info;

use super::consumer::Callbacks;
use super::{GroupError, Outbox};
use crate::group::event::Event;
use crate::processor::Processor;

/// How long to wait at the end for a commit that is under way.
const JOIN_WAIT: Duration = Duration::from_secs(1);

/// Hands commits to the thread.
pub(super) struct Committer {
    requests: mpsc::SyncSender<TopicPartitionList>,
    thread: JoinHandle<()>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start<P: Processor>(
        group: &'static str,
        consumer: Arc<BaseConsumer<Callbacks>>,
        outbox: Outbox<P>,
    ) -> Result<Self, GroupError> {
        let (requests, inbox) = mpsc::sync_channel::<TopicPartitionList>(1);
        let run = move || {
            for offsets in inbox {
                let event = match consumer.commit(&offsets, CommitMode::Sync) {
                    Ok(()) => Event::Committed,
                    Err(err) => {
                        info!(group, %err, "a commit failed");
                        Event::CommitFailed
                    }
                };
                if !outbox.send_blocking(event) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name(format!("commits {group}"))
            .spawn(run)
            .map_err(|err| GroupError::Thread { group, reason: err.to_string() })?;
        Ok(Self { requests, thread })
    }

    /// Hands over a commit. The loop has one at a time, so there is room.
    pub(super) fn commit(&self, offsets: TopicPartitionList) -> bool {
        self.requests.try_send(offsets).is_ok()
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
