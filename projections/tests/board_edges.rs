//! Goal: the corners that random games seldom reach. Method: a few records by hand, and what the
//! projection makes of them.

use quiz_projections::BoardProjection;
use quiz_projections::board::{
    COUNTED_INTERVAL_US, Metric, Partition, UNCLAIMED_GAMES_MAX, UNCLAIMED_MARGIN_US, WAITING_RECORDS_MAX,
};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Question, QuestionKind, Quiz};
use quiz_schemas::{AnyEvent, GameId, Pin, PlayerId, Position, Topic};
use quiz_store::Write;
use quiz_stream::{Output, Processor, Record};

/// A member with its two logs, written as it reads.
struct Bench {
    state: Partition,
    offsets: [i64; 2],
    seq: i64,
    at_us: i64,
}

fn game(n: u64) -> GameId {
    GameId::from_bits(n)
}

impl Bench {
    fn new() -> Self {
        Self { state: BoardProjection.start(0), offsets: [0; 2], seq: 0, at_us: 1 }
    }

    fn read(&mut self, event: AnyEvent, now_us: i64) -> Output<Write> {
        let topic = event.topic();
        let slot = usize::from(topic == Topic::Scores);
        let record = Record { topic, partition: 0, offset: self.offsets[slot], appended_at_us: self.at_us, event };
        self.offsets[slot] += 1;
        BoardProjection.apply(&mut self.state, &[record], now_us)
    }

    fn session(&mut self, body: impl Into<SessionsBody>) -> Vec<ResultsBody> {
        let record = SessionsRecord { game: game(1), seq: self.seq, at_us: self.at_us, cause: None, body: body.into() };
        self.seq += 1;
        bodies(&self.read(record.into(), self.at_us))
    }

    fn score(&mut self, id: GameId, lane: u16, question: u16, body: impl Into<ScoresBody>) -> Output<Write> {
        let counts = LaneCounts { received: self.offsets[1], scored: self.offsets[1], ..LaneCounts::default() };
        let position = Position { partition: 0, offset: self.offsets[1] };
        let record = ScoresRecord { game: id, lane, question, position, counts, body: body.into() };
        self.read(record.into(), self.at_us)
    }

    fn begin(lanes: u16) -> Self {
        let mut bench = Self::new();
        bench.session(created(lanes));
        let player = PlayerAdmitted { player: PlayerId::from_bits(5), nickname: "Ada".into(), lane: 0, edge: None };
        bench.session(JoinsDecided { admitted: vec![player], refused: vec![] });
        bench.session(QuestionOpened { question: 0, deadline_us: 9 });
        bench
    }

    fn commit_points(&self) -> [i64; 2] {
        let point = |(topic, next): (Topic, i64)| BoardProjection.commit_point(&self.state, topic, next);
        [(Topic::Sessions, self.offsets[0]), (Topic::Scores, self.offsets[1])].map(point)
    }
}

fn created(lanes: u16) -> GameCreated {
    let question = Question {
        kind: QuestionKind::Poll,
        prompt: "?".into(),
        options: vec!["a".into(), "b".into()],
        key: AnswerKey::Poll { options: 2 },
        points_max: 0,
        limit_ms: 5_000,
        explanation: None,
    };
    let quiz = Quiz { id: "q".into(), version: 1, title: "T".into(), questions: vec![question.clone(), question] };
    let settings = GameSettings { lanes, capacity: 10, rule: "speed-v1".into(), streaks: false, auto_advance_ms: None };
    GameCreated { pin: Pin::from_index(1), quiz, settings }
}

fn scored() -> LaneScored {
    LaneScored { part: 0, parts: 1, distribution: vec![1, 1], outcomes: vec![] }
}

fn bodies(output: &Output<Write>) -> Vec<ResultsBody> {
    let body = |event: &AnyEvent| {
        let AnyEvent::Results(record) = event else { panic!("only results are produced") };
        record.body.clone()
    };
    output.produce.iter().map(body).collect()
}

fn counts(output: &Output<Write>) -> Vec<i64> {
    let count = |body| if let ResultsBody::AnswersCounted(counted) = body { Some(counted.answered) } else { None };
    bodies(output).into_iter().filter_map(count).collect()
}

fn reason(output: &Output<Write>) -> Option<&'static str> {
    output.dead.first().map(|rejected| rejected.reason)
}

#[test]
fn the_board_waits_for_every_lane_and_for_the_close() {
    let mut bench = Bench::begin(2);
    for lane in 0..2 {
        let told = bodies(&bench.score(game(1), lane, 0, scored()));
        let only_counts = told.iter().all(|body| matches!(body, ResultsBody::AnswersCounted(_)));
        assert!(only_counts, "not before the close is read: {told:?}");
    }
    bench.session(QuestionStopping { question: 0, reason: StopReason::Host, closes_at_us: 1 });
    let told = bench.session(QuestionClosed { question: 0 });
    assert!(matches!(told[0], ResultsBody::BoardPublished(_)));
    assert!(told[1..].iter().all(|body| matches!(body, ResultsBody::OutcomesPublished(_))));
    assert_eq!(told.len(), 3, "one of outcomes for each lane, empty or not");
}

#[test]
fn a_game_that_expired_does_not_wait_for_its_lanes() {
    let mut bench = Bench::begin(1);
    bench.session(QuestionClosed { question: 0 });
    assert_eq!(bench.commit_points(), [0, 0]);
    let told = bench.session(GameOver { reason: OverReason::Expired });
    assert!(matches!(told.as_slice(), [ResultsBody::GameEnded(_)]));
    assert_eq!((bench.state.live_games(), bench.commit_points()), (0, [5, 0]));
    bench.score(game(1), 0, 0, scored());
    assert_eq!(bench.state.unclaimed_games(), 0, "a game that is over takes no reports");
    assert_eq!(bench.commit_points(), [5, 1]);
}

#[test]
fn a_game_that_ended_waits_for_its_last_board() {
    let mut bench = Bench::begin(1);
    bench.session(QuestionClosed { question: 0 });
    assert_eq!(bench.session(GameOver { reason: OverReason::Host }), vec![]);
    let output = bench.score(game(1), 0, 0, scored());
    let told = bodies(&output);
    assert!(matches!(told.first(), Some(ResultsBody::BoardPublished(_))));
    assert!(matches!(told.last(), Some(ResultsBody::GameEnded(_))));
    let view = output.write.iter().find_map(|write| if let Write::View(doc) = write { Some(doc) } else { None });
    assert!(view.is_some_and(|doc| doc.view.over.is_some()), "the last view is written");
}

#[test]
fn reports_that_make_no_sense_are_dead_letters() {
    let mut bench = Bench::begin(2);
    assert_eq!(reason(&bench.score(game(1), 2, 0, scored())), Some("lane_unknown"));
    assert_eq!(reason(&bench.score(game(1), 0, 2, scored())), Some("question_unknown"));
    let torn = LaneScored { part: 3, parts: 2, ..scored() };
    assert_eq!(reason(&bench.score(game(1), 0, 0, torn.clone())), Some("part_out_of_range"));
    assert_eq!(reason(&bench.score(game(9), 0, 0, torn)), Some("part_out_of_range"));
    let foreign = JoinsRecord {
        game: game(1),
        at_us: 1,
        edge: "e".into(),
        body: PlayerConnected { player: PlayerId::from_bits(5) }.into(),
    };
    assert_eq!(reason(&bench.read(foreign.into(), 1)), Some("foreign_topic"));
}

#[test]
fn counts_are_told_at_most_every_interval_and_the_last_one_is_not_lost() {
    let mut bench = Bench::begin(1);
    let counted = LaneCounted { closed: false };
    bench.score(game(1), 0, 0, counted.clone());
    bench.at_us = 1_000_000;
    assert_eq!(counts(&bench.score(game(1), 0, 0, counted.clone())), [1]);
    bench.at_us += 1;
    assert!(counts(&bench.score(game(1), 0, 0, counted.clone())).is_empty());
    assert!(counts(&bench.score(game(1), 0, 0, counted.clone())).is_empty());
    let due_us = 1_000_000 + COUNTED_INTERVAL_US;
    assert_eq!(BoardProjection.next_tick_us(&bench.state), Some(due_us));
    assert!(BoardProjection.tick(&mut bench.state, due_us - 1).is_empty());
    assert_eq!(counts(&BoardProjection.tick(&mut bench.state, due_us)), [3]);
    assert_eq!(BoardProjection.next_tick_us(&bench.state), None);
    bench.at_us = due_us + COUNTED_INTERVAL_US;
    assert!(counts(&bench.score(game(1), 0, 1, counted)).is_empty(), "not of a question that is not open");
}

#[test]
fn reports_of_unknown_games_are_held_within_bounds() {
    let mut bench = Bench::new();
    bench.at_us = 1_000;
    for n in 0..UNCLAIMED_GAMES_MAX as u64 + 20 {
        bench.score(game(100 + n), 0, 0, LaneCounted { closed: false });
    }
    assert_eq!(bench.state.unclaimed_games(), UNCLAIMED_GAMES_MAX);
    assert_eq!(bench.commit_points(), [0, 20], "the oldest are dropped");
    // A session record that is younger than the margin shows that they will never be met.
    bench.at_us = 1_000 + UNCLAIMED_MARGIN_US;
    bench.session(created(1));
    assert_eq!(bench.state.unclaimed_games(), UNCLAIMED_GAMES_MAX);
    bench.at_us += 1;
    bench.session(PlayerKicked { player: PlayerId::from_bits(1) });
    assert_eq!(bench.state.unclaimed_games(), 0);
    assert_eq!(bench.commit_points(), [0, bench.offsets[1]]);
}

#[test]
fn a_board_that_never_comes_is_given_up_within_bounds() {
    let mut bench = Bench::begin(1);
    bench.session(QuestionClosed { question: 0 });
    bench.session(QuestionSettled { question: 0 });
    let mut told = Vec::new();
    for _ in 0..WAITING_RECORDS_MAX {
        told.extend(bench.session(CommandRejected { reason: CommandRejection::QuestionOpen }));
    }
    assert_eq!(told.len(), WAITING_RECORDS_MAX, "all that waited is told");
    // The next question's board is exact all the same.
    bench.session(QuestionOpened { question: 1, deadline_us: 9 });
    bench.session(QuestionClosed { question: 1 });
    let told = bodies(&bench.score(game(1), 0, 1, scored()));
    assert!(matches!(&told[0], ResultsBody::BoardPublished(board) if board.question == 1 && board.last));
}

#[test]
fn who_waits_for_an_answer_gets_one_before_a_game_begins_and_after_its_end() {
    let refused = |reason| JoinsDecided {
        admitted: vec![],
        refused: vec![JoinRefusal { player: PlayerId::from_bits(8), reason }],
    };
    let mut bench = Bench::new();
    let told = bench.session(refused(RefusalReason::NoGame));
    assert!(matches!(&told[0], ResultsBody::LobbyChanged(lobby) if lobby.refused.len() == 1));
    bench.session(created(1));
    assert_eq!(bench.state.live_games(), 1, "it begins all the same");
    bench.session(GameOver { reason: OverReason::Host });
    assert!(matches!(bench.session(refused(RefusalReason::GameOver))[0], ResultsBody::LobbyChanged(_)));
    let late = bench.session(CommandRejected { reason: CommandRejection::GameOver });
    assert!(matches!(late[0], ResultsBody::CommandRefused(_)));
}

#[test]
fn every_counter_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Metric::ALL.map(Metric::name).into();
    assert_eq!(names.len(), Metric::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("quiz_board_") && name.ends_with("_total")));
}
