//! The scoring worker: group `quiz.scoring`, reads answers and markers, scores lane by lane.
//!
//! A lane's state is its snapshot in the store and the log since. A snapshot is taken when a question
//! closes, and whenever the lane changes without an open question; so a successor needs to read from
//! the oldest open marker on, and skips what its snapshots hold already.

mod lane_store;
mod lanes;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fake_store;
#[cfg(test)]
mod tests;

use quiz_game::lane::{AnswerScored, LaneEffect, QuestionScored};
use quiz_schemas::events::{
    AnswerSubmitted, AnswersBody, AnswersRecord, LaneCounted, LaneCounts, LaneStored, ScoresBody, ScoresRecord,
};
use quiz_schemas::{AnyEvent, LaneKey, Position, QuestionNo, Topic};
use quiz_store::{AnswerDoc, LaneDoc, Write};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record, Rejected};

pub use lane_store::LaneStore;
pub use lanes::{LANES_MAX, Lanes};

use lanes::LaneSlot;

/// The group's id on the broker.
pub const GROUP: &str = "quiz.scoring";

/// How long an answer may wait for others to be scored and stored in one batch with it, µs.
pub const ANSWER_PATIENCE_US: i64 = 250_000;

/// How long it waits when no others come, µs. When the last answer of a question is in, the question closes
/// that much later.
pub const ANSWER_LULL_US: i64 = 50_000;

/// How long the broker may gather answers, ms; a marker waits as long.
const GATHER_MS: u32 = 10;

/// What the store holds of a lane.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredLane {
    /// The lane.
    pub lane: LaneKey,
    /// Its latest snapshot; none when it has never been written.
    pub doc: Option<LaneDoc>,
}

/// The rules of the group `quiz.scoring`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScoringWorker;

impl Processor for ScoringWorker {
    type State = Lanes;
    type Key = LaneKey;
    type Doc = StoredLane;
    type Write = Write;

    fn group(&self) -> GroupSpec {
        GroupSpec { id: GROUP, reads: &[Topic::Answers], restores_from: None, delivery: Delivery::AtLeastOnce }
    }

    fn start(&self, partition: i32) -> Lanes {
        Lanes::new(partition)
    }

    fn needs(&self, state: &Lanes, batch: &[Record]) -> Vec<LaneKey> {
        state.missing(batch.iter().filter_map(answers_of).map(AnswersRecord::lane_key))
    }

    fn supply(&self, state: &mut Lanes, docs: Vec<StoredLane>) {
        for StoredLane { lane, doc } in docs {
            state.insert(lane, doc);
        }
    }

    fn apply(&self, state: &mut Lanes, batch: &[Record], _now_us: i64) -> Output<Write> {
        let mut step = Step { partition: state.partition(), output: Output::default() };
        let mut touched: Vec<LaneKey> = Vec::new();
        state.begin_batch();
        for record in batch {
            let Some(answers) = answers_of(record) else { continue };
            let key = answers.lane_key();
            let (slot, first) = state.touch(key);
            if first {
                touched.push(key);
            }
            step.take(key, slot, record.offset, &answers.body);
        }
        for key in touched {
            let (slot, _) = state.touch(key);
            step.finish(key, slot);
        }
        state.evict();
        step.output
    }

    fn gather_ms(&self) -> u32 {
        GATHER_MS
    }

    /// Players have their acknowledgement already; a marker is what a board waits for.
    fn patience_us(&self, event: &AnyEvent) -> i64 {
        let is_answer = |answers: &AnswersRecord| matches!(answers.body, AnswersBody::AnswerSubmitted(_));
        if matches!(event, AnyEvent::Answers(answers) if is_answer(answers)) { ANSWER_PATIENCE_US } else { 0 }
    }

    fn lull_us(&self) -> i64 {
        ANSWER_LULL_US
    }

    /// The store makes the writes of one call in no order. If a snapshot were there before an answer
    /// that it holds, and then the process died, the answer would be skipped for ever.
    fn seals(&self, write: &Write) -> bool {
        matches!(write, Write::Lane(_))
    }

    fn commit_point(&self, state: &Lanes, _topic: Topic, next: i64) -> i64 {
        state.oldest_open().map_or(next, |opened_at| opened_at.min(next))
    }
}

/// [`LaneStored::opened_offset`] of a lane whose marker was not read.
const NOT_KNOWN: i64 = -1;

fn answers_of(record: &Record) -> Option<&AnswersRecord> {
    if let AnyEvent::Answers(answers) = &record.event { Some(answers) } else { None }
}

/// One batch on its way through the lanes.
struct Step {
    partition: i32,
    output: Output<Write>,
}

impl Step {
    fn take(&mut self, key: LaneKey, slot: &mut LaneSlot, offset: i64, body: &AnswersBody) {
        if let AnswersBody::LaneOpened(_) = body {
            slot.marker = Some(offset);
        }
        // The snapshot that the lane was loaded from holds the record.
        if offset <= slot.offset {
            self.tell_again(key, slot, body);
            return;
        }
        match body {
            // A successor reads from this marker on: what came before it must be in the store.
            AnswersBody::LaneOpened(_) => self.save(key, slot),
            // The lane is about to forget the question that closed before this one.
            AnswersBody::LaneClosed(_) => self.report_closed(key, slot),
            AnswersBody::AnswerSubmitted(_) | AnswersBody::Unknown => {}
        }
        let effect = slot.lane.apply(body);
        slot.offset = offset;
        match effect {
            LaneEffect::Opened => slot.opened(offset),
            LaneEffect::Scored(scored) => {
                if let AnswersBody::AnswerSubmitted(answer) = body {
                    self.output.write.push(Write::Answer(self.answer_doc(key, offset, answer, scored)));
                }
                slot.open_unreported = true;
            }
            LaneEffect::Counted(question) => slot.counted(question),
            LaneEffect::Closed(scored) => self.close(key, slot, scored),
            LaneEffect::Ignored => {}
            LaneEffect::Refused(refusal) => self.output.dead.push(Rejected {
                topic: Topic::Answers,
                position: self.position(offset),
                reason: refusal.reason(),
            }),
        }
    }

    /// Says and saves what the batch left of a lane.
    fn finish(&mut self, key: LaneKey, slot: &mut LaneSlot) {
        self.report_closed(key, slot);
        if std::mem::take(&mut slot.open_unreported)
            && let Some(question) = slot.lane.open()
        {
            self.count(key, slot, question, false);
        }
        self.save(key, slot);
    }

    fn close(&mut self, key: LaneKey, slot: &mut LaneSlot, scored: QuestionScored) {
        let QuestionScored { question, counts, report } = scored;
        self.score(key, slot.offset, question, counts, report.into());
        slot.opened_at = None;
        slot.open_unreported = false;
        slot.unsaved = true;
        self.save(key, slot);
        self.announce(key, slot, question);
    }

    /// Whoever wrote the snapshot may have died before it told that the lane's answers are stored.
    fn tell_again(&mut self, key: LaneKey, slot: &LaneSlot, body: &AnswersBody) {
        if let AnswersBody::LaneClosed(_) = body
            && let Some(question) = slot.lane.closed()
        {
            self.announce(key, slot, question);
        }
    }

    /// To be told when the writes of the batch are made: the store holds the answers to the closed question.
    fn announce(&mut self, key: LaneKey, slot: &LaneSlot, question: QuestionNo) {
        let counts = slot.lane.counts(question).expect("it is the last closed");
        let body = LaneStored { stored: counts.scored, opened_offset: slot.marker.unwrap_or(NOT_KNOWN) };
        self.output.announce.push(self.record(key, slot.offset, question, counts, body.into()));
    }

    fn report_closed(&mut self, key: LaneKey, slot: &mut LaneSlot) {
        if std::mem::take(&mut slot.closed_unreported)
            && let Some(question) = slot.lane.closed()
        {
            self.count(key, slot, question, true);
        }
    }

    fn count(&mut self, key: LaneKey, slot: &LaneSlot, question: QuestionNo, closed: bool) {
        let counts = slot.lane.counts(question).expect("it is the open question or the last closed");
        self.score(key, slot.offset, question, counts, LaneCounted { closed }.into());
    }

    fn score(&mut self, key: LaneKey, offset: i64, question: QuestionNo, counts: LaneCounts, body: ScoresBody) {
        self.output.produce.push(self.record(key, offset, question, counts, body));
    }

    fn record(
        &self,
        key: LaneKey,
        offset: i64,
        question: QuestionNo,
        counts: LaneCounts,
        body: ScoresBody,
    ) -> AnyEvent {
        let LaneKey { game, lane } = key;
        let position = self.position(offset);
        ScoresRecord { game, lane, question, position, counts, body }.into()
    }

    /// Writes the lane's snapshot when it holds something that the store does not. With a question
    /// open there is none, and all that changes then is read again from its open marker on.
    fn save(&mut self, key: LaneKey, slot: &mut LaneSlot) {
        if slot.unsaved
            && let Some(snapshot) = slot.lane.snapshot()
        {
            slot.unsaved = false;
            let position = self.position(slot.offset);
            self.output.write.push(Write::Lane(LaneDoc { lane: key, position, snapshot }));
        }
    }

    fn answer_doc(&self, key: LaneKey, offset: i64, answer: &AnswerSubmitted, scored: AnswerScored) -> AnswerDoc {
        AnswerDoc {
            game: key.game,
            lane: key.lane,
            question: answer.question,
            player: answer.player,
            submission: answer.submission,
            response: answer.response.clone(),
            verdict: scored.verdict,
            points: scored.points,
            elapsed_us: scored.elapsed_us,
            received_at_us: answer.received_at_us,
            position: self.position(offset),
        }
    }

    fn position(&self, offset: i64) -> Position {
        Position { partition: self.partition, offset }
    }
}
