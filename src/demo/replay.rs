//! Reads a game's own records back from the log and plays them through the rules again: what the
//! pipeline published must be what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use quiz_game::board::Ranks;
use quiz_game::lane::{Lane, LaneEffect};
use quiz_schemas::events::{AnswersBody, AnswersRecord, LaneCounts, ScoresBody, ScoresRecord};
use quiz_schemas::topic::{GAME_PARTITIONS, LANE_PARTITIONS};
use quiz_schemas::{AnyEvent, GameId, LaneKey, LaneNo, PlayerId, Position, QuestionNo, SubmissionId, Topic};
use quiz_stream::{Tail, TailEvent, partition_of};
use tokio::time::{Instant, timeout_at};

use super::stage::Pipeline;
use crate::exit::{Exit, Failure};

/// How long reading a game back may take.
const READ_WAIT: Duration = Duration::from_secs(60);

/// A game as the log alone tells it.
#[derive(Default)]
pub struct Replayed {
    /// Effects by question and player: how often a first answer was judged. More than once is a
    /// duplicate effect.
    pub effects: BTreeMap<(QuestionNo, PlayerId), u32>,
    /// Every submission in the log and where it stands first.
    pub submissions: BTreeMap<(QuestionNo, PlayerId, SubmissionId), Position>,
    /// Counts by question, summed over the lanes.
    pub counts: BTreeMap<QuestionNo, LaneCounts>,
    /// Points over the game, by player.
    pub totals: BTreeMap<PlayerId, i64>,
}

impl Replayed {
    /// Each player's total and rank, among `everyone`; who never answered has no points.
    pub fn standings(&self, everyone: impl Iterator<Item = PlayerId>) -> BTreeMap<PlayerId, (i64, i32)> {
        let totals: BTreeMap<PlayerId, i64> =
            everyone.map(|player| (player, self.totals.get(&player).copied().unwrap_or(0))).collect();
        let ranks = Ranks::of(totals.values().copied().collect());
        totals.into_iter().map(|(player, total)| (player, (total, ranks.rank(total).0))).collect()
    }
}

/// Reads `game`'s records of `topic` until `done` has seen enough.
async fn read(
    pipeline: &Pipeline,
    topic: Topic,
    partitions: &[i32],
    mut done: impl FnMut(AnyEvent, Position) -> bool,
) -> Result<(), Failure> {
    let unavailable =
        |err: &dyn std::fmt::Display| Failure::new(Exit::Unavailable, format!("{topic} cannot be read back: {err}"));
    let kafka = pipeline.kafka.with_client_id("demo-replay");
    let (tail, mut events) = Tail::start(&kafka, pipeline.codec.clone(), pipeline.schemas.clone(), topic)
        .map_err(|err| unavailable(&err))?;
    for &partition in partitions {
        tail.read_from(partition, Some(0)).await.map_err(|err| unavailable(&err))?;
    }
    let deadline = Instant::now() + READ_WAIT;
    loop {
        match timeout_at(deadline, events.recv()).await {
            Ok(Some(TailEvent::Record(record))) => {
                let position = record.position();
                if done(record.event, position) {
                    return Ok(());
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(unavailable(&"the reader ended")),
            Err(_) => return Err(unavailable(&"the game's last record did not come")),
        }
    }
}

/// Replays `game`, which has `lanes` lanes and asked `questions` questions.
///
/// # Errors
/// When the log cannot be read.
pub async fn replay(
    pipeline: &Pipeline,
    game: GameId,
    lanes: LaneNo,
    questions: QuestionNo,
) -> Result<Replayed, Failure> {
    let mut replayed = Replayed::default();
    let mut states: BTreeMap<LaneNo, Lane> = BTreeMap::new();
    let last = questions - 1;
    let mut open = (0..lanes).collect::<std::collections::BTreeSet<LaneNo>>();
    let mut partitions: Vec<i32> =
        (0..lanes).map(|lane| partition_of(LaneKey { game, lane }.to_string().as_bytes(), LANE_PARTITIONS)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    read(pipeline, Topic::Answers, &partitions, |event, position| {
        let AnyEvent::Answers(record) = event else { return false };
        if record.game != game {
            return false;
        }
        take(&mut replayed, states.entry(record.lane).or_default(), &record, position);
        if matches!(&record.body, AnswersBody::LaneClosed(closed) if closed.question == last) {
            open.remove(&record.lane);
        }
        open.is_empty()
    })
    .await?;
    Ok(replayed)
}

fn take(replayed: &mut Replayed, lane: &mut Lane, record: &AnswersRecord, position: Position) {
    let effect = lane.apply(&record.body);
    if let AnswersBody::AnswerSubmitted(answer) = &record.body {
        let submission = (answer.question, answer.player, answer.submission);
        replayed.submissions.entry(submission).or_insert(position);
        if matches!(effect, LaneEffect::Scored(_)) {
            *replayed.effects.entry((answer.question, answer.player)).or_default() += 1;
        }
    }
    if let LaneEffect::Closed(scored) = effect {
        *replayed.counts.entry(scored.question).or_default() += scored.counts;
        replayed.totals.extend(scored.report.outcomes.iter().map(|outcome| (outcome.player, outcome.total)));
    }
}

/// What the scoring workers themselves reported of each question, summed over the lanes.
///
/// # Errors
/// When the log cannot be read.
pub async fn reported(
    pipeline: &Pipeline,
    game: GameId,
    lanes: LaneNo,
    questions: QuestionNo,
) -> Result<BTreeMap<QuestionNo, LaneCounts>, Failure> {
    let mut newest: BTreeMap<(QuestionNo, LaneNo), (i64, LaneCounts)> = BTreeMap::new();
    let mut missing: std::collections::BTreeSet<(QuestionNo, LaneNo)> =
        (0..questions).flat_map(|question| (0..lanes).map(move |lane| (question, lane))).collect();
    let partition = partition_of(game.to_string().as_bytes(), GAME_PARTITIONS);
    read(pipeline, Topic::Scores, &[partition], |event, _| {
        let AnyEvent::Scores(ScoresRecord { game: of, lane, question, position, counts, body }) = event else {
            return false;
        };
        if of != game {
            return false;
        }
        let held = newest.entry((question, lane)).or_insert((-1, counts));
        if held.0 < position.offset {
            *held = (position.offset, counts);
        }
        if matches!(body, ScoresBody::LaneScored(_)) {
            missing.remove(&(question, lane));
        }
        missing.is_empty()
    })
    .await?;
    let mut sums: BTreeMap<QuestionNo, LaneCounts> = BTreeMap::new();
    for ((question, _), (_, counts)) in newest {
        *sums.entry(question).or_default() += counts;
    }
    Ok(sums)
}
