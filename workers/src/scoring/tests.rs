//! What one batch leads to, case by case.

use std::sync::Arc;

use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{GameId, PlayerId, SubmissionId};
use quiz_stream::StateStore;

use super::crash_tests::write_as_the_loop_does;
use super::fake_store::FakeStore;
use super::*;

const PARTITION: i32 = 5;

fn key(game: u64) -> LaneKey {
    LaneKey { game: GameId::from_bits(game), lane: 0 }
}

fn record(offset: i64, lane: LaneKey, body: impl Into<AnswersBody>) -> Record {
    let event = AnswersRecord { game: lane.game, lane: lane.lane, body: body.into() }.into();
    Record { topic: Topic::Answers, partition: PARTITION, offset, appended_at_us: 0, event }
}

fn open(question: QuestionNo) -> LaneOpened {
    LaneOpened {
        question,
        key: AnswerKey::Single { options: 4, correct: Picks::one(2) },
        points_max: 1000,
        limit_us: 30_000_000,
        rule: "speed-v1".into(),
        streaks: false,
        opened_at_us: 0,
    }
}

fn close(question: QuestionNo) -> LaneClosed {
    LaneClosed { question, closed_at_us: 0 }
}

fn answer(question: QuestionNo, player: u64) -> AnswerSubmitted {
    AnswerSubmitted {
        question,
        player: PlayerId::from_bits(player),
        submission: SubmissionId::from_bits(player + 100),
        response: Response::Picks(Picks::one(2)),
        received_at_us: 17,
        elapsed_us: 2_000_000,
        edge: "edge-1".into(),
    }
}

fn apply(state: &mut Lanes, batch: &[Record]) -> Output<Write> {
    for lane in ScoringWorker.needs(state, batch) {
        ScoringWorker.supply(state, vec![StoredLane { lane, doc: None }]);
    }
    ScoringWorker.apply(state, batch, 0)
}

fn fresh() -> Lanes {
    ScoringWorker.start(PARTITION)
}

fn scores(output: &Output<Write>) -> Vec<&ScoresRecord> {
    let each = output.produce.iter();
    each.map(|event| if let AnyEvent::Scores(scores) = event { scores } else { panic!("{event:?}") }).collect()
}

/// What is said: of which question, at which offset, received, and closed or the number of outcomes.
fn told(output: &Output<Write>) -> Vec<(QuestionNo, i64, i64, String)> {
    let each = scores(output).into_iter().map(|scores| {
        let what = match &scores.body {
            ScoresBody::LaneCounted(counted) => format!("closed={}", counted.closed),
            ScoresBody::LaneScored(scored) => format!("outcomes={}", scored.outcomes.len()),
            ScoresBody::LaneStored(stored) => format!("stored={}", stored.stored),
            ScoresBody::Unknown => "unknown".into(),
        };
        assert_eq!(scores.position.partition, PARTITION);
        (scores.question, scores.position.offset, scores.counts.received, what)
    });
    each.collect()
}

/// The offsets of the answers and of the snapshots written.
fn written(output: &Output<Write>) -> (Vec<i64>, Vec<i64>) {
    let mut answers = Vec::new();
    let mut snapshots = Vec::new();
    for write in &output.write {
        match write {
            Write::Answer(doc) => answers.push(doc.position.offset),
            Write::Lane(doc) => snapshots.push(doc.position.offset),
            other => panic!("{other:?}"),
        }
    }
    (answers, snapshots)
}

#[test]
fn a_question_in_one_batch_is_scored_stored_and_reported_once() {
    let mut state = fresh();
    let lane = key(1);
    let batch = [
        record(10, lane, open(0)),
        record(11, lane, answer(0, 1)),
        record(12, lane, answer(0, 1)),
        record(13, lane, answer(0, 2)),
        record(15, lane, close(0)),
    ];
    let output = apply(&mut state, &batch);
    assert_eq!(told(&output), [(0, 15, 3, "outcomes=2".to_string())]);
    assert_eq!(written(&output), (vec![11, 13], vec![15]));
    let counts = scores(&output)[0].counts;
    assert_eq!((counts.scored, counts.duplicate), (2, 1));
    let Write::Answer(doc) = &output.write[0] else { panic!("an answer first") };
    assert_eq!((doc.points, doc.verdict, doc.elapsed_us, doc.received_at_us), (967, Verdict::Correct, 2_000_000, 17));
    assert_eq!((doc.game, doc.lane, doc.player), (lane.game, 0, PlayerId::from_bits(1)));
    let announced = ScoresBody::from(LaneStored { stored: 2, opened_offset: 10 });
    assert!(matches!(&output.announce[..], [AnyEvent::Scores(told)] if told.body == announced));
    assert_eq!(ScoringWorker.commit_point(&state, Topic::Answers, 16), 16);
}

#[test]
fn an_open_question_is_counted_once_a_batch_and_holds_the_commit_back() {
    let mut state = fresh();
    let output = apply(&mut state, &[record(10, key(1), open(0)), record(20, key(2), open(4))]);
    assert_eq!(told(&output), []);
    let batch = [
        record(21, key(2), answer(4, 1)),
        record(22, key(1), answer(0, 1)),
        record(23, key(2), answer(4, 2)),
        record(24, key(1), answer(9, 3)),
    ];
    let output = apply(&mut state, &batch);
    let closed = || "closed=false".to_string();
    assert_eq!(told(&output), [(4, 23, 2, closed()), (0, 24, 2, closed())]);
    assert_eq!(written(&output), (vec![21, 22, 23], vec![]));
    assert_eq!(ScoringWorker.commit_point(&state, Topic::Answers, 25), 10);
    apply(&mut state, &[record(25, key(1), close(0))]);
    assert_eq!(ScoringWorker.commit_point(&state, Topic::Answers, 26), 20);
    let output = apply(&mut state, &[record(26, key(2), close(9))]);
    assert!(output.is_empty(), "a close of a question that is not open does nothing");
    assert_eq!(ScoringWorker.commit_point(&state, Topic::Answers, 27), 20);
}

#[test]
fn what_comes_after_the_close_is_counted_and_saved_before_the_next_question() {
    let mut state = fresh();
    let lane = key(1);
    apply(&mut state, &[record(1, lane, open(0)), record(2, lane, answer(0, 1)), record(3, lane, close(0))]);
    let output = apply(&mut state, &[record(4, lane, answer(0, 2))]);
    assert_eq!(told(&output), [(0, 4, 2, "closed=true".to_string())]);
    assert_eq!(written(&output), (vec![], vec![4]));
    // A late answer, the next question, and one more late answer: the first must be in the store
    // before the marker, from which a successor reads; the second is read again.
    let batch = [record(5, lane, answer(0, 3)), record(6, lane, open(1)), record(7, lane, answer(0, 4))];
    let output = apply(&mut state, &batch);
    assert_eq!(told(&output), [(0, 7, 4, "closed=true".to_string())]);
    assert_eq!(written(&output), (vec![], vec![5]));
    // The lane forgets question 0 with the close of 1: its last counts are told before.
    let output = apply(&mut state, &[record(8, lane, answer(0, 5)), record(9, lane, close(1))]);
    assert_eq!(told(&output), [(0, 8, 5, "closed=true".to_string()), (1, 9, 0, "outcomes=5".to_string())]);
    assert_eq!(written(&output), (vec![], vec![9]));
}

#[test]
fn an_answer_before_any_question_is_kept_and_counted_at_the_first() {
    let mut state = fresh();
    let lane = key(1);
    let output = apply(&mut state, &[record(1, lane, answer(0, 1))]);
    assert_eq!(told(&output), []);
    assert_eq!(written(&output), (vec![], vec![1]));
    let output = apply(&mut state, &[record(2, lane, open(0)), record(3, lane, close(0))]);
    assert_eq!(told(&output), [(0, 3, 1, "outcomes=0".to_string())]);
}

#[test]
fn a_marker_that_makes_no_sense_is_a_dead_letter() {
    let mut state = fresh();
    let bad = LaneOpened { rule: "speed-v7".into(), ..open(0) };
    let batch = [record(1, key(1), bad), record(2, key(1), open(1)), record(3, key(1), open(2))];
    let output = apply(&mut state, &batch);
    let dead: Vec<_> = output.dead.iter().map(|dead| (dead.topic, dead.position, dead.reason)).collect();
    let at = |offset| Position { partition: PARTITION, offset };
    assert_eq!(dead, [(Topic::Answers, at(1), "unknown_rule"), (Topic::Answers, at(3), "question_open")]);
    assert_eq!(ScoringWorker.commit_point(&state, Topic::Answers, 4), 2);
}

#[test]
fn records_that_the_snapshot_holds_are_skipped() {
    let lane = key(1);
    let log = [
        record(1, lane, open(0)),
        record(2, lane, answer(0, 1)),
        record(3, lane, close(0)),
        record(4, lane, open(1)),
        record(5, lane, answer(1, 1)),
        record(6, lane, close(1)),
    ];
    let mut first = fresh();
    let output = apply(&mut first, &log[..4]);
    let Some(Write::Lane(doc)) = output.write.last() else { panic!("a snapshot") };
    let mut second = fresh();
    ScoringWorker.supply(&mut second, vec![StoredLane { lane, doc: Some(doc.clone()) }]);
    let again = apply(&mut second, &log);
    // Whoever wrote the snapshot may have died before telling that it is stored: that is told again.
    let mut expected = apply(&mut first, &log[4..]);
    expected.announce.splice(0..0, output.announce.iter().cloned());
    assert_eq!(again, expected);
    assert_eq!(again.announce.len(), 2);
    let report = scores(&again)[0];
    let ScoresBody::LaneScored(scored) = &report.body else { panic!("a report") };
    assert_eq!((scored.outcomes[0].total, scored.outcomes[0].streak), (2 * 967, 2));
}

#[test]
fn idle_lanes_are_dropped_and_open_ones_stay() {
    let mut state = Lanes::bounded(PARTITION, 2);
    apply(&mut state, &[record(1, key(1), open(0)), record(2, key(2), answer(0, 1))]);
    apply(&mut state, &[record(3, key(3), answer(0, 1))]);
    let here = |state: &Lanes| -> Vec<u64> {
        let keys = (1..5).map(key);
        keys.filter(|key| state.missing([*key].into_iter()).is_empty()).map(|key| key.game.bits()).collect()
    };
    assert_eq!(here(&state), [1, 3], "2 was touched least recently");
    apply(&mut state, &[record(4, key(4), open(0))]);
    assert_eq!(here(&state), [1, 4]);
    apply(&mut state, &[record(5, key(3), open(0))]);
    assert_eq!((here(&state), state.len()), (vec![1, 3, 4], 3), "open lanes exceed the bound");
    assert_eq!(ScoringWorker.needs(&state, &[record(6, key(2), open(0)), record(7, key(2), close(0))]), [key(2)]);
}

#[tokio::test]
async fn answers_are_stored_before_the_snapshot_that_holds_them() {
    let mut state = fresh();
    let lane = key(1);
    let batch = [record(1, lane, open(0)), record(2, lane, answer(0, 1)), record(3, lane, close(0))];
    let output = apply(&mut state, &batch);
    let fake: Arc<FakeStore> = Arc::default();
    let store = LaneStore::new(fake.clone());
    fake.kept().budget = Some(1);
    assert!(write_as_the_loop_does(&store, &output.write).await.is_err());
    assert_eq!(fake.kept().len(), (1, 0));
    fake.kept().budget = None;
    write_as_the_loop_does(&store, &output.write).await.unwrap();
    assert_eq!(fake.kept().len(), (1, 1));
    let loaded = store.load(&[key(9), lane]).await.unwrap();
    assert_eq!((loaded[0].lane, loaded[0].doc.is_none()), (key(9), true));
    assert_eq!((loaded[1].lane, loaded[1].doc.as_ref().map(|doc| doc.position.offset)), (lane, Some(3)));
}

#[test]
fn the_group_is_the_one_of_the_topic_table() {
    let group = ScoringWorker.group();
    assert_eq!((group.id, group.reads, group.restores_from), ("quiz.scoring", &[Topic::Answers][..], None));
    assert_eq!(group.delivery, Delivery::AtLeastOnce);
}
