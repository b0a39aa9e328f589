//! One player of a load run: what it answers and when, and what it writes down.

use std::sync::Arc;

use quiz_ingest::protocol::{Answer, BoardLine, Cursor, ErrorCode, QuestionMessage, ServerMessage};
use quiz_schemas::events::Verdict;
use quiz_schemas::quiz::{Quiz, Response};
use quiz_schemas::{GameId, PlayerId, QuestionNo, SubmissionId};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::log::{self, Log};
use super::measure::Meter;
use super::pace::Pace;
use crate::client::choices::{Dice, choose};
use crate::client::outbox::Kept;
use crate::client::player::{Event, Plan, Script};

/// What all players of a game share.
pub struct Room {
    /// The game.
    pub game: GameId,
    /// The quiz, from which a player knows what it may answer.
    pub quiz: Arc<Quiz>,
    /// Makes the choices.
    pub seed: u64,
    /// When they answer.
    pub pace: Pace,
    /// What is measured.
    pub meter: Arc<Meter>,
    /// What is written down.
    pub log: Option<Arc<Log>>,
}

/// One player.
pub struct Gamer {
    no: u32,
    room: Arc<Room>,
    /// When it should have begun to join.
    intended: Instant,
    joined: tokio::sync::mpsc::Sender<u32>,
    player: Option<PlayerId>,
    over: bool,
    acked: Marks,
    judged: Marks,
}

/// Questions that are marked. What is behind the last one that fits is never marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Marks([u64; 4]);

impl Marks {
    /// Marks a question; whether it was not before.
    fn put(&mut self, question: QuestionNo) -> bool {
        let Some(word) = self.0.get_mut(usize::from(question) / 64) else { return false };
        let bit = 1 << (question % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn has(self, question: QuestionNo) -> bool {
        self.0.get(usize::from(question) / 64).is_some_and(|word| word & (1 << (question % 64)) != 0)
    }
}

impl Gamer {
    /// Player number `no` of the run, which says through `joined` when it has its seat.
    #[must_use]
    pub fn new(no: u32, room: Arc<Room>, intended: Instant, joined: tokio::sync::mpsc::Sender<u32>) -> Self {
        let (acked, judged) = (Marks::default(), Marks::default());
        Self { no, room, intended, joined, player: None, over: false, acked, judged }
    }

    /// The player's id, once it has one, and whether it heard that the game is over.
    #[must_use]
    pub fn ending(&self) -> (Option<PlayerId>, bool) {
        (self.player, self.over)
    }

    fn log(&self, event: &str, fields: impl FnOnce(&Log) -> Value) {
        let Some(log) = &self.room.log else { return };
        let Value::Object(mut fields) = fields(log) else { return };
        fields.insert("game".into(), json!(self.room.game));
        fields.insert("player".into(), json!(self.player));
        log.write(event, Value::Object(fields));
    }

    fn counted(&mut self, event: &Event<'_>) {
        let (meter, game, no) = (&self.room.meter, self.room.game, self.no);
        match event {
            Event::Joined { .. } => meter.joined(no, self.intended.elapsed()),
            Event::Reconnected { took, .. } => meter.reconnected(no, *took),
            Event::Closed { closing, silent, .. } => meter.lost(no, closing, *silent),
            Event::Sent { kept, .. } if kept.tries == 1 => meter.count(no, |counts| counts.sent += 1),
            Event::Sent { .. } => meter.count(no, |counts| counts.resent += 1),
            Event::Taken(_) => meter.count(no, |counts| counts.taken += 1),
            Event::Acked { ack, kept, .. } => {
                meter.acked(no, kept.intended.elapsed());
                if self.acked.put(ack.question) && self.judged.has(ack.question) {
                    meter.count(no, |counts| counts.scored += 1);
                }
            }
            Event::Refused { code, .. } => meter.refused(no, *code),
            Event::Deferred { code: ErrorCode::Unavailable, .. } => {
                meter.count(no, |counts| counts.unavailable += 1);
            }
            Event::Deferred { .. } => meter.count(no, |counts| counts.deferred += 1),
            Event::Unknown { .. } => meter.count(no, |counts| counts.unknown += 1),
            Event::Stale { .. } => meter.count(no, |counts| counts.stale += 1),
            Event::Applied { message: ServerMessage::Outcome(own), .. } => self.outcome(own.question, own.verdict),
            Event::Applied { message, at: Some(_), .. } => {
                let now = Instant::now();
                match message {
                    ServerMessage::Question(question) => meter.delivered(game, question.question, now),
                    ServerMessage::Board(board) => meter.board(game, board.question, now),
                    _ => {}
                }
            }
            Event::Applied { .. } => {}
        }
    }

    /// A verdict on the player's answer, which a snapshot may repeat. It may come before the receipt
    /// does; the answer counts as scored when both are there.
    fn outcome(&mut self, question: QuestionNo, verdict: Verdict) {
        let (meter, no) = (&self.room.meter, self.no);
        match verdict {
            Verdict::Correct | Verdict::Partial | Verdict::Wrong | Verdict::Counted => {
                if self.judged.put(question) && self.acked.has(question) {
                    meter.count(no, |counts| counts.scored += 1);
                }
            }
            Verdict::Late | Verdict::Unanswered | Verdict::Unknown => {}
        }
    }

    fn written(&self, event: &Event<'_>) {
        if self.room.log.is_none() {
            return;
        }
        match event {
            Event::Joined { joined, edge, took } => self.log("joined", |_| {
                json!({ "nickname": joined.nickname, "no": self.no, "edge": edge, "took_ms": took.as_millis() as u64,
                    "recovered": joined.recovered, "cursor": log::cursor(joined.cursor.as_ref()) })
            }),
            Event::Reconnected { joined, edge, took } => self.log("reconnected", |_| {
                json!({ "edge": edge, "took_ms": took.as_millis() as u64, "recovered": joined.recovered,
                    "cursor": log::cursor(joined.cursor.as_ref()) })
            }),
            Event::Closed { closing, silent, edge } => {
                self.log("closed_socket", |_| json!({ "code": closing.code, "silent": silent, "edge": edge }));
            }
            Event::Sent { kept, edge } => self.log("sent", |log| {
                let mut fields = answer(kept);
                fields.extend(response(&kept.answer.response));
                fields.insert("edge".into(), json!(edge));
                fields.insert("intended_us".into(), log.wall_us(kept.intended).into());
                fields.insert("proof".into(), kept.answer.proof.is_some().into());
                Value::Object(fields)
            }),
            Event::Taken(taken) => self.log("taken", |_| {
                json!({ "question": taken.question, "submission": taken.submission, "elapsed_ms": taken.elapsed_ms })
            }),
            Event::Acked { ack, kept, edge } => self.log("acked", |_| {
                let mut fields = answer(kept);
                fields.insert("receipt".into(), json!(ack.receipt));
                fields.insert("position".into(), json!(ack.position));
                fields.insert("elapsed_ms".into(), json!(ack.elapsed_ms));
                fields.insert("edge".into(), json!(edge));
                fields.insert("ack_us".into(), json!(kept.intended.elapsed().as_micros() as u64));
                Value::Object(fields)
            }),
            Event::Refused { kept, code } => self.log("refused", |_| {
                let mut fields = answer(kept);
                fields.insert("code".into(), json!(code));
                Value::Object(fields)
            }),
            Event::Deferred { submission, code } => {
                self.log("deferred", |_| json!({ "submission": submission, "code": code }));
            }
            Event::Unknown { kept } => self.log("unknown", |_| Value::Object(answer(kept))),
            Event::Applied { message, at, feed } => {
                if let Some(fields) = applied(message, *at, feed.cursor(), false) {
                    self.log("applied", |_| fields);
                }
            }
            Event::Stale { message, at, feed } => {
                if let Some(Value::Object(mut fields)) = applied(message, Some(*at), feed.cursor(), false) {
                    fields.insert("cursor".into(), json!(feed.cursor().map(|cursor| cursor.offset)));
                    self.log("stale", |_| Value::Object(fields));
                }
            }
        }
    }
}

impl Script for Gamer {
    fn answer_to(&mut self, shown: &QuestionMessage) -> Option<Plan> {
        let Room { game, quiz, seed, pace, meter, .. } = &*self.room;
        let choice = choose(*seed, self.no, shown.question, quiz.questions.get(usize::from(shown.question))?);
        // The edge draws a game's id, so no other run on the same servers has the same submissions.
        let bits = Dice::new(choice.submission_bits ^ game.bits(), self.no, shown.question).roll();
        meter.count(self.no, |counts| counts.offered += 1);
        Some(Plan {
            answer: Answer {
                question: shown.question,
                submission: SubmissionId::from_bits(bits),
                response: choice.response,
                proof: None,
            },
            intended: Instant::now() + pace.wait(*seed, self.no, shown.question),
        })
    }

    fn tell(&mut self, event: Event<'_>) {
        match &event {
            Event::Joined { joined, .. } => self.player = Some(joined.player),
            Event::Applied { message: ServerMessage::Over(_), .. } => self.over = true,
            _ => {}
        }
        self.counted(&event);
        self.written(&event);
        if matches!(event, Event::Joined { .. }) {
            // Whoever waits for all may have given up.
            let _ = self.joined.try_send(self.no);
        }
    }
}

fn answer(kept: &Kept) -> Map<String, Value> {
    let fields = [
        ("question", json!(kept.answer.question)),
        ("submission", json!(kept.answer.submission)),
        ("try", json!(kept.tries)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// The response as the wire has it.
fn response(response: &Response) -> [(String, Value); 1] {
    match response {
        Response::Picks(picks) => [("picks".into(), json!(picks.as_slice()))],
        Response::Text(text) => [("text".into(), json!(text))],
        Response::Number(number) => [("number".into(), json!(number))],
    }
}

/// A durable message as the log has it; None for others.
#[must_use]
pub fn applied(message: &ServerMessage, at: Option<i64>, cursor: Option<&Cursor>, with_top: bool) -> Option<Value> {
    let (kind, question, more) = match message {
        ServerMessage::Question(question) => {
            ("question", Some(question.question), json!({ "left_ms": question.left_ms }))
        }
        ServerMessage::Closed(stopped) => ("closed", Some(stopped.question), json!({ "reason": stopped.reason })),
        ServerMessage::Board(board) => {
            let more = json!({ "answered": board.answered, "correct_count": board.correct_count,
                "players": board.players, "last": board.last });
            ("board", Some(board.question), with_lines(more, with_top.then_some(&board.top)))
        }
        ServerMessage::Outcome(own) => {
            let more = json!({ "verdict": own.verdict, "points": own.points, "total": own.total, "rank": own.rank });
            ("outcome", Some(own.question), more)
        }
        ServerMessage::Over(over) => {
            let more = json!({ "reason": over.reason, "players": over.players });
            ("over", None, with_lines(more, with_top.then_some(&over.top)))
        }
        _ => return None,
    };
    let mut fields = json!({ "kind": kind, "question": question, "at": at,
        "epoch": cursor.map(|cursor| &cursor.epoch), "snapshot": at.is_none() });
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    Some(fields)
}

fn with_lines(mut fields: Value, lines: Option<&Vec<BoardLine>>) -> Value {
    if let Some(lines) = lines {
        let rows: Vec<Value> =
            lines.iter().map(|line| json!([line.rank, line.nickname, line.total, line.points])).collect();
        fields["top"] = rows.into();
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_are_a_set_of_the_first_questions(questions in prop::collection::vec(0..300_u16, 0..200)) {
            let (mut marks, mut set) = (Marks::default(), BTreeSet::new());
            for question in questions {
                prop_assert_eq!(marks.put(question), question < 256 && set.insert(question));
                prop_assert_eq!(marks.has(question), question < 256);
            }
            prop_assert!((0..300).all(|question| marks.has(question) == set.contains(&question)));
        }
    }
}
