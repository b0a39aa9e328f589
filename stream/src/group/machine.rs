//! The loop itself: no I/O, no clock, no randomness of its own. Events in, actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use quiz_schemas::{Codec, Topic};

use super::backoff::{Jitter, Try};
use super::event::{Action, Event, Fatal, Now, RawRecord, TaskId, TopicPartition};
use super::limits::{COMMIT_INTERVAL_US, REVOKE_DRAIN_US, SHUTDOWN_DRAIN_US};
use super::rounds::WriteRounds;
use super::schemas::Schemas;
use super::task::{Phase, Task, Turn};
use super::transaction::Transactions;
use crate::processor::{Delivery, GroupSpec, Processor};

/// A commit on its way.
#[derive(Default)]
struct Commits {
    attempt: Try,
    sent: Vec<(TaskId, Topic, i64)>,
    started_at_us: Option<i64>,
}

/// Partitions that the group waits for.
struct Revoke {
    partitions: Vec<TopicPartition>,
    deadline_us: i64,
}

/// One member of one group.
pub struct Machine<P: Processor> {
    pub(super) processor: Arc<P>,
    codec: Arc<Codec>,
    pub(super) spec: GroupSpec,
    pub(super) tasks: BTreeMap<i32, Task<P>>,
    incarnations: u64,
    pub(super) actions: VecDeque<Action<P>>,
    pub(super) jitter: Jitter,
    schemas: Schemas,
    rounds: WriteRounds,
    commits: Commits,
    pub(super) transactions: Transactions,
    revoke: Option<Revoke>,
    drain_deadline_us: Option<i64>,
    stopped: bool,
}

impl<P: Processor> Machine<P> {
    /// A member that owns nothing yet. `seed` is for the jitter of its back-offs.
    #[must_use]
    pub fn new(processor: Arc<P>, codec: Arc<Codec>, seed: u64) -> Self {
        let spec = processor.group();
        Self {
            processor,
            codec,
            spec,
            tasks: BTreeMap::new(),
            incarnations: 0,
            actions: VecDeque::new(),
            jitter: Jitter::new(seed),
            schemas: Schemas::default(),
            rounds: WriteRounds::default(),
            commits: Commits::default(),
            transactions: Transactions::default(),
            revoke: None,
            drain_deadline_us: None,
            stopped: false,
        }
    }

    /// Takes what happened. Then ask [`Machine::next_action`] until there is none.
    pub fn handle(&mut self, now: Now, event: Event<P>) {
        if self.stopped {
            return;
        }
        self.take(now, event);
        self.advance(now);
    }

    /// The next thing to do. Actions are to be started in order.
    pub fn next_action(&mut self) -> Option<Action<P>> {
        self.actions.pop_front()
    }

    /// After how long [`Event::Tick`] is due, µs, if nothing else happens before.
    #[must_use]
    pub fn wake_in_us(&self, now: Now) -> Option<i64> {
        let mut in_us: Option<i64> = None;
        let mut earlier = |candidate_us: Option<i64>| {
            in_us = [in_us, candidate_us].into_iter().flatten().min();
        };
        for task in self.tasks.values() {
            let (steady_us, wall_us) = task.wake_at_us(&*self.processor, self.is_transactional());
            earlier(steady_us.map(|at_us| at_us - now.steady_us));
            earlier(wall_us.map(|at_us| at_us - now.wall_us));
        }
        let writes = !self.is_transactional() && self.tasks.values().any(Task::waits_to_write);
        earlier(writes.then(|| self.rounds.next_us() - now.steady_us));
        earlier(self.schemas.wake_at_us().map(|at_us| at_us - now.steady_us));
        earlier(self.revoke.as_ref().map(|revoke| revoke.deadline_us - now.steady_us));
        earlier(self.drain_deadline_us.map(|at_us| at_us - now.steady_us));
        earlier(self.commit_wake_at_us().map(|at_us| at_us - now.steady_us));
        in_us.map(|us| us.max(0))
    }

    /// The partition numbers owned, and for how long each has had work without moving, µs.
    pub fn stalled_us(&self, now: Now) -> impl Iterator<Item = (i32, i64)> {
        self.tasks.iter().map(move |(&partition, task)| {
            (partition, if task.is_busy() { now.steady_us - task.moved_at_us } else { 0 })
        })
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.spec.delivery == Delivery::Transactional
    }

    pub(super) fn next_task_id(&mut self, partition: i32) -> TaskId {
        self.incarnations += 1;
        TaskId { partition, incarnation: self.incarnations }
    }

    pub(super) fn stop(&mut self, result: Result<(), Fatal>) {
        self.stopped = true;
        self.actions.push_back(Action::Stop(result));
    }

    fn take(&mut self, now: Now, event: Event<P>) {
        match event {
            Event::Assigned(partitions) => self.assigned(now, &partitions),
            Event::Revoked(partitions) => self.revoked(now, partitions),
            Event::Lost(partitions) => {
                for (_, partition) in partitions {
                    self.tasks.remove(&partition);
                }
            }
            Event::Fetched(records) => self.fetched(records),
            Event::RestoreFailed { task } => self.restore_anew(now, task, Try::Running { failures: 0 }),
            Event::Restored { task, records } => self.restored(now, task, records),
            Event::RestoreDone { task, from } => {
                if let Some((task, mut turn)) = self.restoring(now, task) {
                    task.start(from, &mut turn);
                }
            }
            Event::Loaded { task, .. }
            | Event::LoadFailed { task }
            | Event::Appended { task, .. }
            | Event::AppendFailed { task }
            | Event::DeadLettered { task }
            | Event::DeadLetterFailed { task }
            | Event::Wrote { task }
            | Event::WriteFailed { task }
            | Event::Announced { task }
            | Event::AnnounceFailed { task } => {
                if let Some((task, mut turn)) = self.turn_of(now, task) {
                    task.resolve(event, &mut turn);
                }
            }
            Event::Committed => self.committed(),
            Event::CommitFailed => self.commits.attempt.fail(now.steady_us, &mut self.jitter),
            Event::SchemaKnown(id) => self.schemas.known(id),
            Event::SchemaAbsent(id) => self.schemas.absent(id, now),
            Event::SchemaUnreachable(id) => self.schemas.unreachable(id, now, &mut self.jitter),
            Event::TransactionDone { transaction } => self.transaction_done(now, transaction),
            Event::TransactionAborted { transaction } => self.transaction_aborted(now, transaction),
            Event::Fenced { transaction } => self.fenced(now, transaction),
            Event::Tick => {}
            Event::Drain => self.drain(now),
        }
    }

    /// The task with this id and what it needs to take a step; none when it is of the past.
    pub(super) fn turn_of(&mut self, now: Now, id: TaskId) -> Option<(&mut Task<P>, Turn<'_, P>)> {
        let transactional = self.is_transactional();
        let task = self.tasks.get_mut(&id.partition).filter(|task| task.id == id)?;
        let turn = Turn {
            processor: &*self.processor,
            codec: &self.codec,
            schemas: &mut self.schemas,
            jitter: &mut self.jitter,
            rounds: &mut self.rounds,
            actions: &mut self.actions,
            now,
            transactional,
        };
        Some((task, turn))
    }

    fn restoring(&mut self, now: Now, id: TaskId) -> Option<(&mut Task<P>, Turn<'_, P>)> {
        self.turn_of(now, id).filter(|(task, _)| matches!(task.phase, Phase::Restoring(_)))
    }

    fn restored(&mut self, now: Now, id: TaskId, records: Vec<RawRecord>) {
        let readable = match self.restoring(now, id) {
            Some((task, mut turn)) => task.restored(records, &mut turn),
            None => return,
        };
        if !readable {
            self.restore_anew(now, id, Try::Running { failures: 0 });
        }
    }

    /// Drops a task's state and all its work, and restores it after a wait. `attempt` is the try that failed.
    pub(super) fn restore_anew(&mut self, now: Now, id: TaskId, attempt: Try) {
        let Some(phase) = self.turn_of(now, id).map(|(task, _)| task.phase) else { return };
        if phase == Phase::Leaving {
            self.tasks.remove(&id.partition);
            return;
        }
        let mut attempt = if let Phase::Restoring(attempt) = phase { attempt } else { attempt };
        attempt.fail(now.steady_us, &mut self.jitter);
        let next = self.next_task_id(id.partition);
        let mut task = Task::new(next, &*self.processor, true, now);
        task.phase = Phase::Restoring(attempt);
        self.tasks.insert(id.partition, task);
        self.actions.push_back(Action::Pause(id.partition));
    }

    fn assigned(&mut self, now: Now, partitions: &[TopicPartition]) {
        let Some(numbers) = self.whole_numbers(partitions) else { return };
        let restores = self.is_transactional() || self.spec.restores_from.is_some();
        for number in numbers {
            let id = self.next_task_id(number);
            if restores {
                self.actions.push_back(Action::Pause(number));
            }
            let mut task = Task::new(id, &*self.processor, restores, now);
            if self.drain_deadline_us.is_some() {
                task.leave();
            }
            self.tasks.insert(number, task);
        }
    }

    fn revoked(&mut self, now: Now, partitions: Vec<TopicPartition>) {
        let Some(numbers) = self.whole_numbers(&partitions) else { return };
        for number in numbers {
            self.leave(number);
        }
        let mut partitions = partitions;
        if let Some(earlier) = self.revoke.take() {
            partitions.extend(earlier.partitions);
        }
        self.revoke = Some(Revoke { partitions, deadline_us: now.steady_us + REVOKE_DRAIN_US });
    }

    fn leave(&mut self, number: i32) {
        if let Some(task) = self.tasks.get_mut(&number) {
            // A state that is not restored has nothing under way.
            if matches!(task.phase, Phase::Restoring(_)) {
                self.tasks.remove(&number);
            } else {
                task.leave();
            }
        }
    }

    /// The partition numbers in a list, of which each must be there for every topic of the group.
    fn whole_numbers(&mut self, partitions: &[TopicPartition]) -> Option<BTreeSet<i32>> {
        let numbers: BTreeSet<i32> = partitions.iter().map(|&(_, number)| number).collect();
        for &number in &numbers {
            if self.spec.reads.iter().any(|&topic| !partitions.contains(&(topic, number))) {
                self.stop(Err(Fatal::SplitAssignment { partition: number }));
                return None;
            }
        }
        Some(numbers)
    }

    fn fetched(&mut self, records: Vec<RawRecord>) {
        for raw in records {
            if let Some(task) = self.tasks.get_mut(&raw.partition) {
                task.fetched(raw, &mut self.actions);
            }
        }
    }

    fn drain(&mut self, now: Now) {
        if self.drain_deadline_us.is_none() {
            self.drain_deadline_us = Some(now.steady_us + SHUTDOWN_DRAIN_US);
            let numbers: Vec<i32> = self.tasks.keys().copied().collect();
            for number in numbers {
                self.leave(number);
            }
        }
    }

    fn advance_tasks(&mut self, now: Now) {
        let ids: Vec<TaskId> = self.tasks.values().map(|task| task.id).collect();
        for id in ids {
            if let Some((task, mut turn)) = self.turn_of(now, id) {
                task.advance(&mut turn);
            }
        }
    }

    fn advance(&mut self, now: Now) {
        if self.stopped {
            return;
        }
        self.advance_tasks(now);
        if self.is_transactional() {
            // What needs no transaction is finished at once, and its task may go on: nothing else would wake it.
            while self.transact(now) {
                self.advance_tasks(now);
            }
        } else {
            self.commit(now);
        }
        self.schemas.forget_idle(now);
        self.finish_revoke(now);
        self.finish_drain(now);
    }

    /// What the broker should know and does not.
    fn uncommitted(&self) -> impl Iterator<Item = (TaskId, Topic, i64)> {
        self.tasks.values().flat_map(|task| {
            let news = task.finished.iter().filter(|(topic, point)| task.committed.get(topic) < Some(point));
            news.map(|(&topic, &point)| (task.id, topic, point))
        })
    }

    /// When a commit may start that nobody waits for, steady µs; none when there is nothing to commit.
    fn commit_wake_at_us(&self) -> Option<i64> {
        if self.is_transactional() || self.commits.attempt.is_running() || self.uncommitted().next().is_none() {
            return None;
        }
        let hurry = self.revoke.is_some() || self.drain_deadline_us.is_some();
        let due_us = self.commits.started_at_us.filter(|_| !hurry).map_or(i64::MIN / 2, |us| us + COMMIT_INTERVAL_US);
        Some(due_us.max(self.commits.attempt.wake_at_us().unwrap_or(i64::MIN / 2)))
    }

    fn commit(&mut self, now: Now) {
        let due = self.commit_wake_at_us().is_some_and(|at_us| at_us <= now.steady_us);
        if !due || !self.commits.attempt.start(now.steady_us) {
            return;
        }
        self.commits.started_at_us = Some(now.steady_us);
        self.commits.sent = self.uncommitted().collect();
        let offsets = self.commits.sent.iter().map(|&(id, topic, point)| (topic, id.partition, point)).collect();
        self.actions.push_back(Action::Commit(offsets));
    }

    fn committed(&mut self) {
        if !self.commits.attempt.is_running() {
            return;
        }
        self.commits.attempt = Try::Ready;
        for (id, topic, point) in std::mem::take(&mut self.commits.sent) {
            if let Some(task) = self.tasks.get_mut(&id.partition).filter(|task| task.id == id) {
                task.committed.insert(topic, point);
            }
        }
    }

    /// Whether these partition numbers have nothing more to finish or commit.
    fn is_drained(&self, mut numbers: impl Iterator<Item = i32>) -> bool {
        numbers.all(|number| {
            let task = self.tasks.get(&number);
            task.is_none_or(|task| {
                task.is_drained() && task.finished.iter().all(|(topic, point)| task.committed.get(topic) >= Some(point))
            })
        })
    }

    fn finish_revoke(&mut self, now: Now) {
        let Some(revoke) = &self.revoke else { return };
        let late = now.steady_us >= revoke.deadline_us;
        if late || self.is_drained(revoke.partitions.iter().map(|&(_, number)| number)) {
            let Revoke { partitions, .. } = self.revoke.take().expect("it was just there");
            for (_, number) in &partitions {
                self.tasks.remove(number);
            }
            self.actions.push_back(Action::AckRevoke(partitions));
        }
    }

    fn finish_drain(&mut self, now: Now) {
        let Some(deadline_us) = self.drain_deadline_us else { return };
        let idle = !self.transactions.is_open() && self.is_drained(self.tasks.keys().copied());
        if now.steady_us >= deadline_us || idle {
            self.tasks.clear();
            self.stop(Ok(()));
        }
    }
}
