//! Goal: what a tick needs of the store is loaded before it, and nothing is applied meanwhile.
//! Method: the loop by hand, one event at a time, with rules that ask for a document by time alone.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::sync::Arc;

use bytes::Bytes;
use quiz_schemas::events::{JoinsRecord, PlayerConnected};
use quiz_schemas::{AnyEvent, Codec, GameId, PlayerId, Topic};
use quiz_stream::group::{Action, Event, Machine, Now, RawRecord, TaskId};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

const DUE_US: i64 = 1_000;

/// Wants one document when it is due, and writes it down.
struct Asking;

#[derive(Default)]
struct State {
    records: usize,
    doc: Option<u64>,
    done: bool,
}

impl Processor for Asking {
    type State = State;
    type Key = u8;
    type Doc = u64;
    type Write = (u64, usize);

    fn group(&self) -> GroupSpec {
        let reads = &[Topic::Joins];
        GroupSpec { id: "asking", reads, restores_from: None, delivery: Delivery::AtLeastOnce }
    }

    fn start(&self, _partition: i32) -> State {
        State::default()
    }

    fn needs(&self, state: &State, batch: &[Record]) -> Vec<u8> {
        if batch.is_empty() && state.doc.is_none() && !state.done { vec![7] } else { Vec::new() }
    }

    fn supply(&self, state: &mut State, docs: Vec<u64>) {
        state.doc = docs.first().copied();
    }

    fn apply(&self, state: &mut State, batch: &[Record], _now_us: i64) -> Output<(u64, usize)> {
        state.records += batch.len();
        Output::default()
    }

    fn next_tick_us(&self, state: &State) -> Option<i64> {
        (!state.done).then_some(DUE_US)
    }

    fn tick(&self, state: &mut State, _now_us: i64) -> Output<(u64, usize)> {
        state.done = true;
        let write = state.doc.take().map(|doc| (doc, state.records));
        Output { write: write.into_iter().collect(), ..Output::default() }
    }
}

struct Bench {
    machine: Machine<Asking>,
    now_us: i64,
}

impl Bench {
    fn handle(&mut self, event: Event<Asking>) -> Vec<Action<Asking>> {
        self.machine.handle(Now { wall_us: self.now_us, steady_us: self.now_us }, event);
        std::iter::from_fn(|| self.machine.next_action()).collect()
    }
}

fn record(offset: i64) -> RawRecord {
    let body = PlayerConnected { player: PlayerId::from_bits(1) }.into();
    let event: AnyEvent = JoinsRecord { game: GameId::from_bits(1), at_us: 0, edge: "t".into(), body }.into();
    let value: Bytes = Codec::with_fixed_ids().encode_any(&event).unwrap().into();
    RawRecord { topic: Topic::Joins, partition: 0, offset, appended_at_us: 0, key: None, value: Some(value) }
}

fn load_of(actions: &[Action<Asking>]) -> Option<TaskId> {
    actions.iter().find_map(|action| match action {
        Action::Load { task, keys } if keys == &[7] => Some(*task),
        _ => None,
    })
}

fn written(actions: &[Action<Asking>]) -> Option<Vec<(u64, usize)>> {
    actions.iter().find_map(|action| match action {
        Action::Write { writes, .. } => Some(writes.to_vec()),
        _ => None,
    })
}

#[test]
fn a_tick_waits_for_what_it_needs() {
    let codec = Arc::new(Codec::with_fixed_ids());
    let mut bench = Bench { machine: Machine::new(Arc::new(Asking), codec, 1), now_us: 0 };
    assert!(load_of(&bench.handle(Event::Assigned(vec![(Topic::Joins, 0)]))).is_none(), "it is not due");
    assert!(load_of(&bench.handle(Event::Fetched(vec![record(0)]))).is_none(), "a batch needs nothing");

    bench.now_us = DUE_US;
    let task = load_of(&bench.handle(Event::Tick)).unwrap();
    // What comes meanwhile waits, and a load that failed is made again.
    assert!(written(&bench.handle(Event::Fetched(vec![record(1)]))).is_none());
    assert!(load_of(&bench.handle(Event::LoadFailed { task })).is_none(), "not at once");
    let now = Now { wall_us: bench.now_us, steady_us: bench.now_us };
    bench.now_us += bench.machine.wake_in_us(now).unwrap();
    assert_eq!(load_of(&bench.handle(Event::Tick)), Some(task));
    let actions = bench.handle(Event::Loaded { task, docs: vec![42] });
    assert_eq!(written(&actions), Some(vec![(42, 1)]), "the tick saw the document and the first record only");
    assert!(load_of(&bench.handle(Event::Wrote { task })).is_none(), "it asks once");
}
