//! One partition number in this member: its state, its buffer, and its batches under way.

mod writing;

use std::collections::VecDeque;
use std::sync::Arc;

use quiz_schemas::{Codec, Position, Topic};

use super::backoff::{Jitter, Try};
use super::buffer::{Buffer, Offsets};
use super::event::{Action, Event, Now, RawRecord, TaskId};
use super::flush::{Batch, Flush};
use super::limits::{BATCH_RECORDS_MAX, FLUSHES_MAX};
use super::rounds::WriteRounds;
use super::schemas::{Decoded, Schemas};
use crate::processor::{Output, Processor, Record};
use writing::Writing;

/// What a task needs of its surroundings to take a step.
pub(super) struct Turn<'a, P: Processor> {
    pub(super) processor: &'a P,
    pub(super) codec: &'a Codec,
    pub(super) schemas: &'a mut Schemas,
    pub(super) jitter: &'a mut Jitter,
    pub(super) rounds: &'a mut WriteRounds,
    pub(super) actions: &'a mut VecDeque<Action<P>>,
    pub(super) now: Now,
    pub(super) transactional: bool,
}

/// Where a task stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its state is being folded from the topic to restore from.
    Restoring(Try),
    /// It takes records.
    Running,
    /// It takes no more and finishes what is under way.
    Leaving,
}

/// One partition number.
pub(super) struct Task<P: Processor> {
    pub(super) id: TaskId,
    pub(super) phase: Phase,
    state: P::State,
    buffer: Buffer,
    paused: bool,
    /// Waits for company: see [`Processor::patience_us`].
    filling: Option<Batch>,
    /// Waits for its documents.
    batch: Option<Batch>,
    load: Try,
    pub(super) flushes: VecDeque<Flush<P>>,
    write: Try,
    announce: Try,
    writing: Option<Writing<P>>,
    /// Everything below is applied.
    applied: Offsets,
    /// The commit points of the finished prefix.
    pub(super) finished: Offsets,
    /// What the broker has.
    pub(super) committed: Offsets,
    /// When anything last moved, steady µs.
    pub(super) moved_at_us: i64,
}

impl<P: Processor> Task<P> {
    /// A new task; with `restores` it takes nothing before it is restored.
    pub(super) fn new(id: TaskId, processor: &P, restores: bool, now: Now) -> Self {
        Self {
            id,
            phase: if restores { Phase::Restoring(Try::Ready) } else { Phase::Running },
            state: processor.start(id.partition),
            buffer: Buffer::default(),
            paused: restores,
            filling: None,
            batch: None,
            load: Try::Ready,
            flushes: VecDeque::new(),
            write: Try::Ready,
            announce: Try::Ready,
            writing: None,
            applied: Offsets::new(),
            finished: Offsets::new(),
            committed: Offsets::new(),
            moved_at_us: now.steady_us,
        }
    }

    /// Takes a fetched record.
    pub(super) fn fetched(&mut self, raw: RawRecord, actions: &mut VecDeque<Action<P>>) {
        if self.phase != Phase::Running {
            return;
        }
        self.buffer.push(raw);
        if !self.paused && self.buffer.is_full() {
            self.paused = true;
            actions.push_back(Action::Pause(self.id.partition));
        }
    }

    /// Folds restored records. False when one of them cannot be read yet: the restore must begin anew.
    pub(super) fn restored(&mut self, raws: Vec<RawRecord>, turn: &mut Turn<'_, P>) -> bool {
        let mut records = Vec::with_capacity(raws.len());
        for raw in raws {
            match turn.schemas.decode(turn.codec, &raw, turn.now) {
                Decoded::Event(event) => records.push(Record {
                    topic: raw.topic,
                    partition: raw.partition,
                    offset: raw.offset,
                    appended_at_us: raw.appended_at_us,
                    event,
                }),
                // Those who read the topic as their input have it in the dead-letter topic.
                Decoded::Dead(..) => {}
                Decoded::Wait(id) => {
                    turn.schemas.ask(id, turn.now, turn.actions);
                    return false;
                }
            }
        }
        turn.processor.restore(&mut self.state, &records);
        self.moved_at_us = turn.now.steady_us;
        true
    }

    /// The state is restored: reads on from `from`.
    pub(super) fn start(&mut self, from: Vec<(Topic, i64)>, turn: &mut Turn<'_, P>) {
        let offsets: Offsets = from.iter().copied().collect();
        self.buffer.start_at(&offsets);
        self.applied.clone_from(&offsets);
        self.finished.clone_from(&offsets);
        self.committed = offsets;
        self.paused = false;
        self.phase = Phase::Running;
        self.moved_at_us = turn.now.steady_us;
        turn.actions.push_back(Action::Start { task: self.id, from });
    }

    /// Takes no more records; what is applied goes its way.
    pub(super) fn leave(&mut self) {
        self.phase = Phase::Leaving;
        self.buffer = Buffer::default();
        self.filling = None;
        self.batch = None;
        self.load = Try::Ready;
    }

    /// Whether a leaving task has nothing more to do but to commit.
    pub(super) fn is_drained(&self) -> bool {
        self.flushes.is_empty()
    }

    /// Takes the result of one of its operations.
    pub(super) fn resolve(&mut self, event: Event<P>, turn: &mut Turn<'_, P>) {
        let now_us = turn.now.steady_us;
        match event {
            Event::Loaded { docs, .. } => self.loaded(docs, turn),
            Event::LoadFailed { .. } if self.load.is_running() => self.load.fail(now_us, turn.jitter),
            Event::Appended { positions, .. } => self.appended(&positions, turn),
            Event::AppendFailed { .. } => self.each_flush(|flush| {
                if flush.append.is_running() {
                    flush.append.fail(now_us, turn.jitter);
                }
            }),
            Event::DeadLettered { .. } => self.each_flush(|flush| {
                if flush.dead_letter.is_running() {
                    flush.dead_letter = Try::Ready;
                    flush.dead_lettered = true;
                }
            }),
            Event::DeadLetterFailed { .. } => self.each_flush(|flush| {
                if flush.dead_letter.is_running() {
                    flush.dead_letter.fail(now_us, turn.jitter);
                }
            }),
            Event::Wrote { .. } => self.wrote(turn),
            Event::WriteFailed { .. } if self.write.is_running() => self.write.fail(now_us, turn.jitter),
            Event::Announced { .. } if self.announce.is_running() => {
                self.announce = Try::Ready;
                self.finish_written(turn);
            }
            Event::AnnounceFailed { .. } if self.announce.is_running() => self.announce.fail(now_us, turn.jitter),
            _ => {}
        }
    }

    fn each_flush(&mut self, mut act: impl FnMut(&mut Flush<P>)) {
        self.flushes.iter_mut().for_each(&mut act);
    }

    fn loaded(&mut self, docs: Vec<P::Doc>, turn: &mut Turn<'_, P>) {
        if !self.load.is_running() {
            return;
        }
        self.load = Try::Ready;
        let Some(batch) = self.batch.take() else { return };
        turn.processor.supply(&mut self.state, docs);
        if batch.len() == 0 {
            // It stood for a tick, and time has not gone back.
            self.ticked(turn);
        } else {
            self.apply(batch, turn);
        }
    }

    fn appended(&mut self, positions: &[Position], turn: &mut Turn<'_, P>) {
        if let Some(flush) = self.flushes.iter_mut().find(|flush| flush.append.is_running()) {
            flush.append = Try::Ready;
            flush.appended(turn.processor, positions);
            self.moved_at_us = turn.now.steady_us;
        }
    }

    /// The front flush has run its course: its commit points count now.
    pub(super) fn finish_front(&mut self, turn: &mut Turn<'_, P>) {
        let flush = self.flushes.pop_front().expect("whoever finishes a flush has seen it");
        for (topic, point) in flush.points {
            let finished = self.finished.entry(topic).or_insert(point);
            *finished = point.max(*finished);
        }
        self.moved_at_us = turn.now.steady_us;
        let took_us = turn.now.steady_us - flush.taken_at_us;
        let partition = self.id.partition;
        turn.actions.push_back(Action::Finished { partition, records: flush.records, took_us });
    }

    /// Does all that can be done now.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_, P>) {
        match &mut self.phase {
            Phase::Restoring(attempt) => {
                if attempt.start(turn.now.steady_us) {
                    turn.actions.push_back(Action::Restore { task: self.id });
                }
            }
            Phase::Running => {
                // Each round applies one batch, so it ends when the gate closes or the buffer is empty.
                while self.take(turn) | self.flush(turn) {}
                if self.paused && self.buffer.has_room() {
                    self.paused = false;
                    turn.actions.push_back(Action::Resume(self.id.partition));
                }
            }
            Phase::Leaving => while self.flush(turn) {},
        }
    }

    /// Whether another batch may be applied: what was applied before it must be in the log, so that
    /// appends stay in order; a transaction takes one batch of each task.
    fn gate_is_open(&self, transactional: bool) -> bool {
        if transactional {
            return self.flushes.is_empty();
        }
        self.flushes.len() < FLUSHES_MAX && self.flushes.back().is_none_or(Flush::is_logged)
    }

    /// Applies what there is to apply. True when something was.
    fn take(&mut self, turn: &mut Turn<'_, P>) -> bool {
        if self.batch.is_some() {
            self.load_for_batch(turn);
            return false;
        }
        if !self.gate_is_open(turn.transactional) {
            return false;
        }
        if self.tick(turn) {
            return true;
        }
        if self.batch.is_some() {
            return false;
        }
        let Some(batch) = self.take_batch(turn) else { return false };
        if turn.processor.needs(&self.state, &batch.records).is_empty() {
            self.apply(batch, turn);
            return true;
        }
        self.batch = Some(batch);
        self.load_for_batch(turn);
        false
    }

    /// A load waits until all writes before it are made: it must see them.
    fn load_for_batch(&mut self, turn: &mut Turn<'_, P>) {
        if !self.flushes.is_empty() || !self.load.start(turn.now.steady_us) {
            return;
        }
        let batch = self.batch.as_ref().map_or(&[][..], |batch| &batch.records);
        let keys = turn.processor.needs(&self.state, batch);
        turn.actions.push_back(Action::Load { task: self.id, keys });
    }

    /// The next batch, when it is full or its time has come.
    fn take_batch(&mut self, turn: &mut Turn<'_, P>) -> Option<Batch> {
        let now_us = turn.now.steady_us;
        let mut batch = self.filling.take().unwrap_or_else(|| Batch::new(now_us));
        while batch.len() < BATCH_RECORDS_MAX
            && let Some(raw) = self.buffer.front()
        {
            let decoded = turn.schemas.decode(turn.codec, raw, turn.now);
            if let Decoded::Wait(id) = decoded {
                turn.schemas.ask(id, turn.now, turn.actions);
                break;
            }
            let raw = self.buffer.pop().expect("the front was there");
            match decoded {
                Decoded::Event(event) => {
                    let patience_us = turn.processor.patience_us(&event);
                    batch.push(raw, event, now_us, patience_us);
                }
                Decoded::Dead(reason, error) => batch.push_dead(raw, reason, error),
                Decoded::Wait(_) => {}
            }
        }
        if batch.len() == 0 {
            return None;
        }
        if batch.len() < BATCH_RECORDS_MAX && batch.due_us(turn.processor.lull_us()) > now_us {
            self.filling = Some(batch);
            return None;
        }
        Some(batch)
    }

    fn apply(&mut self, batch: Batch, turn: &mut Turn<'_, P>) {
        let output = if batch.records.is_empty() {
            Output::default()
        } else {
            turn.processor.apply(&mut self.state, &batch.records, turn.now.wall_us)
        };
        self.applied.extend(batch.ends.iter().map(|(&topic, &end)| (topic, end)));
        let points = self.commit_points(turn.processor);
        self.flushes.push_back(Flush::new(output, batch, points));
        self.moved_at_us = turn.now.steady_us;
    }

    fn commit_points(&self, processor: &P) -> Offsets {
        let points = self.applied.iter();
        points.map(|(&topic, &next)| (topic, processor.commit_point(&self.state, topic, next))).collect()
    }

    fn tick(&mut self, turn: &mut Turn<'_, P>) -> bool {
        let due = turn.processor.next_tick_us(&self.state).is_some_and(|at_us| at_us <= turn.now.wall_us);
        if !due {
            return false;
        }
        if !turn.processor.needs(&self.state, &[]).is_empty() {
            // An empty batch waits for what the tick needs, as any batch does.
            self.batch = Some(Batch::new(turn.now.steady_us));
            self.load_for_batch(turn);
            return false;
        }
        self.ticked(turn)
    }

    /// Does what time demands. True when that led to anything.
    fn ticked(&mut self, turn: &mut Turn<'_, P>) -> bool {
        let output = turn.processor.tick(&mut self.state, turn.now.wall_us);
        let points = self.commit_points(turn.processor);
        if output.is_empty() && points.iter().all(|(topic, point)| self.finished.get(topic) >= Some(point)) {
            return false;
        }
        self.flushes.push_back(Flush::new(output, Batch::new(turn.now.steady_us), points));
        true
    }

    /// Carries out flushes. True when one was finished, which may open the gate.
    fn flush(&mut self, turn: &mut Turn<'_, P>) -> bool {
        let now_us = turn.now.steady_us;
        let task = self.id;
        for flush in &mut self.flushes {
            if !flush.dead_lettered && flush.dead_letter.start(now_us) {
                turn.actions.push_back(Action::DeadLetter { task, dead: Arc::clone(&flush.dead) });
            }
            if !flush.appended && !turn.transactional && flush.append.start(now_us) {
                turn.actions.push_back(Action::Append { task, events: Arc::clone(&flush.produce) });
            }
        }
        !turn.transactional && self.write_logged(turn)
    }

    /// When it wants to be looked at again: steady µs, and wall µs for the processor's tick.
    pub(super) fn wake_at_us(&self, processor: &P, transactional: bool) -> (Option<i64>, Option<i64>) {
        let restoring = if let Phase::Restoring(attempt) = self.phase { attempt.wake_at_us() } else { None };
        let flushes = self.flushes.iter().flat_map(|flush| [flush.append.wake_at_us(), flush.dead_letter.wake_at_us()]);
        let own = [restoring, self.load.wake_at_us(), self.write.wake_at_us(), self.announce.wake_at_us()];
        let takes = self.phase == Phase::Running && self.batch.is_none() && self.gate_is_open(transactional);
        let filled = self.filling.as_ref().filter(|_| takes).map(|batch| batch.due_us(processor.lull_us()));
        let steady_us = own.into_iter().chain(flushes).chain([filled]).flatten().min();
        (steady_us, if takes { processor.next_tick_us(&self.state) } else { None })
    }

    /// Whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        let holds = self.filling.is_some() || self.batch.is_some() || self.buffer.len() > 0;
        self.phase != Phase::Running || holds || !self.flushes.is_empty()
    }
}
