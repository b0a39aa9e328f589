//! Goal: whatever comes in, in whatever batches, read twice or after a crash, the session does what a naive model
//! says, and its log keeps the rules of a game.
//! Method: random inputs with duplicates; crashes after which a successor folds the log and reads
//! inputs again from any earlier offset; a model that takes inputs one by one over plain lists.

#[path = "session_model/naive.rs"]
mod naive;
mod session_kit;

use std::collections::{BTreeMap, BTreeSet};

use naive::Naive;
use proptest::prelude::*;
use quiz_game::session::{IDLE_MS_MAX, JoinInput, RETURN_MS, Session};
use quiz_schemas::events::*;
use quiz_schemas::{AnyEvent, EdgeId, QuestionNo};
use session_kit::*;

const LANES: u16 = 2;
const CAPACITY: i32 = 4;
const QUESTIONS: usize = 3;
const EDGES: usize = 3;
const NAMES: [&str; 7] = ["Ada", "ada", "Bob", "BOB", "Cy", "Dee", "Eve"];

#[derive(Clone, Debug)]
enum Op {
    Command(CommandsBody),
    /// Each with the number of the edge that tells it.
    Joins(Vec<(usize, JoinsBody)>),
    /// A lane has counted that many more first answers to the question in play.
    Count(u16, i64),
    /// A lane tells again what it told, under new offsets: a scoring worker came back.
    CountAgain(u16),
    /// A lane that was told to close reports a part.
    Report(u16, i32),
    WaitMs(i64),
    /// The newest inputs come twice.
    Again(usize),
    /// The worker dies; its successor reads that many inputs more than it must.
    Crash(usize, bool),
}

fn question() -> impl Strategy<Value = Option<QuestionNo>> {
    prop_oneof![3 => Just(None), 4 => (0..4u16).prop_map(Some)]
}

fn join_body() -> impl Strategy<Value = JoinsBody> {
    prop_oneof![
        4 => (1..8u64, 0..NAMES.len()).prop_map(|(n, name)| join(n, NAMES[name])),
        2 => (1..8u64).prop_map(connected),
        3 => (1..8u64, question()).prop_map(|(n, answered)| disconnected(n, answered)),
    ]
}

fn command_body() -> impl Strategy<Value = CommandsBody> {
    prop_oneof![
        1 => Just(create(QUESTIONS, settings(LANES, CAPACITY)).into()),
        20 => question().prop_map(|question| OpenQuestion { question }.into()),
        6 => question().prop_map(|question| CloseQuestion { question }.into()),
        3 => (1..8u64).prop_map(|n| KickPlayer { player: player(n) }.into()),
        1 => Just(EndGame { reason: None }.into()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => command_body().prop_map(Op::Command),
        12 => prop::collection::vec((0..EDGES, join_body()), 1..12).prop_map(Op::Joins),
        10 => (0..LANES, 0..3i64).prop_map(|(lane, more)| Op::Count(lane, more)),
        2 => (0..LANES).prop_map(Op::CountAgain),
        40 => (0..LANES, 0..2i32).prop_map(|(lane, part)| Op::Report(lane, part)),
        20 => prop::sample::select(vec![1, 299, 300, 300, 2_000, 5_000, RETURN_MS, 10_000]).prop_map(Op::WaitMs),
        1 => prop::sample::select(vec![IDLE_MS_MAX - 10_000, IDLE_MS_MAX]).prop_map(Op::WaitMs),
        5 => (1..20usize).prop_map(Op::Again),
        6 => (0..30usize, any::<bool>()).prop_map(|(back, joins_first)| Op::Crash(back, joins_first)),
    ]
}

/// Nobody has answered a question that was not asked.
fn possible(body: &JoinsBody, asked: Option<QuestionNo>) -> JoinsBody {
    let mut body = body.clone();
    if let JoinsBody::PlayerDisconnected(gone) = &mut body {
        gone.answered = gone.answered.filter(|question| asked.is_some_and(|asked| *question <= asked));
    }
    body
}

#[derive(Clone)]
enum Input {
    Command(CommandsBody),
    Join(EdgeId, JoinsBody),
    Scores(ScoresRecord),
}

/// The worker's world: topics, the live session, the model beside it.
struct World {
    session: Session,
    naive: Naive,
    /// All inputs; an input's offset is its index.
    inputs: Vec<Input>,
    log: Vec<AnyEvent>,
    now_us: i64,
    /// What the lanes have counted, oldest first, and their position.
    counted: Vec<ScoresRecord>,
    position: i64,
    to_report: BTreeSet<(u16, QuestionNo)>,
}

impl World {
    fn new(auto_advance_ms: Option<i32>) -> Self {
        let mut world = World {
            session: Session::new(game()),
            naive: Naive::new(QUESTIONS, LANES, CAPACITY, auto_advance_ms),
            inputs: Vec::new(),
            log: Vec::new(),
            now_us: START_US,
            counted: Vec::new(),
            position: 0,
            to_report: BTreeSet::new(),
        };
        let settings = GameSettings { auto_advance_ms, ..settings(LANES, CAPACITY) };
        world.run(&Op::Command(create(QUESTIONS, settings).into()));
        world
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Command(body) => self.take_new(vec![Input::Command(body.clone())]),
            Op::Joins(told) => {
                let asked = self.naive.asked();
                let input = |(n, body): &(usize, JoinsBody)| Input::Join(edge(*n), possible(body, asked));
                self.take_new(told.iter().map(input).collect());
            }
            Op::Count(lane, more) => self.count(*lane, *more),
            Op::CountAgain(lane) => {
                let again: Vec<_> = self.counted.iter().filter(|record| record.lane == *lane).cloned().collect();
                for record in again.into_iter().rev().take(3) {
                    self.take_new(vec![Input::Scores(record)]);
                }
            }
            Op::Report(lane, part) => {
                if let Some(&(lane, question)) = self.to_report.iter().find(|(of, _)| of == lane) {
                    self.position += 1;
                    self.take_new(vec![Input::Scores(reported(lane, question, self.position, *part, 2))]);
                }
            }
            Op::WaitMs(wait_ms) => {
                self.now_us += wait_ms * 1000;
                let mut out = Vec::new();
                self.session.tick(self.now_us, &mut out);
                let expected = self.naive.tick(self.now_us);
                self.compare(out, expected);
            }
            Op::Again(back) => {
                let from = self.inputs.len().saturating_sub(*back);
                let mut out = Vec::new();
                self.read(from, &mut out);
                assert_eq!(describe(&out), "", "an input had an effect twice");
            }
            Op::Crash(back, joins_first) => self.crash(*back, *joins_first),
        }
    }

    fn count(&mut self, lane: u16, more: i64) {
        let Some(question) = self.naive.question_open() else {
            return;
        };
        self.position += 1;
        let newest = self.counted.iter().rfind(|record| record.lane == lane && record.question == question);
        let before = newest.map_or(0, |record| record.counts.scored);
        // Every third answer is late: it is an answer all the same.
        let late = (before + more) / 3;
        let record = counted(lane, question, self.position, before + more, late);
        self.counted.push(record.clone());
        self.take_new(vec![Input::Scores(record)]);
    }

    fn take_new(&mut self, inputs: Vec<Input>) {
        let from = self.inputs.len();
        self.inputs.extend(inputs);
        let mut out = Vec::new();
        self.read(from, &mut out);
        let mut expected = naive::Said::default();
        for input in &self.inputs[from..] {
            match input {
                Input::Command(body) => self.naive.command(body, self.now_us, &mut expected),
                Input::Join(edge, body) => self.naive.join(edge, body, self.now_us, &mut expected),
                Input::Scores(record) => self.naive.scores(record, &mut expected),
            }
        }
        self.naive.follow(self.now_us, &mut expected);
        self.compare(out, expected);
    }

    /// Reads the inputs from an offset on. Joins that follow each other are one batch.
    fn read(&mut self, from: usize, out: &mut Vec<AnyEvent>) {
        let mut at = from;
        while at < self.inputs.len() {
            let mut joins = Vec::new();
            while let Some(Input::Join(edge, body)) = self.inputs.get(at) {
                joins.push(JoinInput { offset: at as i64, edge, body });
                at += 1;
            }
            self.session.joins(&joins, self.now_us, out);
            let offset = at as i64;
            match self.inputs.get(at) {
                Some(Input::Command(body)) => {
                    self.session.command(offset, body, self.now_us, out).expect("the game is there");
                }
                Some(Input::Scores(record)) => {
                    self.session.scores(offset, record, self.now_us, out).expect("the lanes are there");
                }
                Some(Input::Join(..)) | None => continue,
            }
            at += 1;
        }
    }

    fn crash(&mut self, back: usize, joins_first: bool) {
        let before = self.session.clone();
        let held = before.scores_held_from().map_or(self.inputs.len(), |offset| offset as usize);
        self.session = rebuilt(&self.log);
        let from = self.inputs.len().saturating_sub(back);
        let mut out = Vec::new();
        // The topics are read side by side: which comes first is chance.
        for joins in [joins_first, !joins_first] {
            for at in from..self.inputs.len() {
                match &self.inputs[at] {
                    Input::Join(edge, body) if joins => {
                        self.session.joins(&[JoinInput { offset: at as i64, edge, body }], self.now_us, &mut out);
                    }
                    Input::Command(body) if !joins => {
                        self.session.command(at as i64, body, self.now_us, &mut out).expect("the game is there");
                    }
                    _ => {}
                }
            }
        }
        for at in held.min(from)..self.inputs.len() {
            if let Input::Scores(record) = &self.inputs[at] {
                self.session.scores(at as i64, record, self.now_us, &mut out).expect("the lanes are there");
            }
        }
        self.session.tick(self.now_us, &mut out);
        assert_eq!(describe(&out), "", "a successor did it again");
        assert_eq!(self.session.phase(), before.phase());
        assert_eq!(self.session.next_seq(), before.next_seq());
        assert_eq!(self.session.next_tick_us(), before.next_tick_us());
        assert_eq!(self.session.eligible(), before.eligible());
    }

    fn compare(&mut self, out: Vec<AnyEvent>, expected: naive::Said) {
        assert_eq!(naive::said(&out), expected, "{}", describe(&out));
        for event in &out {
            if let AnyEvent::Answers(AnswersRecord { lane, body: AnswersBody::LaneClosed(closed), .. }) = event {
                self.to_report.insert((*lane, closed.question));
            }
            if let AnyEvent::Sessions(SessionsRecord { body: SessionsBody::QuestionSettled(settled), .. }) = event {
                self.to_report.retain(|&(_, question)| question != settled.question);
            }
        }
        self.log.extend(out);
        let players: Vec<_> =
            (0..9).filter_map(|n| self.session.player(player(n)).map(|row| (n, row.connected))).collect();
        assert_eq!(players, self.naive.players());
        let places: Vec<_> =
            (0..9).filter_map(|n| self.session.player(player(n)).map(|row| row.edge.clone())).collect();
        assert_eq!(places, self.naive.places());
        assert_eq!(self.session.eligible(), self.naive.eligible(self.now_us));
        assert_eq!(self.session.connected(), players.iter().filter(|(_, connected)| *connected).count());
    }
}

/// The rules of a game's log, whoever wrote it.
fn check_log(log: &[AnyEvent]) {
    let all = records(log);
    assert!(all.iter().enumerate().all(|(no, record)| record.seq == no as i64), "seq has a hole");
    let mut names = BTreeMap::new();
    let mut playing = BTreeSet::new();
    let mut in_play: Option<QuestionNo> = None;
    let mut next = 0;
    let mut markers: BTreeMap<(QuestionNo, bool), Vec<u16>> = BTreeMap::new();
    let mut over = false;
    for event in log {
        let body = match event {
            AnyEvent::Sessions(record) => &record.body,
            AnyEvent::Answers(AnswersRecord { lane, body: AnswersBody::LaneOpened(opened), .. }) => {
                assert_eq!(in_play, Some(opened.question));
                markers.entry((opened.question, true)).or_default().push(*lane);
                continue;
            }
            AnyEvent::Answers(AnswersRecord { lane, body: AnswersBody::LaneClosed(closed), .. }) => {
                assert_eq!(in_play, Some(closed.question));
                markers.entry((closed.question, false)).or_default().push(*lane);
                continue;
            }
            other => panic!("not the session's: {other:?}"),
        };
        assert!(!over || matches!(body, SessionsBody::JoinsDecided(_) | SessionsBody::CommandRejected(_)));
        match body {
            SessionsBody::JoinsDecided(joins) => {
                assert!(!over || joins.admitted.is_empty());
                for row in &joins.admitted {
                    let first = *names.entry(row.nickname.to_lowercase()).or_insert(row.player);
                    assert_eq!(first, row.player, "two players have one name");
                    playing.insert(row.player);
                }
                assert!(playing.len() <= CAPACITY as usize);
            }
            SessionsBody::PlayerKicked(kicked) => assert!(playing.remove(&kicked.player)),
            SessionsBody::QuestionOpened(opened) => {
                assert_eq!((in_play, opened.question), (None, next), "two questions, or out of order");
                in_play = Some(opened.question);
                next += 1;
            }
            SessionsBody::QuestionSettled(settled) => {
                assert_eq!(in_play.take(), Some(settled.question));
                assert!(markers.contains_key(&(settled.question, false)));
            }
            SessionsBody::GameOver(_) => over = true,
            _ => {}
        }
    }
    let lanes: Vec<u16> = (0..LANES).collect();
    assert!(markers.values().all(|told| *told == lanes), "each lane is told once: {markers:?}");
    assert_eq!(markers.keys().filter(|(_, open)| *open).count(), usize::from(next));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_session_does_what_the_naive_model_says(
        ops in prop::collection::vec(op(), 1..150),
        auto_advance_ms in prop::option::weighted(0.2, Just(2_000)),
    ) {
        let mut world = World::new(auto_advance_ms);
        for op in &ops {
            world.run(op);
        }
        world.run(&Op::Crash(usize::MAX, true));
        check_log(&world.log);
    }
}

#[test]
fn the_random_games_get_somewhere() {
    // Goal: the property above is not true for want of games. Method: count what its inputs lead to.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..300 {
        let ops = prop::collection::vec(op(), 150).new_tree(&mut runner).expect("ops can be made").current();
        let mut world = World::new(None);
        for op in &ops {
            world.run(op);
        }
        for record in records(&world.log) {
            let words = describe(&[record.clone().into()]);
            let kind: Vec<_> = words.split(' ').filter(|word| !word.starts_with(['+', '-', '!'])).take(3).collect();
            *seen.entry(kind.join(" ")).or_default() += 1;
        }
    }
    for kind in [
        "settled 2",
        "stopping 0 AllAnswered",
        "stopping 1 Host",
        "stopping 0 Deadline",
        "stopping 0 GameEnded",
        "deferred 1",
        "deferred 3",
        "over Host",
        "over Finished",
        "over Expired",
        "kicked 1",
        "presence",
    ] {
        assert!(seen.get(kind).is_some_and(|&count| count >= 3), "{kind} is too rare: {seen:?}");
    }
}
