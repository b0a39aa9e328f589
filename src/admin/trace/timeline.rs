//! Records to traces: no I/O and no clock.

use std::collections::BTreeMap;

use quiz_game::lane::{Lane, LaneEffect};
use quiz_game::view::EventId;
use quiz_schemas::events::{
    AnswersBody, AnswersRecord, EdgeDelivered, ResultDelivered, ResultsBody, ResultsRecord, ScoresBody, ScoresRecord,
    SessionsBody, TalliesBody, TalliesRecord,
};
use quiz_schemas::{AnyEvent, EdgeId, GameId, LaneNo, PlayerId, QuestionNo, SubmissionId};
use quiz_stream::Record;
use serde::Serialize;

/// A place that an answer passes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// An edge has received it.
    EdgeIn,
    /// It is in the log.
    Appended,
    /// Its lane has the close marker.
    Closed,
    /// Its lane has reported.
    Scored,
    /// Its lane has announced that the store holds it.
    Stored,
    /// The question's board is in the log.
    Board,
    /// The player's outcome is in the log.
    Result,
    /// The edge has written the outcome to its sockets.
    EdgeOut,
}

impl Hop {
    /// All, in the order in which they are shown.
    pub const ALL: [Hop; 8] =
        [Hop::EdgeIn, Hop::Appended, Hop::Closed, Hop::Scored, Hop::Stored, Hop::Board, Hop::Result, Hop::EdgeOut];

    /// What the time before it is.
    #[must_use]
    pub const fn part(self) -> Part {
        match self {
            Hop::Closed => Part::Open,
            Hop::Stored | Hop::Board => Part::Branch,
            _ => Part::Way,
        }
    }

    /// Whose clock stamps it.
    #[must_use]
    pub const fn clock(self) -> Clock {
        match self {
            Hop::EdgeIn | Hop::EdgeOut => Clock::Edge,
            _ => Clock::Broker,
        }
    }
}

/// What the time before a hop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Latency on the way to the player.
    Way,
    /// The question was open: no latency.
    Open,
    /// Beside the way, since the lane's report; not in the sum.
    Branch,
}

/// Whose clock stamps a hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The edge's wall clock, to the µs.
    Edge,
    /// The broker's (LogAppendTime), to the ms.
    Broker,
}

/// A hop of one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// Which.
    pub hop: Hop,
    /// What the time before it is.
    pub part: Part,
    /// Whose clock says when.
    pub clock: Clock,
    /// When, µs since 1970; none when no record says so.
    pub at_us: Option<i64>,
    /// Since the hop before it on the way that is known; of a branch since the lane's report. Below 0 when the
    /// clocks differ by more.
    pub since_us: Option<i64>,
}

/// The way of one answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Trace {
    /// The game.
    pub game: GameId,
    /// The question.
    pub question: QuestionNo,
    /// Who answered.
    pub player: PlayerId,
    /// Under which id.
    pub submission: SubmissionId,
    /// In which lane.
    pub lane: LaneNo,
    /// The edge that took it.
    pub edge_in: EdgeId,
    /// The edge that told the outcome, when it says so.
    pub edge_out: Option<EdgeId>,
    /// What that edge says of the outcomes of the lane: the hop is the last of its sockets.
    pub delivered: Option<ResultDelivered>,
    /// One for each of [`Hop::ALL`].
    pub steps: Vec<Step>,
    /// From the first hop to the last that is known, µs.
    pub whole_us: i64,
    /// Of that the question was open, µs.
    pub open_us: i64,
    /// The rest, µs.
    pub latency_us: i64,
}

impl Trace {
    /// Whether every hop is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.steps.iter().all(|step| step.at_us.is_some())
    }
}

/// How a time spreads over the answers of a game. By nearest rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HopSpread {
    /// The hop; none for the sum of all on the way without the open question.
    pub hop: Option<Hop>,
    /// Answers of which it is known.
    pub answers: usize,
    /// Half of them are not above, µs.
    pub p50_us: i64,
    /// 99 of 100 are not above, µs.
    pub p99_us: i64,
    /// The highest, µs.
    pub max_us: i64,
}

/// How the hops spread over the answers of a game.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Spread {
    /// The game.
    pub game: GameId,
    /// Answers that were scored.
    pub answers: usize,
    /// Those of which every hop is known.
    pub complete: usize,
    /// In the order of [`Hop::ALL`], and the sum.
    pub hops: Vec<HopSpread>,
}

#[derive(Debug)]
struct Answer {
    lane: LaneNo,
    submission: SubmissionId,
    edge: EdgeId,
    received_us: i64,
    appended_us: i64,
}

/// The lane's report of a question: when each part first came.
#[derive(Debug, Default)]
struct Report {
    parts: BTreeMap<i32, i64>,
    of: i32,
}

#[derive(Debug)]
struct Outcomes {
    /// Offsets of the record: it may be published again.
    offsets: Vec<i64>,
    appended_us: i64,
    /// Ascending.
    players: Vec<PlayerId>,
}

/// What the records of a game say of time. Topics may come in any order, each topic in its own.
pub struct Timeline {
    game: GameId,
    lanes: Option<LaneNo>,
    states: BTreeMap<LaneNo, Lane>,
    answers: BTreeMap<(QuestionNo, PlayerId), Answer>,
    closed: BTreeMap<(QuestionNo, LaneNo), i64>,
    reports: BTreeMap<(QuestionNo, LaneNo), Report>,
    /// Announcements of each lane in the order of the log: question, when, and where the question opened.
    stored: BTreeMap<LaneNo, Vec<(QuestionNo, i64, i64)>>,
    boards: BTreeMap<QuestionNo, i64>,
    /// By question, lane and part.
    outcomes: BTreeMap<(QuestionNo, LaneNo, i32), Outcomes>,
    /// At which edge each player came to be, and when.
    presence: BTreeMap<PlayerId, Vec<(i64, EdgeId)>>,
    delivered: BTreeMap<(QuestionNo, EdgeId), EdgeDelivered>,
}

impl Timeline {
    /// Of a game of which no record has been read.
    #[must_use]
    pub fn new(game: GameId) -> Self {
        Self {
            game,
            lanes: None,
            states: BTreeMap::new(),
            answers: BTreeMap::new(),
            closed: BTreeMap::new(),
            reports: BTreeMap::new(),
            stored: BTreeMap::new(),
            boards: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            presence: BTreeMap::new(),
            delivered: BTreeMap::new(),
        }
    }

    /// How many lanes the game has; none before its creation was read.
    #[must_use]
    pub fn lanes(&self) -> Option<LaneNo> {
        self.lanes
    }

    /// Where the question's open marker stands in the lane's partition, if the lane has said so.
    #[must_use]
    pub fn opened_offset(&self, lane: LaneNo, question: QuestionNo) -> Option<i64> {
        let told = self.stored.get(&lane)?.iter().find(|(of, _, offset)| *of == question && *offset >= 0)?;
        Some(told.2)
    }

    /// Folds a record in; those of other games have no effect.
    pub fn take(&mut self, record: &Record) {
        let at_us = record.appended_at_us;
        match &record.event {
            AnyEvent::Sessions(session) if session.game == self.game => self.session(&session.body, at_us),
            AnyEvent::Answers(answers) if answers.game == self.game => self.answer(answers, at_us),
            AnyEvent::Scores(score) if score.game == self.game => self.score(score, at_us),
            AnyEvent::Results(result) if result.game == self.game => self.result(result, record.offset, at_us),
            AnyEvent::Tallies(tally) if tally.game == self.game => self.tally(tally),
            _ => {}
        }
    }

    fn session(&mut self, body: &SessionsBody, at_us: i64) {
        match body {
            SessionsBody::GameCreated(created) => self.lanes = Some(created.settings.lanes),
            SessionsBody::JoinsDecided(joins) => {
                let at = joins.admitted.iter().filter_map(|row| Some((row.player, row.edge.clone()?)));
                self.arrive(at, at_us);
            }
            SessionsBody::PresenceChanged(changed) => {
                self.arrive(changed.connected.iter().copied().zip(changed.edges.iter().cloned()), at_us);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, players: impl Iterator<Item = (PlayerId, EdgeId)>, at_us: i64) {
        for (player, edge) in players {
            self.presence.entry(player).or_default().push((at_us, edge));
        }
    }

    fn answer(&mut self, record: &AnswersRecord, at_us: i64) {
        let lane = record.lane;
        let effect = self.states.entry(lane).or_default().apply(&record.body);
        match (&record.body, effect) {
            (AnswersBody::AnswerSubmitted(given), LaneEffect::Scored(_)) => {
                let answer = Answer {
                    lane,
                    submission: given.submission,
                    edge: given.edge.clone(),
                    received_us: given.received_at_us,
                    appended_us: at_us,
                };
                self.answers.entry((given.question, given.player)).or_insert(answer);
            }
            (AnswersBody::LaneClosed(closed), LaneEffect::Closed(_)) => {
                self.closed.entry((closed.question, lane)).or_insert(at_us);
            }
            _ => {}
        }
    }

    fn score(&mut self, record: &ScoresRecord, at_us: i64) {
        match &record.body {
            ScoresBody::LaneScored(scored) => {
                let report = self.reports.entry((record.question, record.lane)).or_default();
                report.of = scored.parts;
                report.parts.entry(scored.part).or_insert(at_us);
            }
            ScoresBody::LaneStored(stored) => {
                let told = (record.question, at_us, stored.opened_offset);
                self.stored.entry(record.lane).or_default().push(told);
            }
            _ => {}
        }
    }

    fn result(&mut self, record: &ResultsRecord, offset: i64, at_us: i64) {
        match &record.body {
            ResultsBody::BoardPublished(board) => {
                self.boards.entry(board.question).or_insert(at_us);
            }
            ResultsBody::OutcomesPublished(batch) => {
                let id = record.event_id.as_deref().and_then(|id| id.parse().ok());
                let Some(EventId::Outcomes(question, lane)) = id else { return };
                let outcomes = self.outcomes.entry((question, lane, batch.part)).or_insert_with(|| {
                    let mut players: Vec<PlayerId> = batch.outcomes.iter().map(|outcome| outcome.player).collect();
                    players.sort_unstable();
                    Outcomes { offsets: Vec::new(), appended_us: at_us, players }
                });
                outcomes.offsets.push(offset);
            }
            _ => {}
        }
    }

    fn tally(&mut self, record: &TalliesRecord) {
        let TalliesBody::EdgeDelivered(told) = &record.body else { return };
        let held = self.delivered.entry((told.question, record.edge.clone())).or_insert_with(|| told.clone());
        if held.version < told.version {
            *held = told.clone();
        }
    }

    /// The way of the player's answer to the question; none when they have none that was scored.
    #[must_use]
    pub fn trace(&self, player: PlayerId, question: QuestionNo) -> Option<Trace> {
        self.answers.get(&(question, player)).map(|answer| self.trace_of(player, question, answer))
    }

    fn trace_of(&self, player: PlayerId, question: QuestionNo, answer: &Answer) -> Trace {
        let lane = answer.lane;
        let of_lane = self.outcomes.range((question, lane, i32::MIN)..=(question, lane, i32::MAX));
        let outcomes =
            of_lane.map(|(_, outcomes)| outcomes).find(|outcomes| outcomes.players.binary_search(&player).is_ok());
        let out = outcomes.and_then(|outcomes| self.edge_out(player, question, answer, outcomes));
        let report = self.reports.get(&(question, lane));
        let whole = report.filter(|report| i32::try_from(report.parts.len()).is_ok_and(|parts| parts >= report.of));
        let stored = self.stored.get(&lane).and_then(|told| told.iter().find(|(of, ..)| *of >= question));
        let at_us = |hop| match hop {
            Hop::EdgeIn => Some(answer.received_us),
            Hop::Appended => Some(answer.appended_us),
            Hop::Closed => self.closed.get(&(question, lane)).copied(),
            Hop::Scored => whole.and_then(|report| report.parts.values().copied().max()),
            Hop::Stored => stored.map(|(_, at_us, _)| *at_us),
            Hop::Board => self.boards.get(&question).copied(),
            Hop::Result => outcomes.map(|outcomes| outcomes.appended_us),
            Hop::EdgeOut => out.as_ref().map(|(_, told)| told.last_us),
        };
        let steps = steps(at_us);
        let sum = |part| steps.iter().filter(|step| step.part == part).filter_map(|step| step.since_us).sum();
        let (latency_us, open_us): (i64, i64) = (sum(Part::Way), sum(Part::Open));
        Trace {
            game: self.game,
            question,
            player,
            submission: answer.submission,
            lane,
            edge_in: answer.edge.clone(),
            edge_out: out.as_ref().map(|(edge, _)| edge.clone()),
            delivered: out.map(|(_, told)| told),
            steps,
            whole_us: latency_us + open_us,
            open_us,
            latency_us,
        }
    }

    /// Where the player was when the outcome was published, as the sessions say; else where they answered.
    fn edge_out(
        &self,
        player: PlayerId,
        question: QuestionNo,
        answer: &Answer,
        outcomes: &Outcomes,
    ) -> Option<(EdgeId, ResultDelivered)> {
        let arrivals = self.presence.get(&player).map(Vec::as_slice).unwrap_or_default();
        let there = arrivals.iter().rev().find(|(at_us, _)| *at_us <= outcomes.appended_us).map(|(_, edge)| edge);
        there.into_iter().chain([&answer.edge]).find_map(|edge| {
            let told = self.delivered.get(&(question, edge.clone()))?;
            let result = told.results.iter().find(|result| outcomes.offsets.contains(&result.at))?;
            Some((edge.clone(), *result))
        })
    }

    /// How each hop spreads over all answers.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let mut times: BTreeMap<Option<Hop>, Vec<i64>> = BTreeMap::new();
        let mut complete = 0;
        for (&(question, player), answer) in &self.answers {
            let trace = self.trace_of(player, question, answer);
            for step in &trace.steps {
                times.entry(Some(step.hop)).or_default().extend(step.since_us);
            }
            if trace.is_complete() {
                complete += 1;
                times.entry(None).or_default().push(trace.latency_us);
            }
        }
        let hops = Hop::ALL.into_iter().skip(1).map(Some).chain([None]);
        let hops = hops.map(|hop| spread_of(hop, times.remove(&hop).unwrap_or_default())).collect();
        Spread { game: self.game, answers: self.answers.len(), complete, hops }
    }
}

/// Each hop and the time since the one before it that is known; of a branch since the lane's report.
fn steps(at_us: impl Fn(Hop) -> Option<i64>) -> Vec<Step> {
    let mut before = None;
    let step = |hop: Hop| {
        let (now_us, part) = (at_us(hop), hop.part());
        let from_us = if part == Part::Branch { at_us(Hop::Scored) } else { before };
        if part != Part::Branch {
            before = now_us.or(before);
        }
        let since_us = now_us.zip(from_us).map(|(now_us, from_us)| now_us - from_us);
        Step { hop, part, clock: hop.clock(), at_us: now_us, since_us }
    };
    Hop::ALL.into_iter().map(step).collect()
}

fn spread_of(hop: Option<Hop>, mut times: Vec<i64>) -> HopSpread {
    times.sort_unstable();
    let rank =
        |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
    HopSpread { hop, answers: times.len(), p50_us: rank(50), p99_us: rank(99), max_us: rank(100) }
}
