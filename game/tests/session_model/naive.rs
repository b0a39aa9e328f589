//! A session as one would write it in an hour: plain lists, one input at a time, nothing counted ahead.

use quiz_schemas::events::*;
use quiz_schemas::{AnyEvent, EdgeId, QuestionNo};

const GRACE_US: i64 = 300_000;
const IDLE_US: i64 = 4 * 3600 * 1_000_000;
const LIMIT_US: i64 = 10_000_000;
const RETURN_US: i64 = 8_000_000;

/// What one transaction says. Joins and presence of a batch may be cut into records in many ways, so of them only
/// the rows count, and that there was any record.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    admitted: Vec<(u64, String)>,
    refused: Vec<(u64, RefusalReason)>,
    other: Vec<String>,
}

/// The same, of the real thing.
pub fn said(events: &[AnyEvent]) -> Said {
    let mut said = Said::default();
    for event in events {
        let AnyEvent::Sessions(record) = event else {
            continue;
        };
        let word = match &record.body {
            SessionsBody::JoinsDecided(joins) => {
                for row in &joins.admitted {
                    let row = (row.player.bits(), row.nickname.clone());
                    if !said.admitted.contains(&row) {
                        said.admitted.push(row);
                    }
                }
                said.refused.extend(joins.refused.iter().map(|row| (row.player.bits(), row.reason)));
                continue;
            }
            SessionsBody::PresenceChanged(_) => continue,
            SessionsBody::GameCreated(_) => "created".into(),
            SessionsBody::PlayerKicked(kicked) => format!("kicked {}", kicked.player.bits()),
            SessionsBody::QuestionOpened(opened) => format!("opened {} until {}", opened.question, opened.deadline_us),
            SessionsBody::QuestionStopping(stop) => {
                format!("stopping {} {:?} until {}", stop.question, stop.reason, stop.closes_at_us)
            }
            SessionsBody::QuestionClosed(closed) => format!("closed {}", closed.question),
            SessionsBody::QuestionSettled(settled) => format!("settled {}", settled.question),
            SessionsBody::OpenDeferred(deferred) => format!("deferred {}", deferred.question),
            SessionsBody::CommandRejected(rejected) => format!("rejected {:?}", rejected.reason),
            SessionsBody::GameOver(over) => format!("over {:?}", over.reason),
            SessionsBody::Unknown => "unknown".into(),
        };
        said.other.push(word);
    }
    said
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Nothing,
    Waiting,
    Open { until_us: i64 },
    Stopping { until_us: i64 },
    Closed,
    Over,
}

struct Row {
    player: u64,
    name: String,
    /// Where a socket of theirs is open.
    at: Option<EdgeId>,
    /// When they left last.
    left_us: Option<i64>,
    /// Known to have answered the question in play.
    answered: bool,
    removed: bool,
    /// Removed while a question was open, when an answer of theirs may have been counted.
    may_have_answered: bool,
}

pub struct Naive {
    questions: usize,
    lanes: u16,
    capacity: i32,
    auto_advance_us: Option<i64>,
    state: State,
    /// The latest question opened.
    question: Option<QuestionNo>,
    settled_at_us: i64,
    after: Option<&'static str>,
    rows: Vec<Row>,
    counts: Vec<(u16, i64, i64)>,
    parts: Vec<(u16, i32)>,
    touched_us: i64,
    /// A join or a presence of the batch in hand changed something.
    touched: bool,
}

impl Naive {
    pub fn new(questions: usize, lanes: u16, capacity: i32, auto_advance_ms: Option<i32>) -> Self {
        Self {
            questions,
            lanes,
            capacity,
            auto_advance_us: auto_advance_ms.map(|ms| i64::from(ms) * 1000),
            state: State::Nothing,
            question: None,
            settled_at_us: 0,
            after: None,
            rows: Vec::new(),
            counts: Vec::new(),
            parts: Vec::new(),
            touched_us: 0,
            touched: false,
        }
    }

    pub fn question_open(&self) -> Option<QuestionNo> {
        if matches!(self.state, State::Open { .. } | State::Stopping { .. }) { self.question } else { None }
    }

    /// The latest question asked.
    pub fn asked(&self) -> Option<QuestionNo> {
        self.question
    }

    pub fn players(&self) -> Vec<(u64, bool)> {
        if self.state == State::Over {
            return Vec::new();
        }
        let mut players: Vec<_> =
            self.rows.iter().filter(|row| !row.removed).map(|row| (row.player, row.at.is_some())).collect();
        players.sort_unstable();
        players
    }

    /// Where each player is, in the order of [`Naive::players`].
    pub fn places(&self) -> Vec<Option<EdgeId>> {
        let players = self.players();
        let row = |player| self.rows.iter().find(|row| row.player == player).expect("a player has a row");
        players.into_iter().map(|(player, _)| row(player).at.clone()).collect()
    }

    pub fn eligible(&self, now_us: i64) -> usize {
        if self.state == State::Over {
            return 0;
        }
        let open = self.question_open().is_some();
        let counts = |row: &&Row| {
            let returns = row.left_us.is_some_and(|left_us| now_us < left_us + RETURN_US);
            if row.removed {
                open && row.may_have_answered
            } else {
                row.at.is_some() || returns || (open && row.answered)
            }
        };
        self.rows.iter().filter(counts).count()
    }

    pub fn command(&mut self, body: &CommandsBody, now_us: i64, said: &mut Said) {
        let word = self.answer(body, now_us);
        said.other.push(word);
        self.touched_us = now_us;
    }

    fn answer(&mut self, body: &CommandsBody, now_us: i64) -> String {
        let next = self.question.map_or(0, |question| question + 1);
        match (body, self.state) {
            (CommandsBody::CreateGame(_), State::Nothing) => {
                self.state = State::Waiting;
                "created".into()
            }
            (CommandsBody::CreateGame(_), _) => "rejected GameExists".into(),
            (_, State::Over) => "rejected GameOver".into(),
            (CommandsBody::OpenQuestion(_), State::Open { .. }) => "rejected QuestionOpen".into(),
            (CommandsBody::OpenQuestion(_), _) if self.after == Some("end") => "rejected GameOver".into(),
            (CommandsBody::OpenQuestion(_), _) if self.after == Some("open") => "rejected QuestionOpen".into(),
            (CommandsBody::OpenQuestion(open), _) if open.question.is_some_and(|asked| asked != next) => {
                let past = usize::from(open.question.expect("it is some")) >= self.questions;
                if past { "rejected NoMoreQuestions".into() } else { "rejected StaleQuestion".into() }
            }
            (CommandsBody::OpenQuestion(_), State::Waiting) => self.open_next(now_us),
            (CommandsBody::OpenQuestion(_), _) => {
                self.after = Some(if usize::from(next) < self.questions { "open" } else { "end" });
                format!("deferred {next}")
            }
            (CommandsBody::CloseQuestion(close), State::Open { .. }) => {
                if close.question.is_some() && close.question != self.question {
                    return "rejected StaleQuestion".into();
                }
                self.stop("Host", now_us + GRACE_US)
            }
            (CommandsBody::CloseQuestion(_), _) => "rejected NoQuestionOpen".into(),
            (CommandsBody::KickPlayer(kick), _) => self.kick(kick.player.bits()),
            (CommandsBody::EndGame(_), State::Open { .. }) => {
                self.after = Some("end");
                self.stop("GameEnded", now_us + GRACE_US)
            }
            (CommandsBody::EndGame(_), State::Waiting) => self.end(),
            (CommandsBody::EndGame(_), _) if self.after == Some("end") => "rejected GameOver".into(),
            (CommandsBody::EndGame(_), _) => {
                self.after = Some("end");
                format!("deferred {}", self.questions)
            }
            (CommandsBody::Unknown, _) => unreachable!("the test makes none"),
        }
    }

    fn kick(&mut self, player: u64) -> String {
        let open = self.question_open().is_some();
        match self.rows.iter_mut().find(|row| row.player == player && !row.removed) {
            None => "rejected NoPlayer".into(),
            Some(row) => {
                row.removed = true;
                row.may_have_answered = open && (row.at.is_some() || row.answered);
                format!("kicked {player}")
            }
        }
    }

    fn open_next(&mut self, now_us: i64) -> String {
        let next = self.question.map_or(0, |question| question + 1);
        if usize::from(next) >= self.questions {
            return self.end();
        }
        self.question = Some(next);
        self.after = None;
        self.counts.clear();
        self.parts.clear();
        for row in &mut self.rows {
            row.answered = false;
            row.may_have_answered = false;
        }
        self.state = State::Open { until_us: now_us + LIMIT_US };
        format!("opened {next} until {}", now_us + LIMIT_US)
    }

    fn stop(&mut self, why: &str, until_us: i64) -> String {
        self.state = State::Stopping { until_us };
        format!("stopping {} {why} until {until_us}", self.question.expect("one is open"))
    }

    fn end(&mut self) -> String {
        self.state = State::Over;
        let asked = self.question.map_or(0, |question| usize::from(question) + 1);
        if asked >= self.questions { "over Finished".into() } else { "over Host".into() }
    }

    pub fn join(&mut self, edge: &EdgeId, body: &JoinsBody, now_us: i64, said: &mut Said) {
        let open = self.question_open();
        match body {
            JoinsBody::JoinRequested(join) => {
                let player = join.player.bits();
                match self.admit(player, &join.nickname, edge) {
                    Ok(name) => {
                        if !said.admitted.contains(&(player, name.clone())) {
                            said.admitted.push((player, name));
                        }
                    }
                    Err(reason) => said.refused.push((player, reason)),
                }
            }
            JoinsBody::PlayerConnected(connected) => {
                if let Some(row) = self.row(connected.player.bits())
                    && row.at.as_ref() != Some(edge)
                {
                    row.at = Some(edge.clone());
                    self.touched = true;
                }
            }
            JoinsBody::PlayerDisconnected(gone) => {
                let answered = open.is_some() && gone.answered == open;
                if let Some(row) = self.row(gone.player.bits()) {
                    let (learns, leaves) = (answered && !row.answered, row.at.as_ref() == Some(edge));
                    row.answered |= answered;
                    // A zombie edge never counts out a player who is elsewhere.
                    if leaves {
                        row.at = None;
                        row.left_us = Some(now_us);
                    }
                    self.touched |= learns || leaves;
                }
            }
            JoinsBody::Unknown => {}
        }
    }

    fn admit(&mut self, player: u64, nickname: &str, edge: &EdgeId) -> Result<String, RefusalReason> {
        if self.state == State::Over {
            return Err(RefusalReason::GameOver);
        }
        if let Some(row) = self.rows.iter_mut().find(|row| row.player == player) {
            if row.removed {
                return Err(RefusalReason::Banned);
            }
            row.at = Some(edge.clone());
            let name = row.name.clone();
            self.touched = true;
            return Ok(name);
        }
        let here = self.rows.iter().filter(|row| !row.removed).count();
        if here >= self.capacity as usize || self.rows.len() >= 2 * self.capacity as usize {
            return Err(RefusalReason::Full);
        }
        if self.rows.iter().any(|row| row.name.eq_ignore_ascii_case(nickname)) {
            return Err(RefusalReason::NicknameTaken);
        }
        let name = nickname.to_string();
        self.rows.push(Row {
            player,
            name: name.clone(),
            at: Some(edge.clone()),
            left_us: None,
            answered: false,
            removed: false,
            may_have_answered: false,
        });
        Ok(name)
    }

    fn row(&mut self, player: u64) -> Option<&mut Row> {
        let over = self.state == State::Over;
        self.rows.iter_mut().find(|row| row.player == player && !row.removed && !over)
    }

    pub fn scores(&mut self, record: &ScoresRecord, _: &mut Said) {
        let in_play = !matches!(self.state, State::Nothing | State::Waiting | State::Over);
        if !in_play || self.question != Some(record.question) {
            return;
        }
        match &record.body {
            ScoresBody::LaneCounted(_) => {
                self.counts.push((record.lane, record.position.offset, record.counts.scored + record.counts.late));
            }
            ScoresBody::LaneScored(scored) => self.parts.push((record.lane, scored.part)),
            ScoresBody::LaneStored(_) | ScoresBody::Unknown => {}
        }
    }

    /// What follows of itself.
    pub fn follow(&mut self, now_us: i64, said: &mut Said) {
        if self.touched || !said.admitted.is_empty() || !said.refused.is_empty() {
            self.touched_us = now_us;
            self.touched = false;
        }
        while let Some(word) = self.next_word(now_us) {
            said.other.push(word);
            self.touched_us = now_us;
        }
    }

    fn next_word(&mut self, now_us: i64) -> Option<String> {
        let question = self.question.unwrap_or_default();
        match self.state {
            State::Open { .. } if self.has_everybody_answered(now_us) => Some(self.stop("AllAnswered", now_us)),
            State::Stopping { until_us } if until_us <= now_us => {
                self.state = State::Closed;
                Some(format!("closed {question}"))
            }
            State::Closed
                if (0..self.lanes).all(|lane| [0, 1].iter().all(|&part| self.parts.contains(&(lane, part)))) =>
            {
                self.state = State::Waiting;
                self.settled_at_us = now_us;
                Some(format!("settled {question}"))
            }
            State::Waiting => match self.after {
                Some("open") => Some(self.open_next(now_us)),
                Some(_) => Some(self.end()),
                None => None,
            },
            _ => None,
        }
    }

    fn has_everybody_answered(&self, now_us: i64) -> bool {
        let eligible = self.eligible(now_us) as i64;
        eligible > 0 && self.answered() >= eligible
    }

    fn answered(&self) -> i64 {
        let newest = |lane: u16| self.counts.iter().filter(|count| count.0 == lane).max_by_key(|count| count.1);
        (0..self.lanes).filter_map(newest).map(|count| count.2).sum()
    }

    pub fn tick(&mut self, now_us: i64) -> Said {
        let mut said = Said::default();
        match self.state {
            State::Open { until_us } if until_us <= now_us && !self.has_everybody_answered(now_us) => {
                let word = self.stop("Deadline", now_us + GRACE_US);
                said.other.push(word);
                self.touched_us = now_us;
            }
            State::Waiting
                if self.question.is_some()
                    && self.auto_advance_us.is_some_and(|pause_us| self.settled_at_us + pause_us <= now_us) =>
            {
                let word = self.open_next(now_us);
                said.other.push(word);
                self.touched_us = now_us;
            }
            _ => {}
        }
        self.follow(now_us, &mut said);
        if !matches!(self.state, State::Nothing | State::Over) && self.touched_us + IDLE_US <= now_us {
            self.state = State::Over;
            said.other.push("over Expired".into());
        }
        said
    }
}
