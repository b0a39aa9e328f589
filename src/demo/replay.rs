//! Reads a game's own records back from the log and plays them through the rules again: what the
//! pipeline published must be what they say.

use std::collections::{BTreeMap, BTreeSet};

use quiz_game::board::Ranks;
use quiz_game::lane::{Lane, LaneEffect};
use quiz_schemas::events::{AnswersBody, AnswersRecord, LaneCounts, ScoresRecord};
use quiz_schemas::topic::{GAME_PARTITIONS, LANE_PARTITIONS};
use quiz_schemas::{AnyEvent, GameId, LaneKey, LaneNo, PlayerId, Position, QuestionNo, SubmissionId, Topic};
use quiz_stream::{RangeReader, Record, partition_of};

use super::stage::Pipeline;
use crate::exit::{Exit, Failure};

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

/// Those records of a partition that `is_wanted` picks. The game is over, so all there will be of it is in the log.
async fn read(
    pipeline: &Pipeline,
    topic: Topic,
    partition: i32,
    is_wanted: impl Fn(&AnyEvent) -> bool + Send + 'static,
) -> Result<Vec<Record>, Failure> {
    let kafka = pipeline.kafka.with_client_id("demo-replay");
    let reader = RangeReader::new(kafka, pipeline.codec.clone(), pipeline.schemas.clone());
    let read = reader.read(topic, partition, 0, move |record| is_wanted(&record.event)).await;
    read.map_err(|err| Failure::new(Exit::Unavailable, format!("{topic} cannot be read back: {err}")))
}

/// Replays `game`, which has `lanes` lanes.
///
/// # Errors
/// When the log cannot be read.
pub async fn replay(pipeline: &Pipeline, game: GameId, lanes: LaneNo) -> Result<Replayed, Failure> {
    let mut replayed = Replayed::default();
    let mut states: BTreeMap<LaneNo, Lane> = BTreeMap::new();
    let partition_of_lane = |lane: LaneNo| partition_of(LaneKey { game, lane }.to_string().as_bytes(), LANE_PARTITIONS);
    let partitions: BTreeSet<i32> = (0..lanes).map(partition_of_lane).collect();
    for partition in partitions {
        let is_wanted = move |event: &AnyEvent| matches!(event, AnyEvent::Answers(record) if record.game == game);
        for record in read(pipeline, Topic::Answers, partition, is_wanted).await? {
            let position = record.position();
            let AnyEvent::Answers(answers) = record.event else { continue };
            take(&mut replayed, states.entry(answers.lane).or_default(), &answers, position);
        }
    }
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
pub async fn reported(pipeline: &Pipeline, game: GameId) -> Result<BTreeMap<QuestionNo, LaneCounts>, Failure> {
    let mut newest: BTreeMap<(QuestionNo, LaneNo), (i64, LaneCounts)> = BTreeMap::new();
    let partition = partition_of(game.to_string().as_bytes(), GAME_PARTITIONS);
    let is_wanted = move |event: &AnyEvent| matches!(event, AnyEvent::Scores(record) if record.game == game);
    for record in read(pipeline, Topic::Scores, partition, is_wanted).await? {
        let AnyEvent::Scores(ScoresRecord { lane, question, position, counts, .. }) = record.event else { continue };
        let held = newest.entry((question, lane)).or_insert((-1, counts));
        if held.0 < position.offset {
            *held = (position.offset, counts);
        }
    }
    let mut sums: BTreeMap<QuestionNo, LaneCounts> = BTreeMap::new();
    for ((question, _), (_, counts)) in newest {
        *sums.entry(question).or_default() += counts;
    }
    Ok(sums)
}
