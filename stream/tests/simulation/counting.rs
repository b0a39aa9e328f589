//! A toy group that delivers at least once: per lane an absolute total and a digest of the order, a
//! snapshot at each close, a commit point that lags behind open lanes. What it must lead to is easy
//! to say from its input alone, which is what the auditor does.

use std::collections::{BTreeMap, BTreeSet};

use quiz_schemas::events::{AnswersBody, AnswersRecord, LaneCounted, LaneCounts, LaneStored, ScoresRecord};
use quiz_schemas::{AnyEvent, LaneKey, Position, QuestionNo, Topic};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record, Rejected};

/// The word for answers with a negative value, which the rules refuse.
pub const REFUSED: &str = "toy_refused";

/// How long an answer that may wait does, µs.
const PATIENCE_US: i64 = 3_000;

/// What is kept of a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub lane: LaneKey,
    /// Everything up to here is in it.
    pub offset: i64,
    pub total: i64,
    pub digest: i64,
    /// Where the report of its last close stands in `quiz.scores.v1`.
    pub reported_at: Option<Position>,
}

/// A write of the toy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    Answer { submission: u64, position: Position },
    Snapshot { snapshot: Snapshot, report: Option<usize> },
}

#[derive(Clone, Debug)]
struct Lane {
    snapshot: Snapshot,
    open_at: Option<i64>,
    changed: bool,
}

/// What the toy remembers of a partition.
#[derive(Default)]
pub struct State {
    lanes: BTreeMap<LaneKey, Lane>,
}

/// The next digest: it depends on the order of the values.
pub fn digest(before: i64, value: i64) -> i64 {
    (before.wrapping_mul(31) ^ value) & 0xffff_ffff
}

pub struct Counting {
    /// Whether snapshots are written last; else a mutation.
    pub seals: bool,
    /// Whether a close that the snapshot holds is announced again; else a mutation.
    pub announces_again: bool,
}

fn report(lane: &Lane, question: QuestionNo, position: Position) -> AnyEvent {
    let counts = LaneCounts {
        received: lane.snapshot.total,
        scored: lane.snapshot.total,
        duplicate: lane.snapshot.digest,
        late: 0,
        refused: 0,
        digest: 0,
    };
    let (game, number) = (lane.snapshot.lane.game, lane.snapshot.lane.lane);
    ScoresRecord { game, lane: number, question, position, counts, body: LaneCounted { closed: true }.into() }.into()
}

/// The store holds what the lane stands at.
fn stored(lane: &Lane, question: QuestionNo, partition: i32) -> AnyEvent {
    let position = Position { partition, offset: lane.snapshot.offset };
    let AnyEvent::Scores(report) = report(lane, question, position) else { unreachable!("a report is of scores") };
    ScoresRecord { body: LaneStored { stored: lane.snapshot.total, opened_offset: -1 }.into(), ..report }.into()
}

impl Processor for Counting {
    type State = State;
    type Key = LaneKey;
    type Doc = (LaneKey, Option<Snapshot>);
    type Write = Write;

    fn group(&self) -> GroupSpec {
        GroupSpec { id: "toy.counting", reads: &[Topic::Answers], restores_from: None, delivery: Delivery::AtLeastOnce }
    }

    fn start(&self, _partition: i32) -> State {
        State::default()
    }

    fn needs(&self, state: &State, batch: &[Record]) -> Vec<LaneKey> {
        let lanes: BTreeSet<LaneKey> = batch.iter().filter_map(lane_of).collect();
        lanes.into_iter().filter(|lane| !state.lanes.contains_key(lane)).collect()
    }

    fn supply(&self, state: &mut State, docs: Vec<(LaneKey, Option<Snapshot>)>) {
        for (lane, doc) in docs {
            let snapshot = doc.unwrap_or(Snapshot { lane, offset: -1, total: 0, digest: 0, reported_at: None });
            state.lanes.insert(lane, Lane { snapshot, open_at: None, changed: false });
        }
    }

    /// Every second answer waits for company.
    fn patience_us(&self, event: &AnyEvent) -> i64 {
        match event {
            AnyEvent::Answers(AnswersRecord { body: AnswersBody::AnswerSubmitted(answer), .. })
                if answer.submission.bits() % 2 == 0 =>
            {
                PATIENCE_US
            }
            _ => 0,
        }
    }

    fn apply(&self, state: &mut State, batch: &[Record], _now_us: i64) -> Output<Write> {
        let mut output = Output::default();
        for record in batch {
            let AnyEvent::Answers(event) = &record.event else { continue };
            let lane = state.lanes.get_mut(&event.lane_key()).expect("every lane of a batch was supplied");
            if record.offset <= lane.snapshot.offset {
                // Its announcement may have died with whoever wrote the snapshot.
                if let (AnswersBody::LaneClosed(closed), true) = (&event.body, self.announces_again) {
                    output.announce.push(stored(lane, closed.question, record.partition));
                }
                continue;
            }
            let position = record.position();
            match &event.body {
                AnswersBody::AnswerSubmitted(answer) if answer.elapsed_us < 0 => {
                    output.dead.push(Rejected { topic: record.topic, position, reason: REFUSED });
                    continue;
                }
                AnswersBody::AnswerSubmitted(answer) => {
                    lane.snapshot.total += answer.elapsed_us;
                    lane.snapshot.digest = digest(lane.snapshot.digest, answer.elapsed_us);
                    output.write.push(Write::Answer { submission: answer.submission.bits(), position });
                }
                AnswersBody::LaneOpened(_) => {
                    // From here on a successor reads from this marker: what came before it must be stored.
                    if lane.open_at.is_none() && lane.changed {
                        output.write.push(Write::Snapshot { snapshot: lane.snapshot.clone(), report: None });
                    }
                    lane.open_at = lane.open_at.or(Some(record.offset));
                }
                AnswersBody::LaneClosed(_) | AnswersBody::Unknown => {}
            }
            lane.snapshot.offset = record.offset;
            lane.changed = true;
            if let AnswersBody::LaneClosed(closed) = &event.body {
                lane.open_at = None;
                lane.changed = false;
                let report_at = output.produce.len();
                output.produce.push(report(lane, closed.question, position));
                output.write.push(Write::Snapshot { snapshot: lane.snapshot.clone(), report: Some(report_at) });
                output.announce.push(stored(lane, closed.question, record.partition));
            }
        }
        // A lane that is not open changed by late answers; it is stored and forgotten.
        state.lanes.retain(|_, lane| {
            if lane.open_at.is_none() && lane.changed {
                output.write.push(Write::Snapshot { snapshot: lane.snapshot.clone(), report: None });
            }
            lane.open_at.is_some()
        });
        output
    }

    fn appended(&self, write: &mut Write, positions: &[Position]) {
        if let Write::Snapshot { snapshot, report: Some(report) } = write {
            snapshot.reported_at = Some(positions[*report]);
        }
    }

    fn seals(&self, write: &Write) -> bool {
        self.seals && matches!(write, Write::Snapshot { .. })
    }

    fn commit_point(&self, state: &State, _topic: Topic, next: i64) -> i64 {
        state.lanes.values().filter_map(|lane| lane.open_at).min().unwrap_or(next)
    }
}

fn lane_of(record: &Record) -> Option<LaneKey> {
    if let AnyEvent::Answers(event) = &record.event { Some(event.lane_key()) } else { None }
}
