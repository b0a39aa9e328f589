//! Goal: what waited behind a batch that needs no transaction is taken at once, not when something else
//! happens. Method: a transactional loop by hand. Partition 0 has a transaction under way; partition 1 gets
//! a record that leads to nothing, and another behind it that does.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::sync::Arc;

use bytes::Bytes;
use quiz_schemas::events::{CommandsRecord, EndGame, JoinsRecord, PlayerConnected};
use quiz_schemas::{AnyEvent, Codec, GameId, PlayerId, Topic};
use quiz_stream::group::{Action, Event, Machine, Now, RawRecord};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

/// Passes on the first record of partition 0, and from the second on those of partition 1; its commit point stays.
struct Second;

impl Processor for Second {
    type State = (i32, usize);
    type Key = u8;
    type Doc = ();
    type Write = ();

    fn group(&self) -> GroupSpec {
        let reads = &[Topic::Joins];
        GroupSpec { id: "second", reads, restores_from: None, delivery: Delivery::Transactional }
    }

    fn start(&self, partition: i32) -> Self::State {
        (partition, 0)
    }

    fn apply(&self, state: &mut Self::State, batch: &[Record], _now_us: i64) -> Output<()> {
        let first = usize::from(state.0 == 1);
        let passed = (state.1..state.1 + batch.len()).filter(|&number| number >= first);
        let event = || CommandsRecord {
            game: GameId::from_bits(1),
            at_us: 0,
            edge: "t".into(),
            body: EndGame { reason: None }.into(),
        };
        let produce = passed.map(|_| event().into()).collect();
        state.1 += batch.len();
        Output { produce, ..Output::default() }
    }

    fn commit_point(&self, _state: &Self::State, _topic: Topic, _next: i64) -> i64 {
        0
    }
}

fn record(partition: i32, offset: i64) -> RawRecord {
    let body = PlayerConnected { player: PlayerId::from_bits(1) }.into();
    let event: AnyEvent = JoinsRecord { game: GameId::from_bits(1), at_us: 0, edge: "t".into(), body }.into();
    let value: Bytes = Codec::with_fixed_ids().encode_any(&event).unwrap().into();
    RawRecord { topic: Topic::Joins, partition, offset, appended_at_us: 0, key: None, value: Some(value) }
}

fn handle(machine: &mut Machine<Second>, event: Event<Second>) -> Vec<Action<Second>> {
    machine.handle(Now { wall_us: 1, steady_us: 1 }, event);
    std::iter::from_fn(|| machine.next_action()).collect()
}

fn transaction(actions: &[Action<Second>]) -> Option<(u64, usize)> {
    actions.iter().find_map(|action| match action {
        Action::Transact { transaction, events, .. } => Some((*transaction, events.len())),
        _ => None,
    })
}

#[test]
fn what_waits_behind_nothing_is_taken_at_once() {
    let mut machine = Machine::new(Arc::new(Second), Arc::new(Codec::with_fixed_ids()), 1);
    let actions = handle(&mut machine, Event::Assigned(vec![(Topic::Joins, 0), (Topic::Joins, 1)]));
    for action in actions {
        if let Action::Restore { task } = action {
            handle(&mut machine, Event::RestoreDone { task, from: vec![(Topic::Joins, 0)] });
        }
    }
    let (first, _) = transaction(&handle(&mut machine, Event::Fetched(vec![record(0, 0)]))).unwrap();
    assert_eq!(transaction(&handle(&mut machine, Event::Fetched(vec![record(1, 0)]))), None, "one at a time");
    assert_eq!(transaction(&handle(&mut machine, Event::Fetched(vec![record(1, 1)]))), None);
    let after = handle(&mut machine, Event::TransactionDone { transaction: first });
    assert_eq!(transaction(&after).map(|(_, events)| events), Some(1), "the second record of partition 1");
}
