//! `admin trace`: where the time of one answer went, or of all answers of a game, from the records alone.

mod text;
mod timeline;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use quiz_schemas::events::game_key;
use quiz_schemas::topic::{GAME_PARTITIONS, LANE_PARTITIONS};
use quiz_schemas::{Codec, GameId, LaneKey, LaneNo, PlayerId, QuestionNo, Topic};
use quiz_stream::{KafkaConfig, RangeError, RangeReader, SchemaSource, partition_of};

pub use timeline::{Clock, Hop, HopSpread, Part, Spread, Step, Timeline, Trace};

use crate::config::Config;
use crate::exit::{Exit, Failure, unavailable};

/// Whose answer is traced.
pub type AnswerOf = (PlayerId, QuestionNo);

/// Prints the trace of one answer, or the spread of each hop over all answers of the game.
///
/// # Errors
/// When Kafka or the registry does not answer, or there is no such game or answer.
pub(super) async fn show(
    config: &Config,
    game: GameId,
    answer: Option<AnswerOf>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let kafka = KafkaConfig::new(&config.kafka.bootstrap_servers, "quizstream-trace");
    let schemas = SchemaSource::registry(std::slice::from_ref(&config.registry.url))
        .map_err(|err| Failure::new(Exit::Usage, err))?;
    let reader = RangeReader::new(kafka, Arc::new(Codec::new()), schemas);
    let timeline = read(&reader, game, answer).await.map_err(|err| {
        let hint = "are they up? kafka.bootstrap_servers and registry.url say where they are";
        unavailable("the game's records", hint)(err.to_string())
    })?;
    if timeline.lanes().is_none() {
        return Err(Failure::new(Exit::NotFound, format!("the log has no game {game}"))
            .hint("a game's id is in the answer to its creation; a PIN is not an id"));
    }
    match answer {
        Some((player, question)) => one(&timeline, player, question, json),
        None => all(&timeline, json),
    }
}

fn one(timeline: &Timeline, player: PlayerId, question: QuestionNo, json: bool) -> Result<ExitCode, Failure> {
    let Some(trace) = timeline.trace(player, question) else {
        let message = format!("player {player} has no answer to question {question} that was scored");
        return Err(Failure::new(Exit::NotFound, message)
            .hint("questions are numbered from 0; an answer that came too late or did not fit is not scored"));
    };
    let complete = trace.is_complete();
    if json {
        println!("{}", serde_json::to_string(&trace).expect("a trace has only string keys"));
    } else {
        println!("{}", text::one(&trace));
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(Exit::Found as u8) })
}

fn all(timeline: &Timeline, json: bool) -> Result<ExitCode, Failure> {
    let spread = timeline.spread();
    if spread.answers == 0 {
        return Err(Failure::new(Exit::NotFound, "the game has no answer that was scored"));
    }
    if json {
        println!("{}", serde_json::to_string(&spread).expect("a spread has only string keys"));
    } else {
        println!("{}", text::all(&spread));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads what the log has of a game, or as much of it as one answer needs.
///
/// # Errors
/// When the broker or the registry does not answer.
pub async fn read(reader: &RangeReader, game: GameId, answer: Option<AnswerOf>) -> Result<Timeline, RangeError> {
    let timeline = Arc::new(Mutex::new(Timeline::new(game)));
    let of_game = partition_of(game_key(game).as_bytes(), GAME_PARTITIONS);
    let each = [Topic::Sessions, Topic::Scores, Topic::Results, Topic::Tallies];
    try_join_all(each.map(|topic| fold(reader, &timeline, topic, of_game, 0))).await?;
    let partitions = {
        let timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
        answers_of(&timeline, game, answer)
    };
    try_join_all(
        partitions.into_iter().map(|(partition, from)| fold(reader, &timeline, Topic::Answers, partition, from)),
    )
    .await?;
    let timeline = Arc::into_inner(timeline).expect("nobody reads any more");
    Ok(timeline.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The partitions that hold the answers, and from where they are to be read.
fn answers_of(timeline: &Timeline, game: GameId, answer: Option<AnswerOf>) -> BTreeSet<(i32, i64)> {
    let Some(lanes) = timeline.lanes() else { return BTreeSet::new() };
    let partition = |lane: LaneNo| partition_of(LaneKey { game, lane }.to_string().as_bytes(), LANE_PARTITIONS);
    match answer {
        Some((player, question)) => {
            let lane = LaneKey::of(game, player, lanes).lane;
            BTreeSet::from([(partition(lane), timeline.opened_offset(lane, question).unwrap_or(0))])
        }
        None => (0..lanes).map(|lane| (partition(lane), 0)).collect(),
    }
}

/// Folds a partition's records in as they come, so that no more of them is held than a trace needs.
async fn fold(
    reader: &RangeReader,
    timeline: &Arc<Mutex<Timeline>>,
    topic: Topic,
    partition: i32,
    from: i64,
) -> Result<(), RangeError> {
    let timeline = Arc::clone(timeline);
    let take = move |record: &quiz_stream::Record| {
        timeline.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        false
    };
    reader.read(topic, partition, from, take).await.map(|_| ())
}

#[cfg(test)]
mod tests;
