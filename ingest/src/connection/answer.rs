use super::fit::fitting;
use super::*;
use crate::limits::{ANSWERS_IN_FLIGHT_MAX, APPEND_RETRY_AFTER_MS};
use crate::protocol::{Ack, Answer};
use quiz_schemas::LaneKey;
use quiz_schemas::events::{AnswerSubmitted, AnswersRecord};

impl Connection {
    pub(super) fn on_answer(&mut self, around: &Surroundings, answer: Answer, now: Now, out: &mut Vec<Action>) {
        let replying = Replying { submission: Some(answer.submission), id: None };
        let Phase::Player(seat) = &self.phase else {
            refuse(ErrorCode::NotJoined, replying, out);
            return;
        };
        let seat = Arc::clone(seat);
        if let Some(acked) = self.acked.filter(|acked| is_resend(acked, &answer)) {
            send_ack(around, &seat, acked, out);
            return;
        }
        let Answer { question, submission, response, .. } = answer;
        let response = match self.check(question, response) {
            Ok(response) => response,
            Err(code) => {
                refuse(code, replying, out);
                return;
            }
        };
        if self.answers_in_flight >= ANSWERS_IN_FLIGHT_MAX {
            send_error(ErrorMessage::new(ErrorCode::RateLimited, replying).retry_after(RATE_RETRY_AFTER_MS), out);
            return;
        }
        self.answers_in_flight += 1;
        let elapsed_us = now.elapsed_us.max(0);
        let submitted = AnswerSubmitted {
            question,
            player: seat.player,
            submission,
            response,
            received_at_us: now.wall_us,
            elapsed_us,
            edge: around.edge.clone(),
        };
        let lane = LaneKey::of(seat.game, seat.player, seat.lanes).lane;
        let event = AnyEvent::Answers(AnswersRecord { game: seat.game, lane, body: submitted.into() });
        out.push(Action::Append {
            ticket: Ticket::Answer { question, submission, elapsed_us },
            event: Box::new(event),
        });
    }

    fn check(
        &self,
        question: QuestionNo,
        response: quiz_schemas::quiz::Response,
    ) -> Result<quiz_schemas::quiz::Response, ErrorCode> {
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

    pub(super) fn on_answer_appended(
        &mut self,
        around: &Surroundings,
        result: Result<Acked, Unavailable>,
        submission: SubmissionId,
        out: &mut Vec<Action>,
    ) {
        if let Ok(acked) = result {
            // Appends of one socket may complete out of order; what counts is the latest question.
            if self.acked.is_none_or(|last| last.question <= acked.question) {
                self.acked = Some(acked);
            }
        }
        let Phase::Player(seat) = &self.phase else { return };
        match result {
            Ok(acked) => send_ack(around, seat, acked, out),
            Err(Unavailable) => {
                let replying = Replying { submission: Some(submission), id: None };
                let error = ErrorMessage::new(ErrorCode::Unavailable, replying);
                send_error(error.retry_after(APPEND_RETRY_AFTER_MS), out);
            }
        }
    }
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
