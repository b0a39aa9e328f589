//! Answers: timed, appended, acknowledged; sent again they have no second effect.

use super::fit::fitting;
use super::*;
use crate::limits::{
    ANSWERS_IN_FLIGHT_MAX, APPEND_RETRY_AFTER_MS, CLOCK_RETRY_AFTER_MS, LOOKUP_RETRY_AFTER_MS, LOOKUPS_IN_FLIGHT_MAX,
    TAKEN_AFTER_MS,
};
use crate::protocol::{Ack, Answer, Taken};
use crate::token::{Signer, TakenAnswer};
use quiz_schemas::LaneKey;
use quiz_schemas::events::{AnswerSubmitted, AnswersRecord};
use quiz_schemas::quiz::Response;
use smol_str::SmolStr;

/// An answer on its way to the log.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    seat: Arc<Seat>,
    question: QuestionNo,
    submission: SubmissionId,
    elapsed_us: i64,
    /// For the proof, which is made when it is needed: most answers are acknowledged before that.
    response: Response,
    /// When the client is told that it was taken; none when it has been.
    taken_due_ms: Option<u64>,
}

impl Pending {
    fn proof(&self, signer: &Signer) -> SmolStr {
        let Self { seat, question, submission, elapsed_us, response, .. } = self;
        let (game, player) = (seat.game, seat.player);
        let taken = TakenAnswer { game, question: *question, player, submission: *submission, response };
        signer.prove(&taken, *elapsed_us)
    }
}

impl Connection {
    pub(super) fn on_answer(&mut self, around: &Surroundings, answer: Answer, now: Now, out: &mut Vec<Action>) {
        let replying = Replying { submission: Some(answer.submission), id: None };
        let Phase::Player(seat) = &self.phase else {
            refuse(ErrorCode::NotJoined, replying, out);
            return;
        };
        let seat = Arc::clone(seat);
        if let Some(acked) = self.acked.filter(|acked| is_resend(acked, &answer)) {
            self.tally(acked.question, Tally::Repeated, out);
            return send_ack(around, &seat, acked, out);
        }
        let Answer { question, submission, response, proof } = answer;
        let response = match self.check(question, response) {
            Ok(response) => response,
            Err(ErrorCode::QuestionClosed) if self.may_be_logged(question, proof.is_some()) => {
                return self.look_up(seat, question, submission, out);
            }
            Err(code) => {
                self.tally(question, Tally::Refused, out);
                return refuse(code, replying, out);
            }
        };
        if self.pending.len() >= ANSWERS_IN_FLIGHT_MAX as usize {
            self.tally(question, Tally::Refused, out);
            return send_error(
                ErrorMessage::new(ErrorCode::RateLimited, replying).retry_after(RATE_RETRY_AFTER_MS),
                out,
            );
        }
        let taken = TakenAnswer { game: seat.game, question, player: seat.player, submission, response: &response };
        let Some(elapsed_us) = elapsed_us(around, &taken, proof.as_deref(), now, out) else {
            self.tally(question, Tally::Unavailable, out);
            let error = ErrorMessage::new(ErrorCode::Unavailable, replying);
            return send_error(error.retry_after(CLOCK_RETRY_AFTER_MS), out);
        };
        let taken_due_ms = Some(now.mono_ms + TAKEN_AFTER_MS);
        let logged = Logged { player: seat.player, question, submission, elapsed_us };
        out.push(append(around, &seat, logged, response.clone(), now));
        self.pending.push(Pending { seat, question, submission, elapsed_us, response, taken_due_ms });
    }

    fn check(&self, question: QuestionNo, response: Response) -> Result<Response, ErrorCode> {
        let Some(shown) = self.shown else {
            return Err(if self.over { ErrorCode::GameOver } else { ErrorCode::QuestionUnknown });
        };
        if question > shown.question {
            return Err(ErrorCode::QuestionUnknown);
        }
        if question < shown.question || !shown.accepting {
            return Err(ErrorCode::QuestionClosed);
        }
        fitting(shown.kind, shown.options, response).ok_or(ErrorCode::ResponseMisfit)
    }

    /// Whether an answer to a closed question may be in the log already: it was sent before, as its
    /// proof says, or the player had the question on another socket. All others are late.
    fn may_be_logged(&self, question: QuestionNo, has_proof: bool) -> bool {
        has_proof || self.live_from.is_none_or(|first| question < first)
    }

    fn look_up(&mut self, seat: Arc<Seat>, question: QuestionNo, submission: SubmissionId, out: &mut Vec<Action>) {
        if self.lookups_in_flight >= LOOKUPS_IN_FLIGHT_MAX {
            self.tally(question, Tally::Refused, out);
            let replying = Replying { submission: Some(submission), id: None };
            let error = ErrorMessage::new(ErrorCode::RateLimited, replying);
            return send_error(error.retry_after(LOOKUP_RETRY_AFTER_MS), out);
        }
        self.lookups_in_flight += 1;
        let settled = self.settled.is_some_and(|settled| settled >= question)
            || self.shown.is_some_and(|shown| shown.question > question);
        out.push(Action::LookUp { seat, question, submission, settled });
    }

    pub(super) fn on_looked_up(
        &mut self,
        around: &Surroundings,
        question: QuestionNo,
        submission: SubmissionId,
        found: LookedUp,
        out: &mut Vec<Action>,
    ) {
        self.lookups_in_flight = self.lookups_in_flight.saturating_sub(1);
        let Phase::Player(seat) = &self.phase else { return };
        let seat = Arc::clone(seat);
        let replying = Replying { submission: Some(submission), id: None };
        match found {
            LookedUp::Stored { position, elapsed_us } => {
                let acked = Acked { question, submission, position, elapsed_us };
                self.remember(acked);
                self.tally(question, Tally::Repeated, out);
                send_ack(around, &seat, acked, out);
            }
            LookedUp::NotStored => {
                self.tally(question, Tally::Refused, out);
                refuse(ErrorCode::QuestionClosed, replying, out);
            }
            LookedUp::Unknown => {
                self.tally(question, Tally::Unavailable, out);
                let error = ErrorMessage::new(ErrorCode::Unavailable, replying);
                send_error(error.retry_after(LOOKUP_RETRY_AFTER_MS), out);
            }
        }
    }

    pub(super) fn on_answer_appended(
        &mut self,
        around: &Surroundings,
        logged: Logged,
        result: Result<Position, Unavailable>,
        out: &mut Vec<Action>,
    ) {
        let Logged { player, question, submission, elapsed_us } = logged;
        let is_it = |pending: &Pending| pending.question == question && pending.submission == submission;
        let pending = self.pending.iter().position(is_it).map(|index| self.pending.swap_remove(index));
        match result {
            Ok(position) => {
                let acked = Acked { question, submission, position, elapsed_us };
                self.remember(acked);
                self.tally(question, Tally::Acked { player, submission }, out);
                if let Phase::Player(seat) = &self.phase {
                    send_ack(around, seat, acked, out);
                }
            }
            Err(Unavailable) => {
                self.tally(question, Tally::Unavailable, out);
                if matches!(self.phase, Phase::Player(_)) {
                    let replying = Replying { submission: Some(submission), id: None };
                    let mut error = ErrorMessage::new(ErrorCode::Unavailable, replying);
                    error.proof = pending.map(|pending| pending.proof(&around.signer));
                    send_error(error.retry_after(APPEND_RETRY_AFTER_MS), out);
                }
            }
        }
    }

    /// Appends of one socket may complete out of order; what counts is the latest question.
    fn remember(&mut self, acked: Acked) {
        if self.acked.is_none_or(|last| last.question <= acked.question) {
            self.acked = Some(acked);
        }
    }

    /// When a client is to be told that its answer was taken.
    pub(super) fn taken_due_ms(&self) -> Option<u64> {
        self.pending.iter().filter_map(|pending| pending.taken_due_ms).min()
    }

    pub(super) fn tell_taken(&mut self, around: &Surroundings, now: Now, out: &mut Vec<Action>) {
        for pending in &mut self.pending {
            if pending.taken_due_ms.is_some_and(|due_ms| due_ms <= now.mono_ms) {
                pending.taken_due_ms = None;
                let proof = pending.proof(&around.signer);
                let Pending { question, submission, elapsed_us, .. } = *pending;
                let elapsed_ms = elapsed_us / 1000;
                send(ServerMessage::Taken(Taken { submission, question, elapsed_ms, proof }), out);
            }
        }
    }

    /// An answer that came while the edge was stopped: nobody knows when. It is to be sent again.
    pub(super) fn on_stale_text(&mut self, text: &str, out: &mut Vec<Action>) {
        let Ok(ClientMessage::Answer(answer)) = parse(text) else { return };
        if matches!(self.phase, Phase::Player(_)) {
            self.tally(answer.question, Tally::Unavailable, out);
            let replying = Replying { submission: Some(answer.submission), id: None };
            let error = ErrorMessage::new(ErrorCode::Unavailable, replying);
            send_error(error.retry_after(APPEND_RETRY_AFTER_MS), out);
        }
    }

    /// Counts what became of an answer. One to a question that nobody has seen is in nobody's books.
    pub(super) fn tally(&self, question: QuestionNo, tally: Tally, out: &mut Vec<Action>) {
        if Some(question) <= self.newest {
            out.push(Action::Tally { question, tally });
        }
    }
}

fn append(around: &Surroundings, seat: &Seat, logged: Logged, response: Response, now: Now) -> Action {
    let Logged { player, question, submission, elapsed_us } = logged;
    let submitted = AnswerSubmitted {
        question,
        player,
        submission,
        response,
        received_at_us: now.wall_us,
        elapsed_us,
        edge: around.edge.clone(),
    };
    let lane = LaneKey::of(seat.game, player, seat.lanes).lane;
    let event = AnyEvent::Answers(AnswersRecord { game: seat.game, lane, body: submitted.into() });
    Action::Append { ticket: Ticket::Answer { player, question, submission, elapsed_us }, event: Box::new(event) }
}

/// The time that is scored: since the question came before the player, or less if an edge has stated so
/// for this very answer.
fn elapsed_us(
    around: &Surroundings,
    taken: &TakenAnswer<'_>,
    proof: Option<&str>,
    now: Now,
    out: &mut Vec<Action>,
) -> Option<i64> {
    let proven_us = proof.and_then(|proof| {
        let proven_us = around.signer.proven_us(taken, proof);
        out.push(Action::ProofSeen { good: proven_us.is_some() });
        proven_us
    });
    let own_us = now.elapsed_us.map(|elapsed_us| elapsed_us.max(0));
    own_us.into_iter().chain(proven_us).min()
}

fn is_resend(acked: &Acked, answer: &Answer) -> bool {
    acked.submission == answer.submission && acked.question == answer.question
}

fn send_ack(around: &Surroundings, seat: &Seat, acked: Acked, out: &mut Vec<Action>) {
    let Acked { question, submission, position, elapsed_us } = acked;
    let receipt = around.signer.receipt(seat.game, question, seat.player, submission);
    let position = (position.partition, position.offset);
    send(ServerMessage::Ack(Ack { submission, question, receipt, elapsed_ms: elapsed_us / 1000, position }), out);
}
