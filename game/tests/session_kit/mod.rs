//! A game at a table: its inputs by offset, its clock, and its log in short words.
#![allow(dead_code)]

use quiz_game::session::{JoinInput, Nonsense, Session};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz};
use quiz_schemas::{AnyEvent, EdgeId, GameId, Pin, PlayerId, Position, QuestionNo};

pub const START_US: i64 = 1_790_000_000_000_000;

pub fn game() -> GameId {
    GameId::from_bits(4711)
}

pub fn player(n: u64) -> PlayerId {
    PlayerId::from_bits(n)
}

pub fn edge(n: usize) -> EdgeId {
    format!("edge-{n}").into()
}

pub fn quiz(questions: usize) -> Quiz {
    let question = |no| Question {
        kind: QuestionKind::Single,
        prompt: format!("Question {no}?"),
        options: vec!["yes".into(), "no".into()],
        key: AnswerKey::Single { options: 2, correct: Picks::one(0) },
        points_max: 1000,
        limit_ms: 10_000,
        explanation: None,
    };
    Quiz { id: "q".into(), version: 1, title: "A quiz".into(), questions: (0..questions).map(question).collect() }
}

pub fn settings(lanes: u16, capacity: i32) -> GameSettings {
    GameSettings { lanes, capacity, rule: "speed-v1".into(), streaks: false, auto_advance_ms: None }
}

pub fn create(questions: usize, settings: GameSettings) -> CreateGame {
    CreateGame { pin: Pin::from_index(1), quiz: quiz(questions), settings }
}

pub fn join(n: u64, nickname: &str) -> JoinsBody {
    JoinRequested { player: player(n), nickname: nickname.into() }.into()
}

pub fn connected(n: u64) -> JoinsBody {
    PlayerConnected { player: player(n) }.into()
}

pub fn disconnected(n: u64, answered: Option<QuestionNo>) -> JoinsBody {
    PlayerDisconnected { player: player(n), answered }.into()
}

pub fn counted(lane: u16, question: QuestionNo, at: i64, scored: i64, late: i64) -> ScoresRecord {
    scores(lane, question, at, LaneCounts { received: scored + late, scored, late, ..LaneCounts::default() }, {
        LaneCounted { closed: false }
    })
}

pub fn reported(lane: u16, question: QuestionNo, at: i64, part: i32, parts: i32) -> ScoresRecord {
    let body = LaneScored { part, parts, distribution: vec![], outcomes: vec![] };
    scores(lane, question, at, LaneCounts::default(), body)
}

fn scores(lane: u16, question: QuestionNo, at: i64, counts: LaneCounts, body: impl Into<ScoresBody>) -> ScoresRecord {
    let position = Position { partition: 3, offset: at };
    ScoresRecord { game: game(), lane, question, position, counts, body: body.into() }
}

/// One game, driven by hand.
pub struct Table {
    pub session: Session,
    pub now_us: i64,
    pub log: Vec<AnyEvent>,
    offset: i64,
}

impl Table {
    pub fn new() -> Self {
        Self { session: Session::new(game()), now_us: START_US, log: Vec::new(), offset: 0 }
    }

    /// A table with its game created.
    pub fn with(questions: usize, settings: GameSettings) -> Self {
        let mut table = Self::new();
        assert_eq!(table.command(create(questions, settings)), "created");
        table
    }

    /// The next offset, of whichever topic.
    pub fn next_offset(&mut self) -> i64 {
        self.offset += 1;
        self.offset
    }

    pub fn command(&mut self, body: impl Into<CommandsBody>) -> String {
        let offset = self.next_offset();
        let mut out = Vec::new();
        let result = self.session.command(offset, &body.into(), self.now_us, &mut out);
        self.said(result, out)
    }

    pub fn joins(&mut self, bodies: &[JoinsBody]) -> String {
        self.joins_at(0, bodies)
    }

    /// Joins and presence as the `n`th edge tells them.
    pub fn joins_at(&mut self, n: usize, bodies: &[JoinsBody]) -> String {
        let edge = edge(n);
        let inputs: Vec<_> =
            bodies.iter().map(|body| JoinInput { offset: self.next_offset(), edge: &edge, body }).collect();
        let mut out = Vec::new();
        self.session.joins(&inputs, self.now_us, &mut out);
        self.said(Ok(()), out)
    }

    pub fn scores(&mut self, record: ScoresRecord) -> String {
        let offset = self.next_offset();
        let mut out = Vec::new();
        let result = self.session.scores(offset, &record, self.now_us, &mut out);
        self.said(result, out)
    }

    /// Lets time pass in one leap, then ticks.
    pub fn wait_ms(&mut self, wait_ms: i64) -> String {
        self.now_us += wait_ms * 1000;
        let mut out = Vec::new();
        self.session.tick(self.now_us, &mut out);
        self.said(Ok(()), out)
    }

    fn said(&mut self, result: Result<(), Nonsense>, out: Vec<AnyEvent>) -> String {
        let text = describe(&out);
        self.log.extend(out);
        match result {
            Ok(()) => text,
            Err(nonsense) => format!("{text}nonsense {}", nonsense.reason()),
        }
    }
}

/// Events in short words, joined by `; `. Markers in a row are summed up by their lanes.
pub fn describe(events: &[AnyEvent]) -> String {
    let mut words: Vec<String> = Vec::new();
    for event in events {
        match event {
            AnyEvent::Sessions(record) => words.push(describe_body(record)),
            AnyEvent::Answers(record) => {
                let marker = match &record.body {
                    AnswersBody::LaneOpened(opened) => format!("lanes open {} [", opened.question),
                    AnswersBody::LaneClosed(closed) => format!("lanes close {} [", closed.question),
                    other => panic!("the session writes markers only, not {other:?}"),
                };
                match words.last_mut() {
                    Some(last) if last.starts_with(&marker) => {
                        last.pop();
                        last.push_str(&format!(" {}]", record.lane));
                    }
                    _ => words.push(format!("{marker}{}]", record.lane)),
                }
            }
            other => panic!("the session does not write {other:?}"),
        }
    }
    words.join("; ")
}

fn describe_body(record: &SessionsRecord) -> String {
    let since = |at_us: i64| (at_us - record.at_us) / 1000;
    match &record.body {
        SessionsBody::GameCreated(_) => "created".into(),
        SessionsBody::JoinsDecided(joins) => {
            let admitted = joins.admitted.iter().map(|row| format!(" +{}={}", row.player.bits(), row.nickname));
            let refused = joins.refused.iter().map(|row| format!(" -{}={:?}", row.player.bits(), row.reason));
            format!("joins{}", admitted.chain(refused).collect::<String>())
        }
        SessionsBody::PresenceChanged(presence) => {
            let list = |sign: &str, players: &[PlayerId]| {
                players.iter().map(|player| format!(" {sign}{}", player.bits())).collect::<String>()
            };
            format!(
                "presence{}{}{}",
                list("+", &presence.connected),
                list("-", &presence.disconnected),
                list("!", &presence.answered)
            )
        }
        SessionsBody::PlayerKicked(kicked) => format!("kicked {}", kicked.player.bits()),
        SessionsBody::QuestionOpened(opened) => format!("opened {} for {}", opened.question, since(opened.deadline_us)),
        SessionsBody::QuestionStopping(stop) => {
            format!("stopping {} {:?} in {}", stop.question, stop.reason, since(stop.closes_at_us))
        }
        SessionsBody::QuestionClosed(closed) => format!("closed {}", closed.question),
        SessionsBody::QuestionSettled(settled) => format!("settled {}", settled.question),
        SessionsBody::OpenDeferred(deferred) => format!("deferred {}", deferred.question),
        SessionsBody::CommandRejected(rejected) => format!("rejected {:?}", rejected.reason),
        SessionsBody::GameOver(over) => format!("over {:?}", over.reason),
        SessionsBody::Unknown => "unknown".into(),
    }
}

/// The sessions records among events.
pub fn records(events: &[AnyEvent]) -> Vec<&SessionsRecord> {
    events.iter().filter_map(|event| if let AnyEvent::Sessions(record) = event { Some(record) } else { None }).collect()
}

/// What a successor knows: the fold of the log.
pub fn rebuilt(log: &[AnyEvent]) -> Session {
    let mut session = Session::new(game());
    for record in records(log) {
        session.fold(record);
    }
    session
}
