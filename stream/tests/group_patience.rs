//! Goal: records that may wait are taken in one batch, and no record waits longer than it may. Method: the
//! loop by hand, one event at a time; commands may wait, joins may not.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use quiz_schemas::events::{CommandsRecord, EndGame, JoinsRecord, PlayerConnected};
use quiz_schemas::{AnyEvent, Codec, GameId, PlayerId, Topic};
use quiz_stream::group::limits::BATCH_RECORDS_MAX;
use quiz_stream::group::{Event, Machine, Now, RawRecord};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

const PATIENCE_US: i64 = 20_000;
/// Longer than half of the patience, so that both bounds show.
const LULL_US: i64 = 12_000;

/// Notes how many records each batch had.
#[derive(Default)]
struct Patient {
    sizes: Mutex<Vec<usize>>,
}

impl Processor for Patient {
    type State = ();
    type Key = u8;
    type Doc = ();
    type Write = ();

    fn group(&self) -> GroupSpec {
        let reads = &[Topic::Commands, Topic::Joins];
        GroupSpec { id: "patient", reads, restores_from: None, delivery: Delivery::AtLeastOnce }
    }

    fn start(&self, _partition: i32) {}

    fn patience_us(&self, event: &AnyEvent) -> i64 {
        if matches!(event, AnyEvent::Commands(_)) { PATIENCE_US } else { 0 }
    }

    fn lull_us(&self) -> i64 {
        LULL_US
    }

    fn apply(&self, _state: &mut (), batch: &[Record], _now_us: i64) -> Output<()> {
        self.sizes.lock().unwrap().push(batch.len());
        Output::default()
    }
}

struct Bench {
    processor: Arc<Patient>,
    machine: Machine<Patient>,
    codec: Codec,
    now_us: i64,
    next: [i64; 2],
}

impl Bench {
    fn new() -> Self {
        let processor = Arc::new(Patient::default());
        let machine = Machine::new(Arc::clone(&processor), Arc::new(Codec::with_fixed_ids()), 1);
        let mut bench = Self { processor, machine, codec: Codec::with_fixed_ids(), now_us: 1_000_000, next: [0, 0] };
        bench.handle(Event::Assigned(vec![(Topic::Commands, 0), (Topic::Joins, 0)]));
        bench
    }

    fn now(&self) -> Now {
        Now { wall_us: self.now_us, steady_us: self.now_us }
    }

    /// The sizes of the batches that were taken.
    fn handle(&mut self, event: Event<Patient>) -> Vec<usize> {
        self.machine.handle(self.now(), event);
        while self.machine.next_action().is_some() {}
        std::mem::take(&mut *self.processor.sizes.lock().unwrap())
    }

    fn record(&mut self, can_wait: bool) -> RawRecord {
        let game = GameId::from_bits(1);
        let (topic, event): (Topic, AnyEvent) = if can_wait {
            let body = EndGame { reason: None }.into();
            (Topic::Commands, CommandsRecord { game, at_us: 0, edge: "t".into(), body }.into())
        } else {
            let body = PlayerConnected { player: PlayerId::from_bits(1) }.into();
            (Topic::Joins, JoinsRecord { game, at_us: 0, edge: "t".into(), body }.into())
        };
        let next = &mut self.next[usize::from(can_wait)];
        *next += 1;
        let value: Bytes = self.codec.encode_any(&event).unwrap().into();
        RawRecord { topic, partition: 0, offset: *next - 1, appended_at_us: 0, key: None, value: Some(value) }
    }

    fn fetch(&mut self, can_wait: &[bool]) -> Vec<usize> {
        let records = can_wait.iter().map(|&can_wait| self.record(can_wait)).collect();
        self.handle(Event::Fetched(records))
    }
}

#[test]
fn what_may_wait_is_taken_together_when_the_first_has_waited() {
    let mut bench = Bench::new();
    assert!(bench.fetch(&[true, true]).is_empty());
    bench.now_us += PATIENCE_US / 2;
    assert!(bench.fetch(&[true]).is_empty(), "one more comes in");
    assert_eq!(bench.machine.wake_in_us(bench.now()), Some(PATIENCE_US / 2), "the first one's time counts");
    bench.now_us += PATIENCE_US / 2;
    assert_eq!(bench.handle(Event::Tick), [3]);
    assert_eq!(bench.machine.wake_in_us(bench.now()), None, "nothing is left");
}

#[test]
fn what_may_wait_does_not_wait_for_nothing() {
    let mut bench = Bench::new();
    assert!(bench.fetch(&[true]).is_empty());
    bench.now_us += PATIENCE_US - LULL_US - 1;
    assert!(bench.fetch(&[true]).is_empty());
    assert_eq!(bench.machine.wake_in_us(bench.now()), Some(LULL_US), "from the last one on");
    bench.now_us += LULL_US - 1;
    assert!(bench.handle(Event::Tick).is_empty());
    bench.now_us += 1;
    assert_eq!(bench.handle(Event::Tick), [2], "a little before the first one's patience ends");
}

#[test]
fn what_cannot_wait_takes_along_what_was_there() {
    let mut bench = Bench::new();
    assert!(bench.fetch(&[true, true]).is_empty());
    assert_eq!(bench.fetch(&[false]), [3]);
}

#[test]
fn a_full_batch_waits_for_nothing() {
    let mut bench = Bench::new();
    let many = vec![true; BATCH_RECORDS_MAX + 5];
    assert_eq!(bench.fetch(&many), [BATCH_RECORDS_MAX]);
    bench.now_us += PATIENCE_US;
    assert_eq!(bench.handle(Event::Tick), [5]);
}

proptest! {
    /// Goal: nothing is left behind and nothing waits too long, whatever comes when. Oracle: a list of
    /// arrival times.
    #[test]
    fn nobody_waits_longer_than_they_may(steps in prop::collection::vec((0_i64..15_000, any::<bool>()), 1..60)) {
        let mut bench = Bench::new();
        let mut waiting: Vec<i64> = Vec::new();
        let in_time = |waiting: &[i64], now_us: i64| {
            let patient = waiting.iter().all(|came_us| now_us - came_us <= PATIENCE_US + 1);
            patient && waiting.last().is_none_or(|came_us| now_us - came_us <= LULL_US + 1)
        };
        for (pause_us, can_wait) in steps {
            let until_us = bench.now_us + pause_us;
            while let Some(in_us) = bench.machine.wake_in_us(bench.now()).filter(|us| bench.now_us + us <= until_us) {
                bench.now_us += in_us.max(1);
                let taken: usize = bench.handle(Event::Tick).iter().sum();
                waiting.drain(..taken);
                prop_assert!(in_time(&waiting, bench.now_us));
            }
            bench.now_us = bench.now_us.max(until_us);
            waiting.push(bench.now_us);
            let taken: usize = bench.fetch(&[can_wait]).iter().sum();
            waiting.drain(..taken);
            prop_assert!(can_wait || waiting.is_empty(), "what cannot wait did");
        }
    }
}
