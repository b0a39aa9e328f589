//! What a host asks for. Every command leads to a record, if only one that refuses it: so a
//! command that is read twice has one effect, and every host gets an answer.

use quiz_schemas::events::{
    CommandRejected, CommandRejection, CommandsBody, CreateGame, GameCreated, GameOver, GameSettings, OpenDeferred,
    OverReason, PlayerKicked, QuestionOpened, QuestionStopping, SessionsBody, StopReason,
};
use quiz_schemas::{AnyEvent, PlayerId, QuestionNo, Topic};

use crate::rule::Rule;

use super::{AUTO_ADVANCE_MS_MAX, CAPACITY_MAX, CLOSE_GRACE_MS, LANES_MAX, Nonsense, Phase, Session, cause, limit_us};

impl Session {
    /// Takes the command at `offset` of `quiz.commands.v1`. What it leads to is appended to `out`.
    /// A kind of command from a newer writer is skipped.
    ///
    /// # Errors
    /// When the game was not created and this does not create it.
    pub fn command(
        &mut self,
        offset: i64,
        command: &CommandsBody,
        now_us: i64,
        out: &mut Vec<AnyEvent>,
    ) -> Result<(), Nonsense> {
        if offset <= self.seen.commands {
            return Ok(());
        }
        if self.phase == Phase::New && !matches!(command, CommandsBody::CreateGame(_)) {
            return Err(Nonsense::NoGame);
        }
        let cause = cause(Topic::Commands, offset);
        if let Some(body) = self.answer(command, now_us) {
            self.emit(body, Some(cause.clone()), now_us, out);
        }
        self.follow_up(Some(&cause), now_us, out);
        Ok(())
    }

    fn answer(&self, command: &CommandsBody, now_us: i64) -> Option<SessionsBody> {
        Some(match command {
            CommandsBody::CreateGame(create) => self.create(create),
            CommandsBody::Unknown => return None,
            _ if self.is_over() => reject(CommandRejection::GameOver),
            CommandsBody::OpenQuestion(open) => self.open(open.question, now_us),
            CommandsBody::CloseQuestion(close) => self.close(close.question, now_us),
            CommandsBody::KickPlayer(kick) => self.kick(kick.player),
            CommandsBody::EndGame(_) => self.end(now_us),
        })
    }

    fn create(&self, create: &CreateGame) -> SessionsBody {
        if self.phase != Phase::New {
            return reject(CommandRejection::GameExists);
        }
        if !is_playable(&create.settings) || crate::quiz::validate(&create.quiz).is_err() {
            return reject(CommandRejection::BadQuiz);
        }
        GameCreated { pin: create.pin, quiz: create.quiz.clone(), settings: create.settings.clone() }.into()
    }

    fn open(&self, asked_for: Option<QuestionNo>, now_us: i64) -> SessionsBody {
        if matches!(self.phase, Phase::Open { .. }) {
            return reject(CommandRejection::QuestionOpen);
        }
        if let Some(deferred) = self.deferred {
            let ends = deferred >= self.question_count();
            return reject(if ends { CommandRejection::GameOver } else { CommandRejection::QuestionOpen });
        }
        match asked_for {
            Some(question) if question == self.asked => {}
            Some(question) if question >= self.question_count() => return reject(CommandRejection::NoMoreQuestions),
            Some(_) => return reject(CommandRejection::StaleQuestion),
            None => {}
        }
        match self.phase {
            // The host has seen the question stop: the next one need not be asked for again.
            Phase::Stopping { .. } | Phase::Closed { .. } => OpenDeferred { question: self.asked }.into(),
            _ => self.open_or_end(self.asked, now_us),
        }
    }

    fn close(&self, asked_for: Option<QuestionNo>, now_us: i64) -> SessionsBody {
        let Phase::Open { question, .. } = self.phase else {
            return reject(CommandRejection::NoQuestionOpen);
        };
        if asked_for.is_some_and(|asked_for| asked_for != question) {
            return reject(CommandRejection::StaleQuestion);
        }
        stop(question, StopReason::Host, now_us)
    }

    fn kick(&self, player: PlayerId) -> SessionsBody {
        if self.lobby.player(player).is_none() {
            return reject(CommandRejection::NoPlayer);
        }
        PlayerKicked { player }.into()
    }

    fn end(&self, now_us: i64) -> SessionsBody {
        let count = self.question_count();
        match self.phase {
            Phase::Open { question, .. } => stop(question, StopReason::GameEnded, now_us),
            Phase::Stopping { .. } | Phase::Closed { .. } if self.deferred.is_some_and(|next| next >= count) => {
                reject(CommandRejection::GameOver)
            }
            // The last board comes first: the game ends when the question is settled.
            Phase::Stopping { .. } | Phase::Closed { .. } => OpenDeferred { question: count }.into(),
            _ => self.open_or_end(count, now_us),
        }
    }

    /// Opens a question, or ends the game when there is none with this number.
    pub(super) fn open_or_end(&self, question: QuestionNo, now_us: i64) -> SessionsBody {
        let found = self.setup.as_ref().and_then(|setup| setup.quiz.questions.get(usize::from(question)));
        match found {
            Some(found) => QuestionOpened { question, deadline_us: now_us.saturating_add(limit_us(found)) }.into(),
            None if self.asked >= self.question_count() => GameOver { reason: OverReason::Finished }.into(),
            None => GameOver { reason: OverReason::Host }.into(),
        }
    }
}

fn reject(reason: CommandRejection) -> SessionsBody {
    CommandRejected { reason }.into()
}

/// The question takes no more answers; its close markers follow after the grace, unless everybody
/// has answered and nothing can be on its way.
pub(super) fn stop(question: QuestionNo, reason: StopReason, now_us: i64) -> SessionsBody {
    let grace_ms = if reason == StopReason::AllAnswered { 0 } else { CLOSE_GRACE_MS };
    QuestionStopping { question, reason, closes_at_us: now_us.saturating_add(grace_ms * 1000) }.into()
}

fn is_playable(settings: &GameSettings) -> bool {
    (1..=LANES_MAX).contains(&settings.lanes)
        && (1..=CAPACITY_MAX).contains(&settings.capacity)
        && Rule::from_id(&settings.rule).is_some()
        && settings.auto_advance_ms.is_none_or(|pause_ms| (0..=AUTO_ADVANCE_MS_MAX).contains(&pause_ms))
}
