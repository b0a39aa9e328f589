//! The ledger: what the clients saw, what the log holds, what the workers reported, what the store
//! keeps. Four records of one game, question by question.

use std::collections::BTreeMap;

use quiz_schemas::events::LaneCounts;
use quiz_schemas::{LaneKey, PlayerId, QuestionNo};
use quiz_store::Store;
use serde::Serialize;

use super::replay::Replayed;
use super::tally::Tally;
use crate::exit::{Exit, Failure};

/// One question's line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Line {
    /// The question, from 0.
    pub question: QuestionNo,
    /// Answers that clients sent, resends not counted again.
    pub sent: u64,
    /// Answers that clients saw acknowledged.
    pub acked: u64,
    /// First answers judged, as the scoring workers report.
    pub scored: u64,
    /// Answers in the store.
    pub stored: u64,
    /// Acknowledged, but in no lane's count, or not where the ack said: must be 0.
    pub lost: u64,
    /// Effects beyond the first for one player and question: must be 0.
    pub duplicates: u64,
    /// First answers that came too late to count, as published.
    pub late: u64,
}

/// All questions of a game.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// In playing order.
    pub lines: Vec<Line>,
}

impl Ledger {
    /// The sum over all questions.
    pub fn total(&self) -> Line {
        let mut sum = Line::default();
        for line in &self.lines {
            sum.sent += line.sent;
            sum.acked += line.acked;
            sum.scored += line.scored;
            sum.stored += line.stored;
            sum.lost += line.lost;
            sum.duplicates += line.duplicates;
            sum.late += line.late;
        }
        sum
    }

    /// Whether nothing was lost and nothing counted twice.
    pub fn balances(&self) -> bool {
        self.lines.iter().all(|line| line.lost == 0 && line.duplicates == 0 && line.scored == line.stored)
    }
}

/// How many answers to `question` the store holds, over the game's lanes.
///
/// # Errors
/// When the store does not answer.
pub async fn stored(
    store: &dyn Store,
    lanes: &[LaneKey],
    question: QuestionNo,
) -> Result<BTreeMap<PlayerId, u32>, Failure> {
    let mut players = BTreeMap::new();
    for lane in lanes {
        let answers = store.answers(*lane, question).await.map_err(|err| Failure::new(Exit::Unavailable, err))?;
        for answer in answers {
            *players.entry(answer.player).or_default() += 1;
        }
    }
    Ok(players)
}

/// Closes the ledger.
///
/// # Errors
/// When the store does not answer.
pub async fn close(
    tally: &Tally,
    replayed: &Replayed,
    reported: &BTreeMap<QuestionNo, LaneCounts>,
    store: &dyn Store,
    lanes: &[LaneKey],
) -> Result<Ledger, Failure> {
    let mut lines = tally.each(|question, seen| {
        let counts = reported.get(&question).copied().unwrap_or_default();
        let effects = |player: &PlayerId| replayed.effects.get(&(question, *player)).copied().unwrap_or(0);
        let late = u64::try_from(counts.late).unwrap_or(0);
        // An acknowledged answer is accounted for when it stands where its ack said and its player
        // has an effect, or is among those that the lanes counted as late.
        let unscored = seen.acked.keys().filter(|player| effects(player) == 0).count() as u64;
        let misplaced = seen.acked.iter().filter(|(player, acked)| {
            replayed
                .submissions
                .get(&(question, **player, acked.submission))
                .is_none_or(|first| *first > acked.position)
        });
        Line {
            question,
            sent: seen.sent,
            acked: seen.acked.len() as u64,
            scored: u64::try_from(counts.scored).unwrap_or(0),
            stored: 0,
            lost: unscored.saturating_sub(late) + misplaced.count() as u64,
            duplicates: seen.acked.keys().map(|player| u64::from(effects(player).saturating_sub(1))).sum(),
            late,
        }
    });
    for line in &mut lines {
        let players = stored(store, lanes, line.question).await?;
        line.stored = players.values().map(|count| u64::from(*count)).sum();
        line.duplicates += players.values().map(|count| u64::from(count.saturating_sub(1))).sum::<u64>();
    }
    Ok(Ledger { lines })
}
