//! The model as a whole: who does what next is the seed's choice, and so is what goes wrong.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::Topic;
use quiz_stream::group::{Action, Event, Now, TopicPartition};

use crate::auditor::Auditor;
use crate::broker::{Broker, Claim, MemberId, Told};
use crate::member::{Effect, Kind, Member, Transaction};
use crate::mutation::Mutation;
use crate::points::Death;
use crate::rng::Rng;
use crate::store::{Store, Toy};
use crate::workload::{CODEC, Workload};

/// The most steps without faults within which everything must be done.
const SETTLE_STEPS_MAX: usize = 60_000;

pub struct World<P: Toy, A: Auditor> {
    pub rng: Rng,
    pub now_us: i64,
    pub broker: Broker,
    pub store: Store,
    /// An older state of the store, for one of the mutations.
    pub stale: BTreeMap<quiz_schemas::LaneKey, crate::counting::Snapshot>,
    pub auditor: A,
    pub workload: Workload,
    pub members: BTreeMap<MemberId, Member<P>>,
    pub effects: Vec<Effect<P>>,
    pub mutation: Mutation,
    /// How often each kind of fault has bitten.
    pub bites: BTreeMap<&'static str, u64>,
    pub outage: bool,
    pub slow_store: bool,
    /// How likely an operation fails, per mille.
    pub fault_rate: u64,
    pub reads: &'static [Topic],
    pub restores_from: Option<Topic>,
    pub make: fn() -> P,
    appended: usize,
    pub next_member: MemberId,
    pub instances: usize,
    /// Crashed members that the group has not noticed yet.
    pub departed: Vec<MemberId>,
    pub failure: Option<String>,
    /// Where a member is to die.
    pub dies: Option<Death>,
    /// The operation in hand is to be done by half.
    pub halves: bool,
    traces: bool,
}

impl<P: Toy, A: Auditor> World<P, A> {
    pub fn new(rng: Rng, broker: Broker, workload: Workload, auditor: A, make: fn() -> P, mutation: Mutation) -> Self {
        let spec = make().group();
        let mut world = Self {
            rng,
            now_us: 1_000_000,
            broker,
            store: Store::default(),
            stale: BTreeMap::new(),
            auditor,
            workload,
            members: BTreeMap::new(),
            effects: Vec::new(),
            mutation,
            bites: BTreeMap::new(),
            outage: false,
            slow_store: false,
            fault_rate: 0,
            reads: spec.reads,
            restores_from: spec.restores_from,
            make,
            appended: 0,
            next_member: 1,
            instances: 0,
            departed: Vec::new(),
            failure: None,
            dies: None,
            halves: false,
            traces: std::env::var_os("QUIZ_SIM_TRACE").is_some(),
        };
        world.instances = 1 + world.rng.below(3);
        world.fault_rate = [0, 20, 60, 150][world.rng.below(4)];
        world
    }

    /// Runs to the end. What went wrong, if anything.
    pub fn run(&mut self) -> Result<(), String> {
        let steps = 300 + self.rng.below(900);
        for _ in 0..steps {
            self.fault();
            self.step();
            self.failed()?;
        }
        self.settle()
    }

    pub fn bite(&mut self, fault: &'static str) {
        *self.bites.entry(fault).or_default() += 1;
    }

    pub fn fail(&mut self, what: impl Into<String>) {
        self.failure.get_or_insert(what.into());
    }

    fn failed(&mut self) -> Result<(), String> {
        self.failure.take().map_or(Ok(()), Err)
    }

    pub fn now(&self) -> Now {
        Now { wall_us: self.now_us, steady_us: self.now_us }
    }

    /// No more faults: everything must be done within a bounded number of steps.
    fn settle(&mut self) -> Result<(), String> {
        self.fault_rate = 0;
        self.outage = false;
        self.slow_store = false;
        self.retire_doubles();
        for step in 0..SETTLE_STEPS_MAX {
            if self.rng.chance(20) {
                self.now_us += 50_000;
            }
            if step % 64 == 0 {
                self.let_time_out();
                if self.members.values().all(|member| member.draining) {
                    self.start_member();
                }
                self.members.values_mut().for_each(|member| member.asleep = false);
                if self.appended == self.workload.inputs.len() && self.auditor.is_done(&self.broker) {
                    return self.auditor.check_end(&self.broker, &self.store);
                }
            }
            self.step();
            self.failed()?;
        }
        Err(format!("no end in sight: committed {:?}, {} effects", self.broker.committed, self.effects.len()))
    }

    pub fn pick(&mut self) -> Option<MemberId> {
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[self.rng.below(ids.len())])
    }

    fn step(&mut self) {
        self.now_us += self.rng.below(1_500) as i64;
        if self.mutation == Mutation::LoadsStale && self.rng.chance(30) {
            self.stale = self.store.snapshots.clone();
        }
        match self.rng.below(100) {
            0..42 if !self.effects.is_empty() => self.effect_step(),
            0..82 => {
                if let Some(id) = self.pick() {
                    self.member_step(id);
                }
            }
            82..92 => self.append_input(),
            _ => self.broker.rebalance(&mut self.rng),
        }
        for (id, told) in std::mem::take(&mut self.broker.group.told) {
            if let Some(member) = self.members.get_mut(&id) {
                member.told.push_back(told);
            }
        }
    }

    fn append_input(&mut self) {
        let upto = (self.appended + 1 + self.rng.below(4)).min(self.workload.inputs.len());
        for input in &self.workload.inputs[self.appended..upto] {
            let place = self.broker.append(input.topic, input.key.clone(), input.value.clone(), None);
            self.auditor.appended(place, self.broker.end(place) - 1, input);
        }
        self.appended = upto;
    }

    fn member_step(&mut self, id: MemberId) {
        let (now, choice) = (self.now(), self.rng.below(100));
        let Some(member) = self.members.get_mut(&id).filter(|member| !member.asleep) else { return };
        match choice {
            0..40 if !member.inbox.is_empty() => {
                let event = member.inbox.pop_front().expect("it is not empty");
                member.machine.handle(now, event);
            }
            0..60 if !member.told.is_empty() => {
                let told = member.told.pop_front().expect("it is not empty");
                self.told(id, told);
            }
            0..85 => self.fetch(id),
            _ if member.machine.wake_in_us(now) == Some(0) => member.machine.handle(now, Event::Tick),
            _ => {}
        }
        self.act(id);
    }

    fn whole(&self, numbers: &[i32]) -> Vec<TopicPartition> {
        self.reads.iter().flat_map(|&topic| numbers.iter().map(move |&number| (topic, number))).collect()
    }

    /// Says what happens, when `QUIZ_SIM_TRACE` is set.
    pub fn trace(&self, what: impl Fn() -> String) {
        if self.traces {
            println!("{} {}", self.now_us, what());
        }
    }

    fn told(&mut self, id: MemberId, told: Told) {
        self.trace(|| format!("{id} is told {told:?}"));
        let now = self.now();
        match told {
            Told::Assigned(numbers, generation) => {
                let places = self.whole(&numbers);
                let member = self.members.get_mut(&id).expect("who is told is there");
                member.generation = generation;
                member.owned.extend(places.iter().map(|&place| (place, None)));
                let kept = std::mem::take(&mut member.kept);
                let fresh = places.into_iter().filter(|(_, number)| !kept.contains(number)).collect();
                member.machine.handle(now, Event::Assigned(fresh));
            }
            Told::Revoked(numbers) => {
                let places = self.whole(&numbers);
                let member = self.members.get_mut(&id).expect("who is told is there");
                member.machine.handle(now, Event::Revoked(places));
            }
            Told::Lost => {
                let member = self.members.get_mut(&id).expect("who is told is there");
                let places: Vec<TopicPartition> = std::mem::take(&mut member.owned).into_keys().collect();
                member.paused.clear();
                if self.mutation == Mutation::KeepsLostState {
                    member.kept.extend(places.iter().map(|&(_, number)| number));
                } else {
                    member.machine.handle(now, Event::Lost(places));
                }
                // What was said before it was lost is void.
                self.act(id);
                if let Some(member) = self.members.get_mut(&id) {
                    member.told.clear();
                    if !member.draining {
                        member.joined = self.broker.join(id);
                    }
                }
            }
        }
    }

    fn fetch(&mut self, id: MemberId) {
        let member = &self.members[&id];
        let places: Vec<TopicPartition> =
            member.owned.keys().copied().filter(|(_, number)| !member.paused.contains(number)).collect();
        if places.is_empty() {
            return;
        }
        let place = places[self.rng.below(places.len())];
        let looked_up =
            member.owned[&place].or_else(|| self.broker.stable_offset(place).map(|offset| (offset, offset)));
        let Some((start, mut next)) = looked_up else { return };
        if self.fault_rate > 0 && self.rng.chance(20) {
            // A client library that delivers again what it had delivered.
            next = (next - self.rng.below(5) as i64).max(start);
        }
        let max = 1 + self.rng.below(8);
        let end = self.broker.stable_end(place);
        let (records, next) = self.broker.fetch(place, next, end, max, false);
        let now = self.now();
        let member = self.members.get_mut(&id).expect("it is there");
        member.owned.insert(place, Some((start, next)));
        self.trace(|| format!("{id} fetches {place:?} {:?}", records.iter().map(|raw| raw.offset).collect::<Vec<_>>()));
        let member = self.members.get_mut(&id).expect("it is there");
        if !records.is_empty() {
            member.machine.handle(now, Event::Fetched(records));
        }
    }

    /// Starts what the loop asks for.
    pub fn act(&mut self, id: MemberId) {
        while let Some(action) = self.members.get_mut(&id).and_then(|member| member.machine.next_action()) {
            let member = self.members.get_mut(&id).expect("it was just there");
            let claim = Claim { member: id, joined: member.joined, generation: member.generation };
            let kind = match action {
                Action::Pause(number) => {
                    member.paused.insert(number);
                    continue;
                }
                Action::Resume(number) => {
                    member.paused.remove(&number);
                    continue;
                }
                Action::Start { task, from } => {
                    let ahead = i64::from(self.mutation == Mutation::StartsAhead);
                    for (topic, offset) in from {
                        member.owned.insert((topic, task.partition), Some((offset + ahead, offset + ahead)));
                    }
                    member.paused.remove(&task.partition);
                    continue;
                }
                Action::AckRevoke(places) => {
                    let numbers: BTreeSet<i32> = places.into_iter().map(|(_, number)| number).collect();
                    member.forget(&numbers);
                    self.broker.acknowledge(id, &numbers);
                    continue;
                }
                Action::Stop(result) => {
                    self.stopped(id, result);
                    continue;
                }
                Action::Finished { .. } => continue,
                Action::Restore { task } => Kind::Restore { task, reading: None },
                Action::Load { task, keys } => Kind::Load { task, keys },
                Action::Append { task, events } => Kind::Append { task, events },
                Action::Announce { task, events } => Kind::Announce { task, events },
                Action::DeadLetter { task, dead } => Kind::Dead { task, dead },
                Action::Write { task, writes, .. } => Kind::Write { task, writes },
                Action::Resolve(schema) => Kind::Resolve(schema),
                Action::Commit(offsets) => Kind::Commit { offsets, claim },
                Action::Transact { transaction, events, offsets } => Kind::Transact(Transaction {
                    number: transaction,
                    records: events.iter().map(encoded).collect(),
                    offsets,
                    claim,
                    instance: member.instance.clone(),
                    epoch: member.epoch,
                    stage: 0,
                }),
            };
            self.trace(|| format!("{id} starts {}", kind.describe()));
            let not_before_us = self.delayed_us();
            self.start_effect(Effect { member: id, silent: false, not_before_us, kind });
        }
    }

    fn stopped(&mut self, id: MemberId, result: Result<(), quiz_stream::group::Fatal>) {
        self.trace(|| format!("{id} stops {result:?}"));
        match result {
            Ok(()) => {
                self.members.remove(&id);
                self.broker.remove(id);
                self.effects.iter_mut().filter(|effect| effect.member == id).for_each(|effect| effect.silent = true);
            }
            Err(quiz_stream::group::Fatal::Fenced) => {
                self.bite("stopped as fenced");
                self.crash(id);
            }
            Err(fatal) => self.fail(format!("a member stopped: {fatal}")),
        }
    }

    fn start_effect(&mut self, effect: Effect<P>) {
        let slot = effect.kind.slot();
        let twice = |other: &Effect<P>| {
            !other.silent
                && other.member == effect.member
                && other.kind.slot() == slot
                && other.kind.incarnation() == effect.kind.incarnation()
        };
        if slot.is_some() && self.effects.iter().any(twice) {
            self.fail(format!("two at a time: {slot:?}"));
        }
        let effect = self.mutate(effect);
        self.effects.push(effect);
    }
}

/// A record as the producer would send it.
fn encoded(event: &quiz_schemas::AnyEvent) -> (Topic, bytes::Bytes, bytes::Bytes) {
    let value = CODEC.encode_any(event).expect("output encodes");
    (event.topic(), event.key().as_bytes().to_vec().into(), value.into())
}
