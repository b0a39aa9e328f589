//! Rules of the loop that need no model: bounds, pipelining, deadlines, and what makes it stop.
//! Each test drives the loop by hand, one event at a time.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing has failed")]

use std::sync::Arc;

use bytes::Bytes;
use quiz_schemas::events::{JoinsRecord, PlayerConnected};
use quiz_schemas::{AnyEvent, Codec, GameId, PlayerId, Position, Topic};
use quiz_stream::group::limits::{
    BUFFER_RECORDS_MAX, COMMIT_INTERVAL_US, FENCES_MAX, FLUSHES_MAX, REVOKE_DRAIN_US, SHUTDOWN_DRAIN_US,
    WRITE_INTERVAL_US,
};
use quiz_stream::group::{Action, Event, Fatal, Machine, Now, RawRecord, TaskId};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

/// Each batch leads to one record and one write: the offset of its last record.
#[derive(Default)]
struct Plain {
    transactional: bool,
    writes: bool,
    /// Beside that write there is one that seals it: the same, negative and less 1.
    seals: bool,
    /// The offset from which on a batch needs to have been supplied with a document.
    needs_from: Option<i64>,
}

impl Processor for Plain {
    /// Whether it has been supplied.
    type State = bool;
    type Key = ();
    type Doc = ();
    type Write = i64;

    fn group(&self) -> GroupSpec {
        let reads = &[Topic::Commands, Topic::Joins];
        let delivery = if self.transactional { Delivery::Transactional } else { Delivery::AtLeastOnce };
        GroupSpec { id: "plain", reads, restores_from: None, delivery }
    }

    fn start(&self, _partition: i32) -> bool {
        false
    }

    fn needs(&self, &supplied: &bool, batch: &[Record]) -> Vec<()> {
        let lacks = !supplied && self.needs_from.is_some_and(|from| batch.iter().any(|record| record.offset >= from));
        if lacks { vec![()] } else { Vec::new() }
    }

    fn supply(&self, supplied: &mut bool, _docs: Vec<()>) {
        *supplied = true;
    }

    fn apply(&self, _supplied: &mut bool, batch: &[Record], _now_us: i64) -> Output<i64> {
        let last = batch.last().unwrap();
        let mut write = if self.writes { vec![last.offset] } else { Vec::new() };
        write.extend(self.seals.then_some(-last.offset - 1));
        Output { produce: vec![last.event.clone()], write, ..Output::default() }
    }

    fn seals(&self, &write: &i64) -> bool {
        write < 0
    }
}

struct Bench {
    machine: Machine<Plain>,
    codec: Arc<Codec>,
    now_us: i64,
    next: i64,
}

impl Bench {
    fn new(delivery: Delivery, writes: bool) -> Self {
        Self::of(Plain { transactional: delivery == Delivery::Transactional, writes, ..Plain::default() })
    }

    fn of(plain: Plain) -> Self {
        let codec = Arc::new(Codec::with_fixed_ids());
        let machine = Machine::new(Arc::new(plain), Arc::clone(&codec), 1);
        Self { machine, codec, now_us: 0, next: 0 }
    }

    fn wake_in_us(&self) -> Option<i64> {
        self.machine.wake_in_us(Now { wall_us: self.now_us, steady_us: self.now_us })
    }

    fn handle(&mut self, event: Event<Plain>) -> Vec<Action<Plain>> {
        let now = Now { wall_us: self.now_us, steady_us: self.now_us };
        self.machine.handle(now, event);
        std::iter::from_fn(|| self.machine.next_action()).collect()
    }

    fn assign(&mut self) -> Vec<Action<Plain>> {
        self.handle(Event::Assigned(whole(0)))
    }

    fn fetch(&mut self, count: i64) -> Vec<Action<Plain>> {
        self.fetch_of(0, count)
    }

    fn fetch_of(&mut self, partition: i32, count: i64) -> Vec<Action<Plain>> {
        let body = PlayerConnected { player: PlayerId::from_bits(1) }.into();
        let event: AnyEvent = JoinsRecord { game: GameId::from_bits(1), at_us: 0, edge: "t".into(), body }.into();
        let value: Bytes = self.codec.encode_any(&event).unwrap().into();
        let record = |offset| RawRecord {
            topic: Topic::Joins,
            partition,
            offset,
            appended_at_us: 0,
            key: None,
            value: Some(value.clone()),
        };
        let records = (self.next..self.next + count).map(record).collect();
        self.next += count;
        self.handle(Event::Fetched(records))
    }
}

fn whole(partition: i32) -> Vec<(Topic, i32)> {
    vec![(Topic::Commands, partition), (Topic::Joins, partition)]
}

fn task_of(actions: &[Action<Plain>]) -> TaskId {
    let task = actions.iter().find_map(|action| match action {
        Action::Append { task, .. } | Action::Write { task, .. } | Action::Restore { task } => Some(*task),
        _ => None,
    });
    task.expect("an action of a task")
}

fn count(actions: &[Action<Plain>], is: impl Fn(&Action<Plain>) -> bool) -> usize {
    actions.iter().filter(|action| is(action)).count()
}

fn appended(task: TaskId) -> Event<Plain> {
    Event::Appended { task, positions: vec![Position { partition: 0, offset: 0 }] }
}

fn committed_offset(actions: &[Action<Plain>]) -> Option<i64> {
    actions.iter().find_map(|action| match action {
        Action::Commit(offsets) => offsets.iter().find(|(topic, _, _)| *topic == Topic::Joins).map(|at| at.2),
        _ => None,
    })
}

/// The append of the next batch starts while the write of the last one runs, and no more than
/// `FLUSHES_MAX` batches are under way; a write carries all batches that wait for one.
#[test]
fn batches_are_pipelined_within_bounds() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, true);
    bench.assign();
    let mut actions = bench.fetch(1);
    let task = task_of(&actions);
    let mut appends = 0;
    for round in 0..FLUSHES_MAX + 3 {
        appends += count(&actions, |action| matches!(action, Action::Append { .. }));
        let more = bench.fetch(1);
        assert_eq!(count(&more, |action| matches!(action, Action::Append { .. })), 0, "one append at a time");
        actions = bench.handle(appended(task));
        let writes = count(&actions, |action| matches!(action, Action::Write { .. }));
        assert_eq!(writes, usize::from(round == 0), "one write at a time");
    }
    assert_eq!(appends, FLUSHES_MAX, "no more batches than that are under way");
    let actions = bench.handle(Event::Wrote { task });
    let carried = actions.iter().find_map(|action| match action {
        Action::Write { writes, .. } => Some(writes.len()),
        _ => None,
    });
    assert_eq!(carried, Some(FLUSHES_MAX - 1));
    assert_eq!(committed_offset(&actions), Some(1), "only the first batch is finished");
}

/// The writes of each write action.
fn written(actions: &[Action<Plain>]) -> Vec<Vec<i64>> {
    let writes = actions.iter().map(|action| match action {
        Action::Write { writes, .. } => Some(writes.to_vec()),
        _ => None,
    });
    writes.flatten().collect()
}

/// A write goes at once when there was none for a while; what comes behind it waits for the next round, which all
/// partition numbers are in. The loop wakes for it.
#[test]
fn writes_go_in_rounds() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, true);
    bench.handle(Event::Assigned([whole(0), whole(1)].concat()));
    let [first, second] = [0, 1].map(|partition| task_of(&bench.fetch_of(partition, 1)));
    assert_eq!(written(&bench.handle(appended(first))), [[0]]);
    bench.handle(Event::Wrote { task: first });
    bench.now_us += 1;
    assert!(written(&bench.handle(appended(second))).is_empty());
    bench.fetch(1);
    assert!(written(&bench.handle(appended(first))).is_empty());
    assert_eq!(bench.wake_in_us(), Some(WRITE_INTERVAL_US - 1));
    bench.now_us += WRITE_INTERVAL_US - 2;
    assert!(written(&bench.handle(Event::Tick)).is_empty());
    bench.now_us += 1;
    assert_eq!(written(&bench.handle(Event::Tick)), [[2], [1]]);
}

/// What seals the writes of a round goes in a round behind it, and nothing is finished before.
#[test]
fn what_seals_waits_for_the_next_round() {
    let mut bench = Bench::of(Plain { writes: true, seals: true, ..Plain::default() });
    bench.assign();
    let task = task_of(&bench.fetch(1));
    assert_eq!(written(&bench.handle(appended(task))), [[0]]);
    bench.now_us += 1;
    let actions = bench.handle(Event::Wrote { task });
    assert!(written(&actions).is_empty() && committed_offset(&actions).is_none());
    bench.now_us += WRITE_INTERVAL_US - 1;
    assert_eq!(written(&bench.handle(Event::Tick)), [[-1]]);
    assert_eq!(committed_offset(&bench.handle(Event::Wrote { task })), Some(1));
}

/// Writes wait for no round when something waits for them: a revoke, a load, or a gate that has closed.
#[test]
fn writes_hurry_for_who_waits() {
    let begun = |needs_from| {
        let mut bench = Bench::of(Plain { writes: true, needs_from, ..Plain::default() });
        bench.assign();
        let task = task_of(&bench.fetch(1));
        assert_eq!(written(&bench.handle(appended(task))), [[0]]);
        bench.handle(Event::Wrote { task });
        bench.now_us += 1;
        bench.fetch(1);
        assert!(written(&bench.handle(appended(task))).is_empty());
        (bench, task)
    };
    let (mut bench, _) = begun(None);
    assert_eq!(written(&bench.handle(Event::Revoked(whole(0)))), [[1]]);

    let (mut bench, task) = begun(Some(2));
    assert_eq!(written(&bench.fetch(1)), [[1]]);
    let loads = |actions: &[Action<Plain>]| count(actions, |action| matches!(action, Action::Load { .. }));
    assert_eq!(loads(&bench.handle(Event::Wrote { task })), 1);

    let (mut bench, task) = begun(None);
    let mut rounds = 1;
    while written(&bench.fetch(1)).is_empty() && written(&bench.handle(appended(task))).is_empty() {
        rounds += 1;
        assert!(rounds < FLUSHES_MAX, "the gate has closed");
    }
    assert_eq!(rounds, FLUSHES_MAX - 1);
}

/// A full buffer pauses the partition once; it is resumed when there is room again.
#[test]
fn a_full_buffer_pauses_and_an_empty_one_resumes() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    let mut pauses = 0;
    for _ in 0..BUFFER_RECORDS_MAX / 100 + 5 {
        pauses += count(&bench.fetch(100), |action| matches!(action, Action::Pause(0)));
    }
    assert_eq!(pauses, 1);
    let mut resumes = 0;
    for _ in 0..20 {
        resumes += count(&bench.handle(appended(task)), |action| matches!(action, Action::Resume(0)));
    }
    assert_eq!(resumes, 1);
}

/// A record that the client library delivers again is not taken again.
#[test]
fn a_record_is_taken_once() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    let task = task_of(&bench.fetch(3));
    bench.next = 1;
    bench.fetch(2);
    let actions = bench.handle(appended(task));
    assert_eq!(count(&actions, |action| matches!(action, Action::Append { .. })), 0);
    assert_eq!(committed_offset(&actions), Some(3));
}

/// Commits wait for their interval, and not at all when partitions are to be given back.
#[test]
fn commits_are_paced_and_hurry_for_a_revoke() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    assert_eq!(committed_offset(&bench.handle(appended(task))), Some(1));
    bench.handle(Event::Committed);
    bench.fetch(1);
    assert_eq!(committed_offset(&bench.handle(appended(task))), None);
    bench.now_us += COMMIT_INTERVAL_US;
    assert_eq!(committed_offset(&bench.handle(Event::Tick)), Some(2));
    bench.handle(Event::Committed);
    bench.fetch(1);
    bench.handle(appended(task));
    let actions = bench.handle(Event::Revoked(whole(0)));
    assert_eq!(committed_offset(&actions), Some(3));
    assert_eq!(count(&actions, |action| matches!(action, Action::AckRevoke(_))), 0);
    let actions = bench.handle(Event::Committed);
    assert_eq!(count(&actions, |action| matches!(action, Action::AckRevoke(_))), 1);
}

/// A write that hangs holds a revoke up to its deadline; its records are not committed.
#[test]
fn a_revoke_waits_no_longer_than_its_deadline() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, true);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    bench.handle(appended(task));
    assert!(bench.handle(Event::Revoked(whole(0))).is_empty());
    bench.now_us += REVOKE_DRAIN_US - 1;
    assert!(bench.handle(Event::Tick).is_empty());
    bench.now_us += 1;
    let actions = bench.handle(Event::Tick);
    assert_eq!(count(&actions, |action| matches!(action, Action::AckRevoke(_))), 1);
    assert_eq!(committed_offset(&actions), None);
    assert!(bench.handle(Event::Wrote { task }).is_empty(), "what comes late is of the past");
}

/// A lost partition is dropped at once, and nothing of it is committed.
#[test]
fn a_lost_partition_is_dropped() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    assert!(bench.handle(Event::Lost(whole(0))).is_empty());
    assert!(bench.handle(appended(task)).is_empty());
}

/// Shutting down finishes what is under way, or stops at its deadline.
#[test]
fn a_drain_ends() {
    let stops = |actions: &[Action<Plain>]| count(actions, |action| matches!(action, Action::Stop(Ok(()))));
    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    assert_eq!(stops(&bench.handle(Event::Drain)), 0);
    assert_eq!(committed_offset(&bench.handle(appended(task))), Some(1));
    assert_eq!(stops(&bench.handle(Event::Committed)), 1);

    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    bench.assign();
    bench.fetch(1);
    bench.handle(Event::Drain);
    bench.now_us += SHUTDOWN_DRAIN_US;
    assert_eq!(stops(&bench.handle(Event::Tick)), 1);

    let mut bench = Bench::new(Delivery::AtLeastOnce, false);
    assert_eq!(stops(&bench.handle(Event::Drain)), 1, "who owns nothing stops at once");
}

/// A failed write is tried again, later each time, and never skipped.
#[test]
fn a_failed_write_is_tried_for_ever() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, true);
    bench.assign();
    let task = task_of(&bench.fetch(1));
    bench.handle(appended(task));
    for _ in 0..50 {
        assert!(bench.handle(Event::WriteFailed { task }).is_empty());
        let now = Now { wall_us: bench.now_us, steady_us: bench.now_us };
        let wait_us = bench.machine.wake_in_us(now).unwrap();
        assert!(wait_us > 0);
        bench.now_us += wait_us;
        let again = bench.handle(Event::Tick);
        assert_eq!(count(&again, |action| matches!(action, Action::Write { failed_before: true, .. })), 1);
    }
    assert_eq!(committed_offset(&bench.handle(Event::Wrote { task })), Some(1));
}

/// Who owns a partition number of one topic only must not go on: a game's state needs them all.
#[test]
fn a_split_assignment_stops_the_member() {
    let mut bench = Bench::new(Delivery::AtLeastOnce, true);
    let actions = bench.handle(Event::Assigned(vec![(Topic::Commands, 3), (Topic::Joins, 4)]));
    let fatal = Err(Fatal::SplitAssignment { partition: 3 });
    assert_eq!(count(&actions, |action| matches!(action, Action::Stop(result) if *result == fatal)), 1);
    assert!(bench.assign().is_empty(), "it stays stopped");
}

fn start_transactional(bench: &mut Bench) {
    let task = task_of(&bench.assign());
    let from = vec![(Topic::Commands, 0), (Topic::Joins, bench.next)];
    let actions = bench.handle(Event::RestoreDone { task, from });
    assert_eq!(count(&actions, |action| matches!(action, Action::Start { .. })), 1);
}

fn transaction_of(actions: &[Action<Plain>]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        Action::Transact { transaction, .. } => Some(*transaction),
        _ => None,
    })
}

/// A transaction does not cover the store.
#[test]
fn a_write_in_a_transactional_group_stops_the_member() {
    let mut bench = Bench::new(Delivery::Transactional, true);
    start_transactional(&mut bench);
    let actions = bench.fetch(1);
    let fatal = Err(Fatal::WriteInTransaction);
    assert_eq!(count(&actions, |action| matches!(action, Action::Stop(result) if *result == fatal)), 1);
}

/// One transaction at a time; after an abort the state is restored from the log, under a new incarnation.
#[test]
fn an_abort_restores_anew() {
    let mut bench = Bench::new(Delivery::Transactional, false);
    start_transactional(&mut bench);
    let transaction = transaction_of(&bench.fetch(1)).unwrap();
    assert_eq!(transaction_of(&bench.fetch(1)), None);
    let next = transaction_of(&bench.handle(Event::TransactionDone { transaction })).unwrap();
    let actions = bench.handle(Event::TransactionAborted { transaction: next });
    assert_eq!(count(&actions, |action| matches!(action, Action::Pause(0))), 1);
    bench.now_us += 1_000_000;
    let task = task_of(&bench.handle(Event::Tick));
    let actions = bench.handle(Event::RestoreDone { task, from: vec![(Topic::Commands, 0), (Topic::Joins, 1)] });
    let from = actions.iter().find_map(|action| match action {
        Action::Start { from, .. } => Some(from.clone()),
        _ => None,
    });
    assert_eq!(from, Some(vec![(Topic::Commands, 0), (Topic::Joins, 1)]));
}

/// Being fenced once may be the broker's time-out; again and again, it is another process with our name.
#[test]
fn fences_in_a_row_stop_the_member() {
    let mut bench = Bench::new(Delivery::Transactional, false);
    start_transactional(&mut bench);
    for fence in 1..=FENCES_MAX {
        let transaction = transaction_of(&bench.fetch(1)).unwrap();
        let actions = bench.handle(Event::Fenced { transaction });
        let stops = count(&actions, |action| matches!(action, Action::Stop(Err(Fatal::Fenced))));
        assert_eq!(stops, usize::from(fence == FENCES_MAX));
        if fence < FENCES_MAX {
            bench.now_us += 10_000_000;
            let task = task_of(&bench.handle(Event::Tick));
            bench.handle(Event::RestoreDone { task, from: vec![(Topic::Commands, 0), (Topic::Joins, bench.next)] });
        }
    }
}
