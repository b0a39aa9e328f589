//! One live game: its session's records in order, its lanes' reports, and the results they lead to.

use super::metric::Metric;
use super::outbox::Outbox;
use super::partition::Unclaimed;
use super::{COUNTED_INTERVAL_US, OUTCOME_ROWS_MAX, WAITING_RECORDS_MAX};
use quiz_game::board::{BOARD_ROWS, PODIUM_ROWS, Reports, Roster};
use quiz_game::quiz::question_view;
use quiz_game::view::{EventId, GameView};
use quiz_schemas::events::*;
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{GameId, LaneKey, LaneNo, QuestionNo};
use quiz_store::{BoardDoc, StandingsDoc, Write};
use quiz_stream::Record;
use std::collections::VecDeque;

/// A live game. Not `Debug`: it holds the answer keys (I8).
pub(super) struct Game {
    id: GameId,
    first_session: i64,
    first_score: Option<i64>,
    quiz: Quiz,
    lanes: LaneNo,
    next_seq: i64,
    roster: Roster,
    reports: Reports,
    view: GameView,
    /// Records that are not folded yet, with their broker's timestamps: they wait for the board of
    /// the closed question.
    waiting: VecDeque<(SessionsRecord, i64)>,
    closed: Option<Closed>,
    count: Count,
    over: bool,
}

/// A question that is closed and has no board yet.
#[derive(Clone, Copy)]
struct Closed {
    question: QuestionNo,
    /// Who is on the board is who was in the game at this record.
    seq: i64,
    at_us: i64,
}

/// How many have answered the question in play, and what was told of it. Volatile.
#[derive(Default)]
struct Count {
    question: Option<QuestionNo>,
    told: i64,
    /// Not before this time.
    next_at_us: i64,
    /// The broker's timestamp of the newest count.
    at_us: i64,
}

impl Game {
    /// The game that `created`, in `session`, began, with what was held for it.
    pub(super) fn new(
        record: &Record,
        session: &SessionsRecord,
        created: &GameCreated,
        held: Option<Unclaimed>,
    ) -> Self {
        let (reports, first_score) = held.map_or_else(Default::default, |held| (held.reports, Some(held.first_offset)));
        Self {
            id: session.game,
            first_session: record.offset,
            first_score,
            quiz: created.quiz.clone(),
            lanes: created.settings.lanes,
            next_seq: session.seq,
            roster: Roster::default(),
            reports,
            view: GameView::new(session.game),
            waiting: VecDeque::new(),
            closed: None,
            count: Count::default(),
            over: false,
        }
    }

    pub(super) fn view(&self) -> &GameView {
        &self.view
    }

    pub(super) fn into_view(self) -> GameView {
        self.view
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn first_session(&self) -> i64 {
        self.first_session
    }

    pub(super) fn first_score(&self) -> Option<i64> {
        self.first_score
    }

    pub(super) fn rows_held(&self) -> usize {
        self.reports.rows_held()
    }

    /// Takes the next record of the game's session; one that was taken before is skipped.
    pub(super) fn take_session(&mut self, record: &Record, session: &SessionsRecord, out: &mut Outbox) {
        if session.seq < self.next_seq {
            return;
        }
        self.next_seq = session.seq + 1;
        self.waiting.push_back((session.clone(), record.appended_at_us));
        self.advance(out);
    }

    /// Takes a lane's report.
    pub(super) fn take_score(&mut self, record: &Record, score: &ScoresRecord, out: &mut Outbox) {
        self.first_score.get_or_insert(record.offset);
        if score.lane >= self.lanes {
            return out.reject(record, "lane_unknown");
        }
        if usize::from(score.question) >= self.quiz.questions.len() {
            return out.reject(record, "question_unknown");
        }
        if let Err(misreport) = self.reports.take(score, record.appended_at_us) {
            return out.reject(record, misreport.reason());
        }
        if self.count.question == Some(score.question) {
            self.count.at_us = self.count.at_us.max(record.appended_at_us);
            out.counted.insert(self.id);
        }
        if matches!(score.body, ScoresBody::LaneScored(_)) {
            self.advance(out);
        }
    }
    /// Drops the reports of the earliest question held; false when none are.
    pub(super) fn drop_earliest(&mut self, out: &mut Outbox) -> bool {
        let dropped = self.reports.drop_earliest().is_some();
        self.advance(out);
        dropped
    }

    /// Tells the hosts how many have answered, or returns when that may be told.
    pub(super) fn tell_count(&mut self, now_us: i64, out: &mut Outbox) -> Option<i64> {
        let question = self.count.question?;
        let answered = self.reports.counted(question).scored;
        if answered == self.count.told {
            return None;
        }
        if now_us < self.count.next_at_us {
            return Some(self.count.next_at_us);
        }
        self.count.told = answered;
        self.count.next_at_us = now_us.saturating_add(COUNTED_INTERVAL_US);
        let body = AnswersCounted { question, answered }.into();
        out.passing(ResultsRecord { game: self.id, at_us: self.count.at_us, event_id: None, body });
        None
    }

    /// Does all that can be done now: the closed question's board, then the records that wait.
    fn advance(&mut self, out: &mut Outbox) {
        while !self.over {
            self.settle_if_ready(out);
            let Some((next, _)) = self.waiting.front() else { return };
            if let Some(closed) = self.closed.filter(|_| follows_board(&next.body)) {
                let hopeless = self.reports.lost(closed.question) || self.waiting.len() > WAITING_RECORDS_MAX;
                if !hopeless {
                    return;
                }
                self.skip_board(closed.question);
            }
            if let Some((session, at_us)) = self.waiting.pop_front() {
                self.fold(session, at_us, out);
            }
        }
        // What came behind the end while the end itself waited.
        for result in self.waiting.drain(..).filter_map(|(session, _)| refusals(&session)) {
            out.passing(result);
        }
    }

    /// What a record of the session leads to by itself.
    fn fold(&mut self, session: SessionsRecord, appended_at_us: i64, out: &mut Outbox) {
        let SessionsRecord { seq, at_us, body, .. } = session;
        let result: ResultsBody = match body {
            SessionsBody::GameCreated(created) => self.opened(&created).into(),
            SessionsBody::JoinsDecided(joins) => self.joined(joins, seq).into(),
            SessionsBody::PresenceChanged(presence) => self.presence(&presence).into(),
            SessionsBody::PlayerKicked(kicked) => {
                self.roster.kick(kicked.player, seq);
                LobbyChanged { kicked: vec![kicked.player], ..self.lobby() }.into()
            }
            SessionsBody::QuestionOpened(opened) => match self.shown(&opened, at_us, out) {
                Some(shown) => shown.into(),
                None => return,
            },
            SessionsBody::QuestionStopping(stopping) => {
                QuestionStopped { question: stopping.question, reason: stopping.reason }.into()
            }
            SessionsBody::QuestionClosed(closed) => {
                self.closed = Some(Closed { question: closed.question, seq, at_us: appended_at_us });
                return;
            }
            SessionsBody::CommandRejected(rejected) => CommandRefused { reason: rejected.reason }.into(),
            SessionsBody::GameOver(over) => self.ended(over.reason, seq).into(),
            SessionsBody::QuestionSettled(_) | SessionsBody::OpenDeferred(_) | SessionsBody::Unknown => return,
        };
        self.tell(EventId::Session(seq), at_us, result, out);
    }

    fn tell(&mut self, id: EventId, at_us: i64, body: ResultsBody, out: &mut Outbox) {
        let record = ResultsRecord { game: self.id, at_us, event_id: Some(id.text()), body };
        self.view.fold(&record);
        out.durable(record);
    }

    fn opened(&self, created: &GameCreated) -> GameOpened {
        GameOpened {
            pin: created.pin,
            title: created.quiz.title.clone(),
            questions: created.quiz.questions.len() as i32,
            lanes: created.settings.lanes,
            capacity: created.settings.capacity,
        }
    }

    fn lobby(&self) -> LobbyChanged {
        LobbyChanged {
            admitted: Vec::new(),
            refused: Vec::new(),
            kicked: Vec::new(),
            players: self.roster.players(),
            connected: self.roster.connected(),
        }
    }

    fn joined(&mut self, joins: JoinsDecided, seq: i64) -> LobbyChanged {
        for player in &joins.admitted {
            self.roster.admit(player.player, &player.nickname, player.lane, seq);
        }
        let admitted = joins.admitted.into_iter();
        let admitted = admitted.map(|player| LobbyPlayer { player: player.player, nickname: player.nickname });
        LobbyChanged { admitted: admitted.collect(), refused: joins.refused, ..self.lobby() }
    }

    fn presence(&mut self, presence: &PresenceChanged) -> LobbyChanged {
        for &player in &presence.connected {
            self.roster.set_connected(player, true);
        }
        for &player in &presence.disconnected {
            self.roster.set_connected(player, false);
        }
        self.lobby()
    }

    fn shown(&mut self, opened: &QuestionOpened, opened_at_us: i64, out: &mut Outbox) -> Option<QuestionShown> {
        let question = self.quiz.questions.get(usize::from(opened.question))?;
        let view = question_view(question);
        self.count = Count { question: Some(opened.question), next_at_us: self.count.next_at_us, ..Count::default() };
        // Counts may have been read before this record was.
        out.counted.insert(self.id);
        Some(QuestionShown { question: opened.question, view, opened_at_us, deadline_us: opened.deadline_us })
    }

    fn ended(&mut self, reason: OverReason, seq: i64) -> GameEnded {
        self.over = true;
        let standing = self.reports.standing(&self.roster, seq);
        GameEnded { reason, players: standing.players(), top: standing.top(PODIUM_ROWS) }
    }

    fn skip_board(&mut self, question: QuestionNo) {
        self.reports.give_up(question);
        self.closed = None;
        self.count.question = None;
        Metric::BoardsSkipped.count();
    }

    /// The barrier (I7): the closed question's board, once every lane has reported it.
    fn settle_if_ready(&mut self, out: &mut Outbox) {
        let lanes = self.lanes;
        let Some(closed) = self.closed.filter(|closed| self.reports.ready(closed.question, lanes)) else { return };
        self.closed = None;
        self.count.question = None;
        let tally = self.reports.settle(closed.question);
        let standing = self.reports.standing(&self.roster, closed.seq);
        let outcomes = standing.outcomes(lanes);
        let (players, top) = (standing.players(), standing.top(BOARD_ROWS));
        // Not the time of whichever record was read last: a replay tells the same.
        let at_us = tally.at_us.max(closed.at_us);
        let doc =
            BoardDoc { game: self.id, question: closed.question, players, answered: tally.answered, top: top.clone() };
        out.write(Write::Board(doc));
        if let Some(board) = self.board(closed.question, tally, players, top) {
            self.tell(EventId::Board(closed.question), at_us, board.into(), out);
            Metric::BoardsPublished.count();
        }
        for (lane, outcomes) in outcomes.into_iter().enumerate() {
            self.tell_outcomes(closed.question, lane as LaneNo, at_us, outcomes, out);
        }
    }

    fn board(
        &self,
        number: QuestionNo,
        tally: quiz_game::board::Tally,
        players: i32,
        top: Vec<BoardRow>,
    ) -> Option<BoardPublished> {
        let question = self.quiz.questions.get(usize::from(number))?;
        let mut distribution = tally.distribution;
        distribution.resize(distribution.len().max(question.options.len()), 0);
        Some(BoardPublished {
            question: number,
            key: question.key.clone(),
            explanation: question.explanation.clone(),
            distribution,
            answered: tally.answered,
            correct: tally.correct,
            players,
            top,
            last: usize::from(number) + 1 == self.quiz.questions.len(),
        })
    }

    fn tell_outcomes(
        &mut self,
        question: QuestionNo,
        lane: LaneNo,
        at_us: i64,
        outcomes: Vec<Outcome>,
        out: &mut Outbox,
    ) {
        let parts = outcomes.len().div_ceil(OUTCOME_ROWS_MAX).max(1);
        for part in 0..parts {
            let from = part * OUTCOME_ROWS_MAX;
            let rows = outcomes[from..outcomes.len().min(from + OUTCOME_ROWS_MAX)].to_vec();
            let body = OutcomesPublished { question, part: part as i32, parts: parts as i32, outcomes: rows };
            self.tell(EventId::Outcomes(question, lane), at_us, body.into(), out);
        }
        let lane = LaneKey { game: self.id, lane };
        out.write(Write::Standings(StandingsDoc { lane, question, outcomes }));
    }
}

/// Whether a record comes behind the board of the question that was closed before it. A game that
/// nobody touched for hours does not wait for lanes that never reported.
fn follows_board(body: &SessionsBody) -> bool {
    match body {
        SessionsBody::QuestionSettled(_) | SessionsBody::QuestionOpened(_) | SessionsBody::QuestionClosed(_) => true,
        SessionsBody::GameOver(over) => over.reason != OverReason::Expired,
        _ => false,
    }
}

/// What a record of a game that is not live tells those who wait for an answer; none when it tells
/// of a game that is on.
pub(super) fn refusals(session: &SessionsRecord) -> Option<ResultsRecord> {
    let body = match &session.body {
        SessionsBody::JoinsDecided(joins) if joins.admitted.is_empty() => LobbyChanged {
            admitted: Vec::new(),
            refused: joins.refused.clone(),
            kicked: Vec::new(),
            players: 0,
            connected: 0,
        }
        .into(),
        SessionsBody::CommandRejected(rejected) => CommandRefused { reason: rejected.reason }.into(),
        _ => return None,
    };
    let event_id = Some(EventId::Session(session.seq).text());
    Some(ResultsRecord { game: session.game, at_us: session.at_us, event_id, body })
}
