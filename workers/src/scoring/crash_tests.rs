//! Goal: a worker that crashes anywhere, any number of times, leads to the same scores, the same
//! stored answers and the same snapshots as one that never does.
//! Method: random logs of a partition with several lanes; at random points the worker dies after
//! applying, in the middle of appending, in the middle of writing, or before committing; its
//! successor reads from what was committed. What is expected comes from plain lanes, without worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use quiz_game::lane::{Lane, LaneEffect, LaneSnapshot};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{AnyEvent, GameId, LaneKey, PlayerId, Position, QuestionNo, SubmissionId, Topic};
use quiz_store::{AnswerDoc, Write};
use quiz_stream::{Processor, Record, StateStore, StoreUnavailable};

use super::fake_store::FakeStore;
use super::{LaneStore, Lanes, ScoringWorker};

const PARTITION: i32 = 3;

/// A record of the log: in which lane, and what, with questions relative to the one due there.
#[derive(Clone, Debug)]
enum Entry {
    Open { rule_known: bool },
    Close,
    Answer { back: u16, player: u64, pick: u8, elapsed_us: i64 },
}

/// How a worker's life goes on after it applied a batch.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lives,
    /// It dies after that many appends.
    DiesAppending(usize),
    /// It dies after that many single writes.
    DiesWriting(usize),
    DiesBeforeCommit,
}

fn lanes() -> [LaneKey; 3] {
    let lane = |game, lane| LaneKey { game: GameId::from_bits(game), lane };
    [lane(7, 0), lane(7, 1), lane(8, 0)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let back = prop_oneof![6 => Just(0u16), 3 => Just(1), 1 => Just(2)];
    let elapsed_us = prop_oneof![4 => 0..10_000_000i64, 1 => Just(10_300_001)];
    prop_oneof![
        3 => prop::bool::weighted(0.9).prop_map(|rule_known| Entry::Open { rule_known }),
        2 => Just(Entry::Close),
        12 => (back, 0..4u64, 0..3u8, elapsed_us)
            .prop_map(|(back, player, pick, elapsed_us)| Entry::Answer { back, player, pick, elapsed_us }),
    ]
}

fn log() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec((0..3usize, entry()), 1..120).prop_map(|entries| {
        let mut due = [0u16; 3];
        let records = entries.into_iter().enumerate();
        records.map(|(at, (lane, entry))| record(at as i64, lanes()[lane], entry, &mut due[lane])).collect()
    })
}

fn record(at: i64, key: LaneKey, entry: Entry, due: &mut QuestionNo) -> Record {
    let body: AnswersBody = match entry {
        Entry::Open { rule_known } => LaneOpened {
            question: *due,
            key: AnswerKey::Single { options: 2, correct: Picks::one(1) },
            points_max: 1000,
            limit_us: 10_000_000,
            rule: if rule_known { "speed-v1".into() } else { "speed-v9".into() },
            streaks: true,
            opened_at_us: 0,
        }
        .into(),
        Entry::Close => {
            *due += 1;
            LaneClosed { question: *due - 1, closed_at_us: 0 }.into()
        }
        Entry::Answer { back, player, pick, elapsed_us } => AnswerSubmitted {
            question: due.saturating_sub(back),
            player: PlayerId::from_bits(player),
            submission: SubmissionId::from_bits(at as u64),
            response: Response::Picks(Picks::one(pick)),
            received_at_us: 0,
            elapsed_us,
            edge: "edge-1".into(),
        }
        .into(),
    };
    // Offsets have holes, as those of a topic with transactions do.
    let offset = at * 2 + 5;
    let event = AnswersRecord { game: key.game, lane: key.lane, body }.into();
    Record { topic: Topic::Answers, partition: PARTITION, offset, appended_at_us: 0, event }
}

fn lives() -> impl Strategy<Value = Vec<(usize, Fate)>> {
    let fate = prop_oneof![
        3 => Just(Fate::Lives),
        1 => (0..4usize).prop_map(Fate::DiesAppending),
        2 => (0..8usize).prop_map(Fate::DiesWriting),
        1 => Just(Fate::DiesBeforeCommit),
    ];
    prop::collection::vec((1..25usize, fate), 0..20)
}

/// All that a run leaves behind, as a reader sees it.
#[derive(PartialEq, Debug, Default)]
struct Left {
    counts: BTreeMap<(LaneKey, QuestionNo), LaneCounts>,
    reports: BTreeMap<(LaneKey, QuestionNo), LaneScored>,
    answers: BTreeMap<(LaneKey, QuestionNo, PlayerId), AnswerDoc>,
    /// Of the lanes without an open question.
    snapshots: BTreeMap<LaneKey, LaneSnapshot>,
    dead: BTreeSet<i64>,
    /// The last question of each lane that is announced to be stored.
    announced: BTreeMap<LaneKey, QuestionNo>,
}

fn expected(log: &[Record]) -> Left {
    let mut left = Left::default();
    let mut by_lane: BTreeMap<LaneKey, Lane> = BTreeMap::new();
    for record in log {
        let AnyEvent::Answers(answers) = &record.event else { panic!("a log of answers") };
        let key = answers.lane_key();
        let lane = by_lane.entry(key).or_default();
        match (lane.apply(&answers.body), &answers.body) {
            (LaneEffect::Scored(scored), AnswersBody::AnswerSubmitted(answer)) => {
                let doc = AnswerDoc {
                    game: key.game,
                    lane: key.lane,
                    question: answer.question,
                    player: answer.player,
                    submission: answer.submission,
                    response: answer.response.clone(),
                    verdict: scored.verdict,
                    points: scored.points,
                    elapsed_us: scored.elapsed_us,
                    received_at_us: 0,
                    position: record.position(),
                };
                left.answers.insert((key, answer.question, answer.player), doc);
            }
            (LaneEffect::Closed(scored), _) => {
                left.announced.insert(key, scored.question);
                left.reports.insert((key, scored.question), scored.report);
            }
            (LaneEffect::Refused(_), _) => {
                left.dead.insert(record.offset);
            }
            _ => {}
        }
        for question in lane.open().into_iter().chain(lane.closed()) {
            left.counts.insert((key, question), lane.counts(question).unwrap());
        }
    }
    let closed = by_lane.iter().filter_map(|(key, lane)| Some((*key, lane.snapshot()?)));
    left.snapshots = closed.filter(|(_, snapshot)| *snapshot != LaneSnapshot::default()).collect();
    // An open question nothing was counted for is not told of.
    left.counts.retain(|at, counts| counts.received > 0 || left.reports.contains_key(at));
    left
}

struct Run<'a> {
    log: &'a [Record],
    lanes_max: usize,
    store: Arc<FakeStore>,
    appended: Vec<ScoresRecord>,
    announced: BTreeMap<LaneKey, QuestionNo>,
    dead: BTreeSet<i64>,
    committed: i64,
}

impl Run<'_> {
    fn fresh(&self) -> Lanes {
        Lanes::bounded(PARTITION, self.lanes_max)
    }

    async fn go(&mut self, lives: &[(usize, Fate)]) {
        let mut lives = lives.iter().copied();
        let mut state = self.fresh();
        let mut next = self.committed;
        loop {
            let (size, fate) = lives.next().unwrap_or((10, Fate::Lives));
            let batch: Vec<Record> =
                self.log.iter().filter(|record| record.offset >= next).take(size).cloned().collect();
            let Some(last) = batch.last() else { break };
            next = last.offset + 1;
            if !self.step(&mut state, &batch, next, fate).await {
                state = self.fresh();
                next = self.committed;
            }
        }
    }

    /// False when the worker died.
    async fn step(&mut self, state: &mut Lanes, batch: &[Record], next: i64, fate: Fate) -> bool {
        let worker = ScoringWorker;
        let store = LaneStore::new(self.store.clone());
        let keys = worker.needs(state, batch);
        if !keys.is_empty() {
            worker.supply(state, store.load(&keys).await.unwrap());
        }
        assert!(worker.needs(state, batch).is_empty());
        let output = worker.apply(state, batch, 0);
        let point = worker.commit_point(state, Topic::Answers, next);
        let appends = if let Fate::DiesAppending(appends) = fate { appends } else { usize::MAX };
        let produced = output.produce.into_iter().take(appends);
        self.appended.extend(produced.map(|event| match event {
            AnyEvent::Scores(scores) => scores,
            other => panic!("scoring does not append {other:?}"),
        }));
        if let Fate::DiesAppending(_) = fate {
            return false;
        }
        self.dead.extend(output.dead.iter().map(|dead| dead.position.offset));
        if let Fate::DiesWriting(writes) = fate {
            self.store.kept().budget = Some(writes);
        }
        let wrote = write_as_the_loop_does(&store, &output.write).await;
        self.store.kept().budget = None;
        if wrote.is_err() || !matches!(fate, Fate::Lives) {
            return false;
        }
        output.announce.iter().for_each(|event| self.announce(event));
        assert!(point <= next);
        self.committed = self.committed.max(point);
        true
    }

    fn announce(&mut self, event: &AnyEvent) {
        let AnyEvent::Scores(ScoresRecord { game, lane, question, body: ScoresBody::LaneStored(told), .. }) = event
        else {
            panic!("scoring does not announce {event:?}")
        };
        let key = LaneKey { game: *game, lane: *lane };
        let stored = self.store.kept().answers.keys().filter(|(of, no, _)| (of, no) == (&key, question)).count();
        assert_eq!(stored as i64, told.stored, "what is announced is in the store");
        let last = self.announced.entry(key).or_insert(*question);
        *last = (*last).max(*question);
    }

    fn left(self) -> Left {
        let mut left = Left { dead: self.dead, announced: self.announced, ..Left::default() };
        let mut newest: BTreeMap<(LaneKey, QuestionNo), Position> = BTreeMap::new();
        for scores in self.appended {
            let at = (LaneKey { game: scores.game, lane: scores.lane }, scores.question);
            if newest.get(&at).is_none_or(|seen| scores.position >= *seen) {
                newest.insert(at, scores.position);
                left.counts.insert(at, scores.counts);
            }
            if let ScoresBody::LaneScored(report) = scores.body {
                let first = left.reports.entry(at).or_insert_with(|| report.clone());
                assert_eq!(*first, report, "a report that is told twice is the same");
            }
        }
        let kept = self.store.kept();
        left.answers = kept.answers.clone();
        left.snapshots = kept.lanes.iter().map(|(key, doc)| (*key, doc.snapshot.clone())).collect();
        drop(kept);
        left
    }
}

/// Those that seal the batch go last, and only when all others are made.
pub(super) async fn write_as_the_loop_does(store: &LaneStore, writes: &[Write]) -> Result<(), StoreUnavailable> {
    let (sealing, others): (Vec<Write>, Vec<Write>) =
        writes.iter().cloned().partition(|write| ScoringWorker.seals(write));
    store.write(&others).await?;
    store.write(&sealing).await
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn crashes_change_nothing(log in log(), lives in lives(), lanes_max in 1..4usize) {
        let mut run = Run {
            log: &log,
            lanes_max,
            store: Arc::default(),
            appended: Vec::new(),
            announced: BTreeMap::new(),
            dead: BTreeSet::new(),
            committed: 0,
        };
        block_on(run.go(&lives));
        let mut left = run.left();
        let expected = expected(&log);
        // The snapshot of a lane with an open question is the one before it.
        left.snapshots.retain(|key, _| expected.snapshots.contains_key(key));
        prop_assert_eq!(left, expected);
    }
}
