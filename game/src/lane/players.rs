//! The players of a lane.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use quiz_schemas::events::{PlayerScore, Verdict};
use quiz_schemas::{PlayerId, QuestionNo, SubmissionId};

use super::PlayerTotal;
use super::open::{Given, OpenQuestion};

/// Edges draw player ids at random, so nobody can choose ids that collide: no keyed hash is needed.
pub(super) type Players = HashMap<PlayerId, Player, BuildHasherDefault<IdHasher>>;

/// One player who has answered in the lane.
#[derive(Clone, Debug, Default)]
pub(super) struct Player {
    total: i64,
    elapsed_total_us: i64,
    pub(super) streak: i32,
    /// As [`PlayerTotal::last`]; does not know of `given` yet.
    pub(super) last: Option<(QuestionNo, SubmissionId)>,
    /// The answer to the open question.
    pub(super) given: Option<Given>,
}

impl From<PlayerTotal> for Player {
    fn from(total: PlayerTotal) -> Self {
        Self {
            total: total.total,
            elapsed_total_us: total.elapsed_total_us,
            streak: total.streak,
            last: total.last,
            given: None,
        }
    }
}

impl Player {
    /// A player whose first answer in this lane is `given`.
    pub(super) fn new(given: Given) -> Self {
        Self { given: Some(given), ..Self::default() }
    }

    /// Whether there is an answer to the closed `question`.
    pub(super) fn has_answered(&self, question: QuestionNo) -> bool {
        self.last.is_some_and(|(last, _)| last == question)
    }

    pub(super) fn total(&self, player: PlayerId) -> PlayerTotal {
        PlayerTotal {
            player,
            total: self.total,
            streak: self.streak,
            elapsed_total_us: self.elapsed_total_us,
            last: self.last,
        }
    }

    /// Adds the answer to the closing question, or its absence, to the totals.
    pub(super) fn settle(&mut self, player: PlayerId, open: &OpenQuestion) -> PlayerScore {
        let (verdict, points, elapsed_us) = match self.given.take() {
            Some(given) => {
                self.last = Some((open.question, given.submission));
                (given.verdict, given.points, given.elapsed_us)
            }
            None => (Verdict::Unanswered, 0, 0),
        };
        self.total = self.total.saturating_add(i64::from(points));
        if verdict == Verdict::Correct {
            self.streak = self.streak.saturating_add(1);
            self.elapsed_total_us = self.elapsed_total_us.saturating_add(elapsed_us);
        } else if !open.is_poll() {
            self.streak = 0;
        }
        PlayerScore {
            player,
            verdict,
            points,
            total: self.total,
            streak: self.streak,
            elapsed_us,
            elapsed_total_us: self.elapsed_total_us,
        }
    }
}

/// Spreads a 63-bit id over the hash: one multiplication, and the good high bits brought down to
/// where the map looks for its bucket.
#[derive(Clone, Copy, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }
}
