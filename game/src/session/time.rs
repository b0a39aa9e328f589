//! What time alone demands, and what follows of itself.

use quiz_schemas::AnyEvent;
use quiz_schemas::events::{Cause, GameOver, OverReason, QuestionClosed, QuestionSettled, SessionsBody, StopReason};

use super::command::stop;
use super::{IDLE_MS_MAX, Phase, STEPS_MAX, Session};

impl Session {
    /// Does what is due at `now_us`: stops a question at its deadline, writes close markers after the
    /// grace, opens the next question by itself, ends a game that nobody touches. What it leads to is
    /// appended to `out`. Earlier than [`Session::next_tick_us`] it does nothing.
    ///
    /// A question also stops when everybody has answered: when the lanes' newest counts of first
    /// answers add up to [`Session::eligible`] players, which are those connected now, those who left
    /// less than [`RETURN_MS`](super::RETURN_MS) ago, and those who left after answering. Nobody at all
    /// is not everybody.
    pub fn tick(&mut self, now_us: i64, out: &mut Vec<AnyEvent>) {
        self.lobby.give_up(now_us);
        for _ in 0..STEPS_MAX {
            let Some(body) = self.due(now_us).or_else(|| self.timed(now_us)) else {
                return;
            };
            self.emit(body, None, now_us, out);
        }
    }

    /// When [`Session::tick`] has something to do at the latest, µs since 1970.
    #[must_use]
    pub fn next_tick_us(&self) -> Option<i64> {
        let idle_us = self.touched_us.saturating_add(IDLE_MS_MAX * 1000);
        let own_us = match self.phase {
            Phase::New | Phase::Over => return None,
            Phase::Lobby | Phase::Closed { .. } => None,
            Phase::Open { deadline_us, .. } => {
                Some(self.lobby.next_given_up_us().map_or(deadline_us, |given_up_us| given_up_us.min(deadline_us)))
            }
            Phase::Stopping { closes_at_us, .. } => Some(closes_at_us),
            Phase::Settled { settled_at_us, .. } if self.deferred.is_some() => Some(settled_at_us),
            Phase::Settled { settled_at_us, .. } => self.pause_us().map(|pause_us| settled_at_us + pause_us),
        };
        Some(own_us.map_or(idle_us, |own_us| own_us.min(idle_us)))
    }

    /// Emits what follows of an input. Only the direct effect of it names it as its cause.
    pub(super) fn follow_up(&mut self, cause: Option<&Cause>, now_us: i64, out: &mut Vec<AnyEvent>) {
        self.lobby.give_up(now_us);
        for _ in 0..STEPS_MAX {
            let Some(body) = self.due(now_us) else {
                return;
            };
            let direct = matches!(body, SessionsBody::QuestionStopping(_) | SessionsBody::QuestionSettled(_));
            self.emit(body, cause.filter(|_| direct).cloned(), now_us, out);
        }
    }

    /// What follows of the state as it is.
    fn due(&self, now_us: i64) -> Option<SessionsBody> {
        match self.phase {
            Phase::Open { question, .. } if self.has_everybody_answered() => {
                Some(stop(question, StopReason::AllAnswered, now_us))
            }
            Phase::Stopping { question, closes_at_us } if closes_at_us <= now_us => {
                Some(QuestionClosed { question }.into())
            }
            Phase::Closed { question } if self.watch.is_complete() => Some(QuestionSettled { question }.into()),
            Phase::Settled { .. } => self.deferred.map(|next| self.open_or_end(next, now_us)),
            _ => None,
        }
    }

    fn has_everybody_answered(&self) -> bool {
        let eligible = i64::try_from(self.lobby.eligible()).unwrap_or(i64::MAX);
        eligible > 0 && self.watch.answered() >= eligible
    }

    /// What only the clock demands.
    fn timed(&self, now_us: i64) -> Option<SessionsBody> {
        if self.next_tick_us().is_none_or(|tick_us| now_us < tick_us) {
            return None;
        }
        match self.phase {
            Phase::Open { question, deadline_us } if deadline_us <= now_us => {
                return Some(stop(question, StopReason::Deadline, now_us));
            }
            Phase::Settled { settled_at_us, .. } if self.pause_us().is_some_and(|us| settled_at_us + us <= now_us) => {
                return Some(self.open_or_end(self.asked, now_us));
            }
            _ => {}
        }
        let idle = self.touched_us.saturating_add(IDLE_MS_MAX * 1000) <= now_us;
        idle.then(|| GameOver { reason: OverReason::Expired }.into())
    }

    /// The pause before the next question opens by itself, µs.
    fn pause_us(&self) -> Option<i64> {
        let pause_ms = self.setup.as_ref()?.settings.auto_advance_ms?;
        Some(i64::from(pause_ms) * 1000)
    }
}
