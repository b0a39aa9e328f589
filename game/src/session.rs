//! The session of one game: who plays, which question is open, and what happens next.
//!
//! Its state is the fold of the game's records in `quiz.sessions.v1` and of nothing else, so the
//! log is the state (I3). An input (a command, joins, a lane's report, time) leads to records; the
//! session folds each record as it is made, with the same [`Session::fold`] that a successor runs
//! over the log. What the lanes have reported of the question in play is the one thing that is not
//! folded: it is read again from `quiz.scores.v1` (see [`Session::scores_held_from`]).
//!
//! *One input, one effect (I2).* Every record names the input that led to it. An input at or below
//! the highest one that the fold has seen, of its topic, is skipped; an input that led to no record
//! leads to none when it is read again. And after any prefix of the records that one input leads
//! to, [`Session::tick`] does the rest.

mod command;
mod fold;
mod joins;
mod lanes;
mod lobby;
mod time;

use quiz_schemas::events::{
    AnswersRecord, Cause, GameSettings, LaneClosed, LaneOpened, OverReason, QuestionClosed, QuestionOpened,
    ScoresRecord, SessionsBody, SessionsRecord,
};
use quiz_schemas::quiz::{Question, Quiz};
use quiz_schemas::{AnyEvent, GameId, PlayerId, QuestionNo, Topic};

pub use joins::{JOINS_ROWS_MAX, JoinInput};
pub use lanes::{LANE_PARTS_MAX, Nonsense};
pub use lobby::{ADMITTED_PER_SEAT_MAX, Player, RETURN_MS};

use lanes::LaneWatch;
use lobby::Lobby;

/// From the stop of a question until its close markers, so that answers on their way still count.
/// None when everybody has answered.
pub const CLOSE_GRACE_MS: i64 = 300;

/// A game that nobody touches for this long is over: four hours.
pub const IDLE_MS_MAX: i64 = 4 * 60 * 60 * 1000;

/// The most lanes of a game.
pub const LANES_MAX: u16 = 1_000;

/// The most players of a game.
pub const CAPACITY_MAX: i32 = 200_000;

/// The longest pause before the server opens the next question by itself: ten minutes.
pub const AUTO_ADVANCE_MS_MAX: i32 = 600_000;

/// The most follow-ups of one input: all answered, closed, settled, opened. A bound that nothing reaches.
const STEPS_MAX: usize = 8;

/// What was pinned when the game was created.
#[derive(Clone, PartialEq, Debug)]
pub struct Setup {
    /// The quiz with its keys.
    pub quiz: Quiz,
    /// How it is played.
    pub settings: GameSettings,
}

/// Where a game stands in its course. All times are µs since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nothing happened yet.
    New,
    /// Created; no question has been asked.
    Lobby,
    /// A question takes answers.
    Open {
        /// Which.
        question: QuestionNo,
        /// When it stops by itself.
        deadline_us: i64,
    },
    /// A question takes no more answers; those on their way still count.
    Stopping {
        /// Which.
        question: QuestionNo,
        /// When its close markers follow.
        closes_at_us: i64,
    },
    /// The close markers are in the lanes; not every lane has reported.
    Closed {
        /// Which.
        question: QuestionNo,
    },
    /// Every lane has reported: the board is exact.
    Settled {
        /// Which.
        question: QuestionNo,
        /// Since when.
        settled_at_us: i64,
    },
    /// The game is over, or was never playable.
    Over,
}

/// The highest input per topic that led to a record; −1 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    commands: i64,
    joins: i64,
    scores: i64,
}

impl Seen {
    fn slot(&mut self, topic: Topic) -> Option<&mut i64> {
        match topic {
            Topic::Commands => Some(&mut self.commands),
            Topic::Joins => Some(&mut self.joins),
            Topic::Scores => Some(&mut self.scores),
            _ => None,
        }
    }
}

/// The state of one game. Two sessions are equal when they were folded from the same records and
/// have heard the same of their lanes.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    game: GameId,
    next_seq: i64,
    seen: Seen,
    touched_us: i64,
    /// None before the game is created and after it is over.
    setup: Option<Setup>,
    created: bool,
    over: Option<OverReason>,
    phase: Phase,
    /// How many questions have been opened: the number of the next one.
    asked: QuestionNo,
    /// What opens when the closed question is settled; past the last one, the game ends then.
    deferred: Option<QuestionNo>,
    lobby: Lobby,
    watch: LaneWatch,
}

fn cause(topic: Topic, offset: i64) -> Cause {
    Cause { topic: topic.name().into(), offset }
}

impl Session {
    /// A game of which nothing is known.
    #[must_use]
    pub fn new(game: GameId) -> Self {
        Self {
            game,
            next_seq: 0,
            seen: Seen { commands: -1, joins: -1, scores: -1 },
            touched_us: 0,
            setup: None,
            created: false,
            over: None,
            phase: Phase::New,
            asked: 0,
            deferred: None,
            lobby: Lobby::default(),
            watch: LaneWatch::default(),
        }
    }

    /// The game.
    #[must_use]
    pub fn game(&self) -> GameId {
        self.game
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether nothing more can happen in it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Why it is over; none while it is not, or when it was never playable.
    #[must_use]
    pub fn over_reason(&self) -> Option<OverReason> {
        self.over
    }

    /// The `seq` of its next record.
    #[must_use]
    pub fn next_seq(&self) -> i64 {
        self.next_seq
    }

    /// The quiz and the settings, while the game is on.
    #[must_use]
    pub fn setup(&self) -> Option<&Setup> {
        self.setup.as_ref()
    }

    /// Players admitted and not removed.
    #[must_use]
    pub fn players(&self) -> usize {
        self.lobby.players()
    }

    /// Those of them who are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.lobby.connected()
    }

    /// A player who was admitted and not removed.
    #[must_use]
    pub fn player(&self, player: PlayerId) -> Option<&Player> {
        self.lobby.player(player)
    }

    /// Whose answers the open question waits for: see [`Session::tick`]. A player who is removed while
    /// it is open still counts for it, for an answer of theirs may be among the lanes' counts:
    /// better to wait for the deadline than to cut off someone who has not answered.
    #[must_use]
    pub fn eligible(&self) -> usize {
        self.lobby.eligible()
    }

    /// The first record of `quiz.scores.v1` that a successor must read to know what the lanes have
    /// said of the question in play; none when no question is, or none was heard of it.
    #[must_use]
    pub fn scores_held_from(&self) -> Option<i64> {
        match self.phase {
            Phase::Open { .. } | Phase::Stopping { .. } | Phase::Closed { .. } => self.watch.first_offset(),
            Phase::New | Phase::Lobby | Phase::Settled { .. } | Phase::Over => None,
        }
    }

    /// Takes what a lane says: the record of `quiz.scores.v1` at `offset`. What it leads to (the early
    /// close, the settled question, the one that opens next) is appended to `out`.
    ///
    /// # Errors
    /// When the record makes no sense for this game; it has no effect then.
    pub fn scores(
        &mut self,
        offset: i64,
        record: &ScoresRecord,
        now_us: i64,
        out: &mut Vec<AnyEvent>,
    ) -> Result<(), Nonsense> {
        if offset <= self.seen.scores || self.current() != Some(record.question) {
            return Ok(());
        }
        self.watch.hear(offset, record)?;
        self.follow_up(Some(&cause(Topic::Scores, offset)), now_us, out);
        Ok(())
    }

    /// The question that is open, stopping or closed and not settled.
    fn current(&self) -> Option<QuestionNo> {
        match self.phase {
            Phase::Open { question, .. } | Phase::Stopping { question, .. } | Phase::Closed { question } => {
                Some(question)
            }
            Phase::New | Phase::Lobby | Phase::Settled { .. } | Phase::Over => None,
        }
    }

    /// Makes the next record, folds it, and appends it and its lane markers to `out`.
    fn emit(&mut self, body: SessionsBody, cause: Option<Cause>, now_us: i64, out: &mut Vec<AnyEvent>) {
        let record = SessionsRecord { game: self.game, seq: self.next_seq, at_us: now_us, cause, body };
        self.fold(&record);
        let (opened, closed) = match &record.body {
            SessionsBody::QuestionOpened(opened) => (Some(opened.clone()), None),
            SessionsBody::QuestionClosed(closed) => (None, Some(closed.clone())),
            _ => (None, None),
        };
        out.push(record.into());
        if let Some(opened) = opened {
            self.push_open_markers(&opened, now_us, out);
        }
        if let Some(closed) = closed {
            self.push_close_markers(&closed, now_us, out);
        }
    }

    fn push_open_markers(&self, opened: &QuestionOpened, now_us: i64, out: &mut Vec<AnyEvent>) {
        let setup = self.setup.as_ref().expect("a question opens only in a game that was created");
        let question = &setup.quiz.questions[usize::from(opened.question)];
        let marker = LaneOpened {
            question: opened.question,
            key: question.key.clone(),
            points_max: question.points_max,
            limit_us: limit_us(question),
            rule: setup.settings.rule.clone(),
            streaks: setup.settings.streaks,
            opened_at_us: now_us,
        };
        let lanes = 0..setup.settings.lanes;
        out.extend(lanes.map(|lane| AnswersRecord { game: self.game, lane, body: marker.clone().into() }.into()));
    }

    fn push_close_markers(&self, closed: &QuestionClosed, now_us: i64, out: &mut Vec<AnyEvent>) {
        let setup = self.setup.as_ref().expect("a question closes only in a game that was created");
        let marker = LaneClosed { question: closed.question, closed_at_us: now_us };
        let lanes = 0..setup.settings.lanes;
        out.extend(lanes.map(|lane| AnswersRecord { game: self.game, lane, body: marker.clone().into() }.into()));
    }
}

/// A question's time to answer, µs.
fn limit_us(question: &Question) -> i64 {
    i64::from(question.limit_ms).saturating_mul(1000)
}
