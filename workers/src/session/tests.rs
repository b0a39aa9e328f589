//! Goal: each input reaches its game once, also across a crash; nothing that a successor needs is committed
//! away. Method: tables of batches, and random streams run calmly and with crashes, which must end in the
//! same log.

mod stream;

use quiz_game::session::{IDLE_MS_MAX, Phase};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use quiz_schemas::{Pin, PlayerId, Position};

use super::*;

const PARTITION: i32 = 3;
const START_US: i64 = 1_790_000_000_000_000;

fn game(n: u64) -> GameId {
    GameId::from_bits(n)
}

fn record(offset: i64, event: impl Into<AnyEvent>) -> Record {
    let event = event.into();
    Record { topic: event.topic(), partition: PARTITION, offset, appended_at_us: START_US, event }
}

fn command(n: u64, offset: i64, body: impl Into<CommandsBody>) -> Record {
    record(offset, CommandsRecord { game: game(n), at_us: START_US, edge: "edge-1".into(), body: body.into() })
}

fn create(n: u64, offset: i64) -> Record {
    let question = Question {
        kind: QuestionKind::TrueFalse,
        prompt: "Is it?".into(),
        options: vec!["yes".into(), "no".into()],
        key: AnswerKey::Single { options: 2, correct: Picks::one(0) },
        points_max: 1000,
        limit_ms: 1_000,
        explanation: None,
    };
    let quiz = Quiz { id: "q".into(), version: 1, title: "A quiz".into(), questions: vec![question; 2] };
    let settings =
        GameSettings { lanes: 2, capacity: 4, rule: "speed-v1".into(), streaks: false, auto_advance_ms: None };
    command(n, offset, CreateGame { pin: Pin::from_index(1), quiz, settings })
}

fn open(n: u64, offset: i64) -> Record {
    command(n, offset, OpenQuestion { question: None })
}

fn end(n: u64, offset: i64) -> Record {
    command(n, offset, EndGame { reason: None })
}

fn join(n: u64, offset: i64, player: u64) -> Record {
    let body = JoinRequested { player: PlayerId::from_bits(player), nickname: format!("p{player}") }.into();
    record(offset, JoinsRecord { game: game(n), at_us: START_US, edge: "edge-1".into(), body })
}

fn scored(n: u64, offset: i64, lane: u16, question: u16) -> Record {
    let body = LaneScored { part: 0, parts: 1, distribution: vec![], outcomes: vec![] }.into();
    let position = Position { partition: 1, offset: 1_000 + offset };
    record(offset, ScoresRecord { game: game(n), lane, question, position, counts: LaneCounts::default(), body })
}

/// The records of one output in short words: game, seq, kind.
fn words(out: &Output<Infallible>) -> Vec<String> {
    let word = |event: &AnyEvent| match event {
        AnyEvent::Sessions(record) => {
            let kind = format!("{:?}", record.body);
            let kind = kind.split('(').next().expect("a split has a first part").to_string();
            format!("{}.{} {kind}", record.game.bits(), record.seq)
        }
        AnyEvent::Answers(record) => format!("{}/{}", record.game.bits(), record.lane),
        other => panic!("not the session worker's: {other:?}"),
    };
    out.produce.iter().map(word).collect()
}

fn dead(out: &Output<Infallible>) -> Vec<(Topic, i64, &'static str)> {
    out.dead.iter().map(|rejected| (rejected.topic, rejected.position.offset, rejected.reason)).collect()
}

struct Bench {
    state: Sessions,
    log: Vec<AnyEvent>,
    now_us: i64,
}

impl Bench {
    fn new() -> Self {
        Self { state: SessionWorker.start(PARTITION), log: Vec::new(), now_us: START_US }
    }

    fn apply(&mut self, batch: &[Record]) -> Output<Infallible> {
        let out = SessionWorker.apply(&mut self.state, batch, self.now_us);
        self.log.extend(out.produce.iter().cloned());
        out
    }

    fn wait_ms(&mut self, wait_ms: i64) -> Output<Infallible> {
        self.now_us += wait_ms * 1000;
        let out = SessionWorker.tick(&mut self.state, self.now_us);
        self.log.extend(out.produce.iter().cloned());
        out
    }

    /// A successor, before it reads any input.
    fn successor(&self) -> Sessions {
        let mut state = SessionWorker.start(PARTITION);
        let records: Vec<_> = self
            .log
            .iter()
            .filter(|event| event.topic() == Topic::Sessions)
            .enumerate()
            .map(|(offset, event)| record(offset as i64, event.clone()))
            .collect();
        for some in records.chunks(7) {
            SessionWorker.restore(&mut state, some);
        }
        state
    }

    fn commit_point(&self, topic: Topic, next: i64) -> i64 {
        SessionWorker.commit_point(&self.state, topic, next)
    }
}

#[test]
fn two_games_run_side_by_side() {
    let mut bench = Bench::new();
    let out = bench.apply(&[
        create(1, 0),
        create(2, 1),
        join(1, 0, 1),
        join(2, 1, 2),
        join(1, 2, 3),
        open(1, 2),
        join(1, 3, 4),
    ]);
    let expected = [
        "1.0 GameCreated",
        "2.0 GameCreated",
        "1.1 JoinsDecided",
        "1.2 QuestionOpened",
        "1/0",
        "1/1",
        "2.1 JoinsDecided",
        "1.3 JoinsDecided",
    ];
    let mut sorted = words(&out);
    assert_eq!(sorted[..6], expected[..6]);
    sorted.sort();
    let mut all = expected.to_vec();
    all.sort_unstable();
    assert_eq!(sorted, all);
    assert_eq!(bench.state.live(), 2);
    let phase = bench.state.session(game(1)).map(quiz_game::session::Session::phase);
    assert_eq!(phase, Some(Phase::Open { question: 0, deadline_us: START_US + 1_000_000 }));

    // Only the first is due.
    assert_eq!(SessionWorker.next_tick_us(&bench.state), Some(START_US + 1_000_000));
    assert_eq!(words(&bench.wait_ms(999)), [""; 0]);
    assert_eq!(words(&bench.wait_ms(1)), ["1.4 QuestionStopping"]);
    assert_eq!(words(&bench.wait_ms(300)), ["1.5 QuestionClosed", "1/0", "1/1"]);
    let out = bench.apply(&[scored(1, 10, 0, 0), end(2, 3), scored(1, 11, 1, 0)]);
    assert_eq!(words(&out), ["2.2 GameOver", "1.6 QuestionSettled"]);
    assert_eq!(bench.state.live(), 1);
    assert_eq!(words(&bench.wait_ms(IDLE_MS_MAX)), ["1.7 GameOver"]);
    assert_eq!(SessionWorker.next_tick_us(&bench.state), None);
}

#[test]
fn inputs_that_make_no_sense_are_dead() {
    let mut bench = Bench::new();
    let out = bench.apply(&[open(1, 0), scored(1, 5, 0, 0), create(1, 1), open(1, 2), scored(1, 6, 9, 0)]);
    assert_eq!(words(&out), ["1.0 GameCreated", "1.1 QuestionOpened", "1/0", "1/1"]);
    assert_eq!(dead(&out), [(Topic::Commands, 0, "no_game"), (Topic::Scores, 6, "no_lane")]);
    assert!(out.dead.iter().all(|rejected| rejected.position.partition == PARTITION));
    let out = bench.apply(&[record(0, bench.log[0].clone())]);
    assert_eq!(dead(&out), [(Topic::Sessions, 0, "wrong_topic")]);
}

#[test]
fn joins_wait_for_their_game() {
    let mut bench = Bench::new();
    let out = bench.apply(&[join(1, 4, 1), join(2, 5, 2), join(1, 6, 3)]);
    assert!(out.is_empty());
    assert_eq!(bench.state.parked(), 3);
    assert_eq!(bench.commit_point(Topic::Joins, 7), 4);
    assert_eq!(bench.commit_point(Topic::Commands, 7), 7);
    assert!(bench.apply(&[join(1, 4, 1)]).is_empty(), "it waits already");
    assert_eq!(bench.state.parked(), 3);

    bench.now_us += 1_000_000;
    assert_eq!(words(&bench.apply(&[create(1, 0)])), ["1.0 GameCreated", "1.1 JoinsDecided"]);
    assert_eq!(bench.state.session(game(1)).map(quiz_game::session::Session::players), Some(2));
    assert_eq!(bench.commit_point(Topic::Joins, 7), 5);
    assert!(bench.apply(&[join(1, 4, 1), join(1, 6, 3)]).is_empty(), "they are decided");

    assert_eq!(SessionWorker.next_tick_us(&bench.state), Some(START_US + PARKED_MS_MAX * 1000));
    let out = bench.wait_ms(PARKED_MS_MAX - 1_000);
    assert_eq!((words(&out), dead(&out)), (vec![], vec![(Topic::Joins, 5, "no_game")]));
    assert_eq!(bench.commit_point(Topic::Joins, 7), 7);
    assert_eq!(bench.state.parked(), 0);
}

#[test]
fn not_too_many_joins_wait() {
    let mut bench = Bench::new();
    let joins: Vec<_> = (0..PARKED_MAX as i64 + 2).map(|offset| join(1, offset, 1 + offset as u64)).collect();
    let out = bench.apply(&joins);
    let over = PARKED_MAX as i64;
    assert_eq!(dead(&out), [(Topic::Joins, over, "no_game"), (Topic::Joins, over + 1, "no_game")]);
    assert_eq!(bench.wait_ms(PARKED_MS_MAX).dead.len(), PARKED_MAX);
    assert_eq!(bench.state.parked(), 0);
}

#[test]
fn scores_of_an_unsettled_question_are_read_again() {
    let mut bench = Bench::new();
    bench.apply(&[create(1, 0), open(1, 1), create(2, 2), open(2, 3)]);
    assert_eq!(bench.commit_point(Topic::Scores, 20), 20);
    bench.wait_ms(1_000);
    bench.wait_ms(300);
    bench.apply(&[scored(2, 20, 0, 0), scored(1, 21, 0, 0), scored(1, 22, 1, 0)]);
    assert_eq!(bench.commit_point(Topic::Scores, 23), 20);
    // A successor has heard nothing yet; when it has read on from there it is where this one is.
    let mut successor = bench.successor();
    assert_eq!(SessionWorker.commit_point(&successor, Topic::Scores, 20), 20);
    let again = [scored(2, 20, 0, 0), scored(1, 21, 0, 0), scored(1, 22, 1, 0)];
    assert!(SessionWorker.apply(&mut successor, &again, bench.now_us).is_empty());
    assert_eq!(successor, bench.state);
    assert_eq!(words(&bench.apply(&[scored(2, 23, 1, 0)])), ["2.4 QuestionSettled"]);
    assert_eq!(bench.commit_point(Topic::Scores, 24), 24);
}

#[test]
fn ended_games_are_remembered_up_to_a_number() {
    let mut bench = Bench::new();
    let count = ENDED_MAX as u64 + 2;
    for n in 0..count {
        bench.apply(&[create(n, 2 * n as i64), end(n, 2 * n as i64 + 1)]);
    }
    assert_eq!(bench.state.live(), 0);
    assert!(bench.state.session(game(1)).is_none());
    assert!(bench.state.session(game(2)).is_some());
    assert_eq!(bench.successor(), bench.state);
    let out = bench.apply(&[join(1, 0, 1), join(2, 1, 1), open(2, 100_000)]);
    assert_eq!(words(&out), ["2.2 JoinsDecided", "2.3 CommandRejected"]);
    let AnyEvent::Sessions(SessionsRecord { body: SessionsBody::JoinsDecided(joins), .. }) = &out.produce[0] else {
        panic!("joins come first");
    };
    assert_eq!(joins.refused[0].reason, RefusalReason::GameOver);
    assert_eq!(bench.state.parked(), 1);
}

#[test]
fn thousands_of_deadlines_are_taken_in_portions() {
    const GAMES: u64 = 4_000;
    let mut bench = Bench::new();
    for n in 0..GAMES {
        bench.apply(&[create(n, 2 * n as i64), open(n, 2 * n as i64 + 1)]);
    }
    // Every game stops: one record each.
    assert_eq!(bench.wait_ms(1_000).produce.len(), GAMES as usize);
    // Every game closes: one record and two markers each.
    let first = bench.wait_ms(300).produce.len();
    assert!((TICK_RECORDS_MAX..TICK_RECORDS_MAX + 3).contains(&first), "{first}");
    assert!(SessionWorker.next_tick_us(&bench.state).is_some_and(|tick_us| tick_us <= bench.now_us));
    assert_eq!(first + bench.wait_ms(0).produce.len(), 3 * GAMES as usize);
    assert_eq!(SessionWorker.next_tick_us(&bench.state), Some(bench.now_us + IDLE_MS_MAX * 1000));
}
