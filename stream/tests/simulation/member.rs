//! One run of a member's process: the loop under test, and a model of its client library.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use quiz_schemas::{AnyEvent, SchemaId, Topic};
use quiz_stream::group::{DeadRecord, Event, Machine, TaskId, TopicPartition};

use crate::broker::{Claim, MemberId, Told};
use crate::store::Toy;
use crate::workload::CODEC;

pub struct Member<P: Toy> {
    pub id: MemberId,
    /// Names the transactional id; a successor has the same one.
    pub instance: String,
    pub machine: Machine<P>,
    /// What the client library owns; where it began and from where it reads on, once that is looked up.
    pub owned: BTreeMap<TopicPartition, Option<(i64, i64)>>,
    pub paused: BTreeSet<i32>,
    pub told: VecDeque<Told>,
    pub inbox: VecDeque<Event<P>>,
    pub joined: u64,
    pub generation: u64,
    pub epoch: u32,
    pub asleep: bool,
    pub draining: bool,
    /// For the mutation that keeps states which are lost.
    pub kept: BTreeSet<i32>,
}

impl<P: Toy> Member<P> {
    pub fn new(id: MemberId, instance: String, processor: P, epoch: u32) -> Self {
        Self {
            id,
            instance,
            machine: Machine::new(Arc::new(processor), Arc::clone(&CODEC), id),
            owned: BTreeMap::new(),
            paused: BTreeSet::new(),
            told: VecDeque::new(),
            inbox: VecDeque::new(),
            joined: 0,
            generation: 0,
            epoch,
            asleep: false,
            draining: false,
            kept: BTreeSet::new(),
        }
    }

    pub fn forget(&mut self, numbers: &BTreeSet<i32>) {
        self.owned.retain(|(_, number), _| !numbers.contains(number));
        self.paused.retain(|number| !numbers.contains(number));
    }
}

/// An action that is being carried out.
pub struct Effect<P: Toy> {
    pub member: MemberId,
    /// Nobody waits for the result any more, or somebody was told a made-up one.
    pub silent: bool,
    /// When it goes on at the earliest: networks are slow at times.
    pub not_before_us: i64,
    pub kind: Kind<P>,
}

pub enum Kind<P: Toy> {
    Append { task: TaskId, events: Arc<Vec<AnyEvent>> },
    Announce { task: TaskId, events: Arc<Vec<AnyEvent>> },
    Dead { task: TaskId, dead: Arc<Vec<DeadRecord>> },
    Write { task: TaskId, writes: Arc<Vec<P::Write>> },
    Load { task: TaskId, keys: Vec<P::Key> },
    Commit { offsets: Vec<(Topic, i32, i64)>, claim: Claim },
    Resolve(SchemaId),
    Restore { task: TaskId, reading: Option<Reading> },
    Transact(Transaction),
}

/// A restore that has looked up its offsets.
pub struct Reading {
    pub from: Vec<(Topic, i64)>,
    pub at: i64,
    pub end: i64,
}

/// A transaction on its way.
pub struct Transaction {
    pub number: u64,
    pub records: Vec<(Topic, Bytes, Bytes)>,
    pub offsets: Vec<(Topic, i32, i64)>,
    pub claim: Claim,
    pub instance: String,
    pub epoch: u32,
    /// 0: to begin; up to `records`: to append; then the offsets; then the commit.
    pub stage: usize,
}

impl<P: Toy> Kind<P> {
    /// A name for what may be under way once only, per partition number or per member.
    pub fn slot(&self) -> Option<(&'static str, i32)> {
        match self {
            Kind::Append { task, .. } => Some(("append", task.partition)),
            // What the store holds is told before the next write starts.
            Kind::Write { task, .. } | Kind::Announce { task, .. } => Some(("write", task.partition)),
            Kind::Load { task, .. } => Some(("load", task.partition)),
            Kind::Commit { .. } => Some(("commit", 0)),
            Kind::Transact(_) => Some(("transaction", 0)),
            Kind::Dead { .. } | Kind::Resolve(_) | Kind::Restore { .. } => None,
        }
    }

    /// For the trace.
    pub fn describe(&self) -> String {
        match self {
            Kind::Append { task, events } => format!("append {task:?} of {}", events.len()),
            Kind::Announce { task, events } => format!("announce {task:?} of {}", events.len()),
            Kind::Dead { task, dead } => format!("dead letters {task:?} of {}", dead.len()),
            Kind::Write { task, writes } => format!("write {task:?} of {}", writes.len()),
            Kind::Load { task, keys } => format!("load {task:?} {keys:?}"),
            Kind::Commit { offsets, claim } => format!("commit {offsets:?} {claim:?}"),
            Kind::Resolve(id) => format!("resolve {id}"),
            Kind::Restore { task, .. } => format!("restore {task:?}"),
            Kind::Transact(it) => format!("transaction {} of {} {:?}", it.number, it.records.len(), it.offsets),
        }
    }

    pub fn incarnation(&self) -> u64 {
        match self {
            Kind::Append { task, .. }
            | Kind::Announce { task, .. }
            | Kind::Write { task, .. }
            | Kind::Load { task, .. } => task.incarnation,
            _ => 0,
        }
    }
}
