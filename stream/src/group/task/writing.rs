//! What a task writes to the store: gathered from its flushes, in the member's rounds.

use std::sync::Arc;

use quiz_schemas::AnyEvent;

use super::{Phase, Task, Turn};
use crate::group::backoff::Try;
use crate::group::event::Action;
use crate::group::flush::Flush;
use crate::group::limits::{FLUSHES_MAX, WRITES_MAX};
use crate::processor::Processor;

/// The writes of some flushes at the front, on their way.
pub(super) struct Writing<P: Processor> {
    /// Under way, or waiting to be tried again.
    first: Arc<Vec<P::Write>>,
    /// To be made when `first` is: see [`Processor::seals`].
    then: Vec<P::Write>,
    /// Whether all of them are made.
    made: bool,
    /// To be appended when they are.
    announce: Arc<Vec<AnyEvent>>,
    /// Of how many flushes.
    covered: usize,
}

impl<P: Processor> Task<P> {
    pub(super) fn wrote(&mut self, turn: &mut Turn<'_, P>) {
        if !self.write.is_running() {
            return;
        }
        self.write = Try::Ready;
        let writing = self.writing.as_mut().expect("a write under way carries something");
        if !writing.then.is_empty() {
            writing.first = Arc::new(std::mem::take(&mut writing.then));
            return;
        }
        writing.made = true;
        if writing.announce.is_empty() {
            self.finish_written(turn);
        }
    }

    /// The writes of some flushes are made and announced.
    pub(super) fn finish_written(&mut self, turn: &mut Turn<'_, P>) {
        let covered = self.writing.take().map_or(0, |writing| writing.covered);
        for _ in 0..covered {
            self.finish_front(turn);
        }
    }

    /// Writes what all acknowledged flushes at the front lead to, in one call. True when there was
    /// nothing to write and they are finished.
    pub(super) fn write_logged(&mut self, turn: &mut Turn<'_, P>) -> bool {
        if self.writing.is_none() {
            let mut finished = false;
            while self.flushes.front().is_some_and(|flush| flush.is_logged() && flush.ends_in_the_log()) {
                self.finish_front(turn);
                finished = true;
            }
            if finished {
                return true;
            }
        }
        let (task, now_us) = (self.id, turn.now.steady_us);
        if self.waits_to_write() && (self.writes_hurry() || turn.rounds.join(now_us)) {
            if self.writing.is_none() {
                self.gather_writes(turn.processor);
            }
            self.start_write(turn);
        } else if matches!(self.write, Try::Waiting { .. }) {
            self.start_write(turn);
        }
        if let Some(writing) = self.writing.as_ref().filter(|writing| writing.made)
            && self.announce.start(now_us)
        {
            turn.actions.push_back(Action::Announce { task, events: Arc::clone(&writing.announce) });
        }
        false
    }

    fn start_write(&mut self, turn: &mut Turn<'_, P>) {
        if let Some(writing) = self.writing.as_ref().filter(|writing| !writing.made)
            && self.write.start(turn.now.steady_us)
        {
            let (writes, failed_before) = (Arc::clone(&writing.first), self.write.has_failed());
            turn.actions.push_back(Action::Write { task: self.id, writes, failed_before });
        }
    }

    /// Whether it has something to write that has not been tried, and nothing is being written.
    pub(in crate::group) fn waits_to_write(&self) -> bool {
        match &self.writing {
            Some(writing) => !writing.made && self.write == Try::Ready,
            None => self.flushes.front().is_some_and(Flush::is_logged),
        }
    }

    /// Whether something waits for the writes: a load, the gate, or whoever takes the partition number next.
    fn writes_hurry(&self) -> bool {
        self.batch.is_some() || self.flushes.len() >= FLUSHES_MAX || self.phase == Phase::Leaving
    }

    fn gather_writes(&mut self, processor: &P) {
        let (mut first, mut then, mut announce) = (Vec::new(), Vec::new(), Vec::new());
        let mut covered = 0;
        for flush in &mut self.flushes {
            if !flush.is_logged() || (covered > 0 && first.len() + then.len() + flush.writes.len() > WRITES_MAX) {
                break;
            }
            let (sealing, plain): (Vec<_>, Vec<_>) = flush.writes.drain(..).partition(|write| processor.seals(write));
            first.extend(plain);
            then.extend(sealing);
            announce.append(&mut flush.announce);
            covered += 1;
        }
        if first.is_empty() {
            std::mem::swap(&mut first, &mut then);
        }
        if covered > 0 {
            let made = first.is_empty();
            self.writing = Some(Writing { first: Arc::new(first), then, made, announce: Arc::new(announce), covered });
        }
    }
}
