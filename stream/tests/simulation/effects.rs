//! How actions are carried out on the model, and how that goes wrong.

use std::sync::Arc;

use quiz_schemas::{AnyEvent, Position, SchemaId};
use quiz_stream::group::{DeadRecord, Event, TaskId};

use crate::auditor::Auditor;
use crate::broker::{Claim, Fate, MemberId, Refused};
use crate::member::{Effect, Kind, Reading, Transaction};
use crate::mutation::Mutation;
use crate::points::Moment;
use crate::store::{Store, Toy};
use crate::workload::CODEC;
use crate::world::World;

/// How an operation goes.
enum Luck {
    Good,
    /// Done, and the answer says that it failed.
    DoneUnseen,
    /// Part of it is done.
    Half,
    Failed,
}

impl<P: Toy, A: Auditor> World<P, A> {
    fn luck(&mut self) -> Luck {
        if self.halves {
            return Luck::Half;
        }
        if !self.rng.chance(self.fault_rate) {
            return Luck::Good;
        }
        match self.rng.below(3) {
            0 => Luck::DoneUnseen,
            1 => Luck::Half,
            _ => Luck::Failed,
        }
    }

    /// The mutations that answer before anything was done.
    pub fn mutate(&mut self, mut effect: Effect<P>) -> Effect<P> {
        let early = match (&effect.kind, self.mutation) {
            (Kind::Append { task, events }, Mutation::AcksAppendEarly) => {
                Some(Event::Appended { task: *task, positions: self.guess_positions(events) })
            }
            (Kind::Write { task, .. }, Mutation::AcksWriteEarly) => Some(Event::Wrote { task: *task }),
            (Kind::Announce { task, .. }, Mutation::AcksAnnounceEarly) => Some(Event::Announced { task: *task }),
            _ => None,
        };
        if let Some(event) = early {
            effect.silent = true;
            self.answer(effect.member, false, event);
        }
        if let (Kind::Commit { offsets, .. }, Mutation::CommitsFetched) = (&mut effect.kind, self.mutation) {
            let member = &self.members[&effect.member];
            for (topic, partition, offset) in offsets {
                *offset = member.owned.get(&(*topic, *partition)).copied().flatten().map_or(*offset, |(_, next)| next);
            }
        }
        if let (Kind::Transact(transaction), Mutation::OmitsUnmovedOffsets) = (&mut effect.kind, self.mutation) {
            let committed = &self.broker.committed;
            let moves = |&(topic, partition, offset): &(_, _, i64)| committed.get(&(topic, partition)) < Some(&offset);
            transaction.offsets.retain(moves);
        }
        effect
    }

    /// Where records would stand if they were appended now.
    fn guess_positions(&self, events: &[AnyEvent]) -> Vec<Position> {
        let mut ends = std::collections::BTreeMap::new();
        let guess = |event: &AnyEvent| {
            let partition = quiz_stream::partition_of(event.key().as_bytes(), self.broker.partitions);
            let end = ends.entry(partition).or_insert_with(|| self.broker.end((event.topic(), partition)));
            *end += 1;
            Position { partition, offset: *end - 1 }
        };
        events.iter().map(guess).collect()
    }

    fn answer(&mut self, member: MemberId, silent: bool, event: Event<P>) {
        if let Some(member) = self.members.get_mut(&member).filter(|_| !silent) {
            member.inbox.push_back(event);
        }
    }

    /// Carries out a step of an effect that is under way.
    pub fn effect_step(&mut self) {
        let at = self.rng.below(self.effects.len());
        if self.fault_rate > 0 && self.effects[at].not_before_us > self.now_us {
            return;
        }
        let slow = self.slow_store && matches!(self.effects[at].kind, Kind::Write { .. } | Kind::Load { .. });
        if slow && self.rng.chance(950) {
            return;
        }
        let Effect { member, silent, kind, .. } = self.effects.swap_remove(at);
        self.trace(|| format!("{member} silent={silent} runs {}", kind.describe()));
        let operation = kind.operation();
        if self.dies_at(member, Moment::Before, operation) {
            return;
        }
        self.halves = self.is_next(member, Moment::Amid, operation);
        let event = match kind {
            Kind::Append { task, events } => match self.append(&events) {
                Some(positions) => Event::Appended { task, positions },
                None => Event::AppendFailed { task },
            },
            Kind::Announce { task, events } => self.announce(task, &events),
            Kind::Dead { task, dead } => self.dead_letter(task, &dead),
            Kind::Write { task, writes } => self.write(task, &writes),
            Kind::Load { task, keys } => self.load(task, &keys),
            Kind::Commit { offsets, claim } => self.commit(&offsets, claim),
            Kind::Resolve(id) => self.resolve(id),
            Kind::Restore { task, reading } => return self.restore(member, task, reading),
            Kind::Transact(transaction) => return self.transact(member, silent, transaction),
        };
        self.halves = false;
        if self.dies_at(member, Moment::Amid, operation) || self.dies_at(member, Moment::After, operation) {
            return;
        }
        self.answer(member, silent, event);
    }

    fn announce(&mut self, task: TaskId, events: &[AnyEvent]) -> Event<P> {
        for event in events {
            if let Err(what) = self.auditor.check_announce(&self.store, event) {
                self.fail(what);
            }
        }
        match self.append(events) {
            Some(_) => Event::Announced { task },
            None => Event::AnnounceFailed { task },
        }
    }

    /// Where the records stand; none when that is not told.
    fn append(&mut self, events: &[AnyEvent]) -> Option<Vec<Position>> {
        let luck = self.luck();
        let count = match luck {
            Luck::Good | Luck::DoneUnseen => events.len(),
            Luck::Half => self.rng.below(events.len()),
            Luck::Failed => 0,
        };
        let mut positions = Vec::new();
        for event in &events[..count] {
            let value = CODEC.encode_any(event).expect("output encodes");
            let key = event.key().as_bytes().to_vec();
            let place = self.broker.append(event.topic(), key.into(), value.into(), None);
            positions.push(Position { partition: place.1, offset: self.broker.end(place) - 1 });
        }
        if matches!(luck, Luck::Good) {
            return Some(positions);
        }
        self.bite("append failed");
        if count > 0 {
            self.bite("append done, ack lost");
        }
        None
    }

    fn dead_letter(&mut self, task: TaskId, dead: &Arc<Vec<DeadRecord>>) -> Event<P> {
        if self.mutation == Mutation::SkipsDeadLetters {
            return Event::DeadLettered { task };
        }
        let luck = self.luck();
        let count = match luck {
            Luck::Good | Luck::DoneUnseen => dead.len(),
            Luck::Half => self.rng.below(dead.len()),
            Luck::Failed => 0,
        };
        self.broker.dead.extend(dead[..count].iter().cloned());
        if matches!(luck, Luck::Good) {
            return Event::DeadLettered { task };
        }
        self.bite("dead letter failed");
        Event::DeadLetterFailed { task }
    }

    fn write(&mut self, task: TaskId, writes: &Arc<Vec<P::Write>>) -> Event<P> {
        let luck = self.luck();
        for write in writes.iter() {
            let made = match luck {
                Luck::Good | Luck::DoneUnseen => true,
                Luck::Half => self.rng.chance(500),
                Luck::Failed => false,
            };
            if made {
                P::write(&mut self.store, write);
            }
        }
        if matches!(luck, Luck::Good) || self.mutation == Mutation::SwallowsWriteFailure {
            return Event::Wrote { task };
        }
        self.bite("write failed");
        Event::WriteFailed { task }
    }

    fn load(&mut self, task: TaskId, keys: &[P::Key]) -> Event<P> {
        if !matches!(self.luck(), Luck::Good) {
            self.bite("load failed");
            return Event::LoadFailed { task };
        }
        let docs = if self.mutation == Mutation::LoadsStale {
            P::load(&Store { snapshots: self.stale.clone(), ..Store::default() }, keys)
        } else {
            P::load(&self.store, keys)
        };
        Event::Loaded { task, docs }
    }

    fn commit(&mut self, offsets: &[(quiz_schemas::Topic, i32, i64)], claim: Claim) -> Event<P> {
        let luck = self.luck();
        if !matches!(luck, Luck::Good | Luck::DoneUnseen) {
            self.bite("commit failed");
            return Event::CommitFailed;
        }
        if self.broker.commit(offsets, claim).is_err() {
            self.bite("commit of an older generation");
            return Event::CommitFailed;
        }
        self.check_commit(offsets);
        if matches!(luck, Luck::Good) {
            return Event::Committed;
        }
        self.bite("commit done, answer lost");
        Event::CommitFailed
    }

    fn check_commit(&mut self, offsets: &[(quiz_schemas::Topic, i32, i64)]) {
        if let Err(what) = self.auditor.check_commit(&self.broker, &self.store, offsets) {
            self.fail(what);
        }
    }

    fn resolve(&mut self, id: SchemaId) -> Event<P> {
        if self.outage || !matches!(self.luck(), Luck::Good) {
            self.bite("registry out");
            return match self.mutation {
                Mutation::OutageIsAbsence => Event::SchemaAbsent(id),
                _ => Event::SchemaUnreachable(id),
            };
        }
        match self.workload.registered.get(&id) {
            Some(topic) => {
                CODEC.add(id, topic.spec().schema).expect("the committed schemas parse");
                Event::SchemaKnown(id)
            }
            None => Event::SchemaAbsent(id),
        }
    }

    fn restore(&mut self, member: MemberId, task: TaskId, reading: Option<Reading>) {
        if !matches!(self.luck(), Luck::Good) {
            self.bite("restore failed");
            return self.answer(member, false, Event::RestoreFailed { task });
        }
        let dirty = self.mutation == Mutation::ReadsUncommitted;
        let again = match (reading, self.restores_from) {
            (None, topic) => self.look_up_before(task).map(|from| {
                let place = topic.map(|topic| (topic, task.partition));
                let end = place.map_or(0, |place| match self.mutation {
                    Mutation::RestoresToStable => self.broker.stable_end(place),
                    _ => self.broker.end(place),
                });
                // A record and the marker that ends its transaction.
                let short = if self.mutation == Mutation::RestoresShort { 2 } else { 0 };
                Reading { from, at: 0, end: (end - short).max(0) }
            }),
            (Some(reading), Some(topic)) if reading.at < reading.end => {
                let max = 1 + self.rng.below(6);
                let (records, at) = self.broker.fetch((topic, task.partition), reading.at, reading.end, max, dirty);
                self.answer(member, false, Event::Restored { task, records });
                Some(Reading { at, ..reading })
            }
            (Some(reading), _) => {
                let late = self.mutation == Mutation::LooksUpLate;
                match if late { self.look_up(task) } else { Some(reading.from.clone()) } {
                    Some(from) => return self.answer(member, false, Event::RestoreDone { task, from }),
                    None => Some(reading),
                }
            }
        };
        if self.members.contains_key(&member) {
            self.go_on(member, false, Kind::Restore { task, reading: again });
        }
    }

    fn look_up_before(&self, task: TaskId) -> Option<Vec<(quiz_schemas::Topic, i64)>> {
        if self.mutation == Mutation::LooksUpLate { Some(Vec::new()) } else { self.look_up(task) }
    }

    fn look_up(&self, task: TaskId) -> Option<Vec<(quiz_schemas::Topic, i64)>> {
        let offset = |&topic| self.broker.stable_offset((topic, task.partition)).map(|offset| (topic, offset));
        self.reads.iter().map(offset).collect()
    }

    /// Some calls of a transaction, in order.
    fn transact(&mut self, member: MemberId, silent: bool, mut transaction: Transaction) {
        for _ in 0..1 + self.rng.below(4) {
            let last = transaction.records.len() + 2;
            if !matches!(self.luck(), Luck::Good) {
                // The client library says that it may be committed or not; or it aborts.
                let done = transaction.stage == last && self.rng.chance(500);
                return self.give_up(member, silent, &transaction, done);
            }
            if let Err(refused) = self.call(&transaction) {
                return self.refused(member, silent, &transaction, refused);
            }
            if transaction.stage == last {
                self.check_commit(&transaction.offsets);
                self.bite("transaction done");
                return self.answer(member, silent, Event::TransactionDone { transaction: transaction.number });
            }
            transaction.stage += 1;
        }
        self.go_on(member, silent, Kind::Transact(transaction));
    }

    fn go_on(&mut self, member: MemberId, silent: bool, kind: Kind<P>) {
        let hangs = matches!(kind, Kind::Transact(_)) && self.rng.chance(self.fault_rate);
        let not_before_us = self.delayed_us() + if hangs { self.rng.below(2_000_000) as i64 } else { 0 };
        self.effects.push(Effect { member, silent, not_before_us, kind });
    }

    /// When a request that is sent now goes on.
    pub fn delayed_us(&mut self) -> i64 {
        let late = self.fault_rate > 0 && self.rng.chance(40);
        self.now_us + if late { self.rng.below(500_000) as i64 } else { 0 }
    }

    fn call(&mut self, transaction: &Transaction) -> Result<(), Refused> {
        let Transaction { instance, epoch, stage, records, offsets, claim, .. } = transaction;
        match *stage {
            0 => self.broker.begin(instance, *epoch),
            stage if stage <= records.len() => self.broker.append_in(instance, *epoch, records[stage - 1].clone()),
            stage if stage == records.len() + 1 => self.broker.send_offsets(instance, *epoch, offsets, *claim),
            _ => self.broker.finish(instance, *epoch, Fate::Committed),
        }
    }

    fn give_up(&mut self, member: MemberId, silent: bool, transaction: &Transaction, done: bool) {
        let Transaction { instance, epoch, number, .. } = transaction;
        if done && self.broker.finish(instance, *epoch, Fate::Committed).is_ok() {
            self.bite("transaction done, answer lost");
            self.check_commit(&transaction.offsets);
            self.take_id_over(member);
        } else if transaction.stage == 0 || self.broker.finish(instance, *epoch, Fate::Aborted).is_ok() {
            self.bite("transaction aborted");
        } else {
            return self.refused(member, silent, transaction, Refused::Fenced);
        }
        let event = match self.mutation {
            Mutation::AbortIsDone => Event::TransactionDone { transaction: *number },
            _ => Event::TransactionAborted { transaction: *number },
        };
        self.answer(member, silent, event);
    }

    fn refused(&mut self, member: MemberId, silent: bool, transaction: &Transaction, refused: Refused) {
        let Transaction { instance, epoch, number, .. } = transaction;
        let aborted = self.broker.finish(instance, *epoch, Fate::Aborted).is_ok();
        if refused == Refused::Generation && aborted {
            self.bite("transaction of an older generation");
            return self.answer(member, silent, Event::TransactionAborted { transaction: *number });
        }
        self.bite("producer fenced");
        self.take_id_over(member);
        self.answer(member, silent, Event::Fenced { transaction: *number });
    }

    /// A new producer with the same id: whatever another one had open is aborted.
    fn take_id_over(&mut self, member: MemberId) {
        if let Some(member) = self.members.get_mut(&member) {
            member.epoch = self.broker.init(&member.instance);
        }
    }
}
