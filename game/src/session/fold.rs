//! From records to state. Total: what it does not know, it skips.

use quiz_schemas::events::{GameCreated, QuestionOpened, SessionsBody, SessionsRecord, StopReason};
use quiz_schemas::{QuestionNo, Topic};

use super::lanes::LaneWatch;
use super::lobby::Lobby;
use super::{Phase, Session, Setup};

impl Session {
    /// Takes one record of the game. A record below the next `seq` was folded before and is skipped.
    pub fn fold(&mut self, record: &SessionsRecord) {
        if record.game != self.game || record.seq < self.next_seq {
            return;
        }
        self.next_seq = record.seq + 1;
        self.touched_us = self.touched_us.max(record.at_us);
        if let Some(cause) = &record.cause {
            let slot = Topic::from_name(&cause.topic).and_then(|topic| self.seen.slot(topic));
            if let Some(highest) = slot {
                *highest = cause.offset.max(*highest);
            }
        }
        let begins = matches!(record.body, SessionsBody::GameCreated(_) | SessionsBody::CommandRejected(_));
        // Before it is created, or after it is over, nothing else happens to a game but that joins are
        // refused.
        if self.setup.is_some() || begins {
            self.fold_body(&record.body, record.at_us);
        }
    }

    fn fold_body(&mut self, body: &SessionsBody, at_us: i64) {
        match body {
            SessionsBody::GameCreated(created) => self.fold_created(created),
            SessionsBody::JoinsDecided(joins) => self.lobby.fold_joins(joins),
            SessionsBody::PresenceChanged(presence) => self.lobby.fold_presence(presence, at_us),
            SessionsBody::PlayerKicked(kicked) => self.lobby.fold_kick(kicked.player),
            SessionsBody::QuestionOpened(opened) => self.fold_opened(opened),
            SessionsBody::QuestionStopping(stopping) => {
                self.phase = Phase::Stopping { question: stopping.question, closes_at_us: stopping.closes_at_us };
                if stopping.reason == StopReason::GameEnded {
                    self.deferred = Some(self.question_count());
                }
            }
            SessionsBody::QuestionClosed(closed) => {
                self.phase = Phase::Closed { question: closed.question };
                self.lobby.stop_counting();
            }
            SessionsBody::QuestionSettled(settled) => {
                self.phase = Phase::Settled { question: settled.question, settled_at_us: at_us };
                self.watch = LaneWatch::default();
            }
            SessionsBody::OpenDeferred(deferred) => self.deferred = Some(deferred.question),
            SessionsBody::CommandRejected(_) => {
                // The game could not be created: its id is used up.
                if self.phase == Phase::New {
                    self.phase = Phase::Over;
                }
            }
            SessionsBody::GameOver(over) => {
                self.over = Some(over.reason);
                self.become_tombstone();
            }
            SessionsBody::Unknown => {}
        }
    }

    fn fold_created(&mut self, created: &GameCreated) {
        if self.phase != Phase::New {
            return;
        }
        self.created = true;
        self.phase = Phase::Lobby;
        self.setup = Some(Setup { quiz: created.quiz.clone(), settings: created.settings.clone() });
    }

    fn fold_opened(&mut self, opened: &QuestionOpened) {
        self.phase = Phase::Open { question: opened.question, deadline_us: opened.deadline_us };
        self.asked = opened.question.saturating_add(1);
        self.deferred = None;
        self.watch = LaneWatch::new(self.setup.as_ref().map_or(0, |setup| setup.settings.lanes));
        self.lobby.start_counting(opened.question);
    }

    /// Forgets all but what it takes to refuse late inputs.
    fn become_tombstone(&mut self) {
        self.phase = Phase::Over;
        self.setup = None;
        self.deferred = None;
        self.lobby = Lobby::default();
        self.watch = LaneWatch::default();
    }

    /// How many questions the quiz has.
    pub(super) fn question_count(&self) -> QuestionNo {
        let count = self.setup.as_ref().map_or(0, |setup| setup.quiz.questions.len());
        QuestionNo::try_from(count).unwrap_or(QuestionNo::MAX)
    }
}
