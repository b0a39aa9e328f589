//! Transactional groups: output and offsets in one transaction, one transaction at a time (I12).

use std::sync::Arc;

use super::backoff::Try;
use super::event::{Action, Fatal, Now, TaskId};
use super::limits::{FENCES_MAX, TRANSACTION_EVENTS_MAX};
use super::machine::Machine;
use crate::processor::Processor;

/// The member's transactions.
#[derive(Default)]
pub(super) struct Transactions {
    /// The one under way: its number and whose batches it carries.
    open: Option<(u64, Vec<TaskId>)>,
    started: u64,
    /// Counts aborts in a row, for the back-off.
    attempt: Try,
    fences: u32,
}

impl Transactions {
    /// Whether one is under way.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self, transaction: u64) -> Option<Vec<TaskId>> {
        let (_, tasks) = self.open.take_if(|(number, _)| *number == transaction)?;
        Some(tasks)
    }
}

impl<P: Processor> Machine<P> {
    /// Starts a transaction with the batches that wait for one. True when they led to nothing and are
    /// finished without.
    pub(super) fn transact(&mut self, now: Now) -> bool {
        if self.transactions.is_open() {
            return false;
        }
        let mut tasks = Vec::new();
        let mut events = Vec::new();
        let mut offsets = Vec::new();
        for task in self.tasks.values() {
            let Some(flush) = task.flushes.front().filter(|flush| flush.dead_lettered) else { continue };
            if !flush.ends_in_the_log() {
                self.stop(Err(Fatal::WriteInTransaction));
                return false;
            }
            if !events.is_empty() && events.len() + flush.produce.len() > TRANSACTION_EVENTS_MAX {
                break;
            }
            tasks.push(task.id);
            events.extend(flush.produce.iter().cloned());
            // With output go all offsets, moved or not: a successor's look-up waits for a transaction only
            // when it carries an offset of its partitions, and what time alone led to moves none.
            let speaks = !flush.produce.is_empty();
            let told = flush.points.iter().filter(|(topic, point)| speaks || task.committed.get(topic) < Some(point));
            offsets.extend(told.map(|(&topic, &point)| (topic, task.id.partition, point)));
        }
        if tasks.is_empty() {
            return false;
        }
        if events.is_empty() && offsets.is_empty() {
            self.finish(now, &tasks);
            return true;
        }
        self.transactions.started += 1;
        let transaction = self.transactions.started;
        self.transactions.open = Some((transaction, tasks));
        self.actions.push_back(Action::Transact { transaction, events: Arc::new(events), offsets });
        false
    }

    pub(super) fn transaction_done(&mut self, now: Now, transaction: u64) {
        let Some(tasks) = self.transactions.close(transaction) else { return };
        self.transactions.attempt = Try::Ready;
        self.transactions.fences = 0;
        self.finish(now, &tasks);
    }

    /// The front batches of these tasks are in the log with their offsets.
    fn finish(&mut self, now: Now, tasks: &[TaskId]) {
        for &id in tasks {
            if let Some((task, mut turn)) = self.turn_of(now, id) {
                task.finish_front(&mut turn);
                task.committed = task.finished.clone();
            }
        }
    }

    /// What the states hold may not be in the log: drops them and restores them from it.
    pub(super) fn transaction_aborted(&mut self, now: Now, transaction: u64) {
        let Some(tasks) = self.transactions.close(transaction) else { return };
        for id in tasks {
            self.restore_anew(now, id, self.transactions.attempt);
        }
        self.transactions.attempt.fail(now.steady_us, &mut self.jitter);
    }

    pub(super) fn fenced(&mut self, now: Now, transaction: u64) {
        self.transactions.fences += u32::from(self.transactions.is_open());
        if self.transactions.fences >= FENCES_MAX {
            self.stop(Err(Fatal::Fenced));
            return;
        }
        self.transaction_aborted(now, transaction);
    }
}
