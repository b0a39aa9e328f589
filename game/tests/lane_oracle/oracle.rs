//! The policy table of a lane, written for the reader and not for speed: it keeps every answer it
//! was ever told and works every number out from the beginning.

use std::collections::{BTreeMap, BTreeSet};

use quiz_game::lane::{AnswerScored, LaneEffect, MarkerRefusal, QuestionScored};
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Response};
use quiz_schemas::{PlayerId, QuestionNo, submission_digest};

const GRACE_US: i64 = 300_000;

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Scored,
    Duplicate,
    Late,
    Refused,
}

/// An answer and what became of it.
struct Told {
    answer: AnswerSubmitted,
    outcome: Outcome,
    /// At which question it is counted.
    counted_at: Option<QuestionNo>,
    verdict: Verdict,
    points: i32,
    /// How many questions had closed before it.
    closes_before: usize,
}

#[derive(Default)]
pub struct Oracle {
    told: Vec<Told>,
    markers: Vec<LaneOpened>,
    closes: Vec<QuestionNo>,
    open: Option<LaneOpened>,
}

impl Oracle {
    pub fn apply(&mut self, body: &AnswersBody) -> LaneEffect {
        match body {
            AnswersBody::LaneOpened(marker) => self.open(marker),
            AnswersBody::LaneClosed(marker) => self.close(marker.question),
            AnswersBody::AnswerSubmitted(answer) => self.answer(answer),
            AnswersBody::Unknown => LaneEffect::Ignored,
        }
    }

    pub fn open_question(&self) -> Option<QuestionNo> {
        self.open.as_ref().map(|marker| marker.question)
    }

    pub fn answers(&self) -> i64 {
        self.told.len() as i64
    }

    /// Every question that anything was counted at, with its counts.
    pub fn all_counts(&self) -> BTreeMap<QuestionNo, LaneCounts> {
        let questions: BTreeSet<QuestionNo> = self.markers.iter().map(|marker| marker.question).collect();
        questions.into_iter().map(|question| (question, self.counts(question))).collect()
    }

    pub fn counts(&self, question: QuestionNo) -> LaneCounts {
        let is_first = self.markers.first().is_some_and(|first| first.question == question);
        let here: Vec<&Told> = self
            .told
            .iter()
            .filter(|told| told.counted_at == Some(question) || (told.counted_at.is_none() && is_first))
            .collect();
        let number = |outcome| here.iter().filter(|told| told.outcome == outcome).count() as i64;
        LaneCounts {
            received: here.len() as i64,
            scored: number(Outcome::Scored),
            duplicate: number(Outcome::Duplicate),
            late: number(Outcome::Late),
            refused: number(Outcome::Refused),
            digest: here.iter().fold(0, |sum: i64, told| {
                sum.wrapping_add(submission_digest(told.answer.player, told.answer.submission))
            }),
        }
    }

    fn open(&mut self, marker: &LaneOpened) -> LaneEffect {
        let is_behind = self.closes.last().is_none_or(|last| marker.question > *last);
        if !is_behind || self.open_question() == Some(marker.question) {
            return LaneEffect::Ignored;
        }
        let refusal = if self.open.is_some() {
            Some(MarkerRefusal::QuestionOpen)
        } else if marker.rule != "speed-v1" {
            Some(MarkerRefusal::UnknownRule)
        } else if matches!(&marker.key, AnswerKey::Single { options, .. } if *options > 12) {
            Some(MarkerRefusal::BadKey)
        } else if marker.limit_us < 1 {
            Some(MarkerRefusal::BadLimit)
        } else if marker.points_max < 0 {
            Some(MarkerRefusal::BadPoints)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return LaneEffect::Refused(refusal);
        }
        self.open = Some(marker.clone());
        self.markers.push(marker.clone());
        LaneEffect::Opened
    }

    fn answer(&mut self, answer: &AnswerSubmitted) -> LaneEffect {
        let is_open = self.open_question() == Some(answer.question);
        let is_last_closed = self.closes.last() == Some(&answer.question);
        let has_one = self.told.iter().any(|told| {
            told.answer.player == answer.player
                && told.answer.question == answer.question
                && (told.outcome == Outcome::Scored || told.outcome == Outcome::Late)
        });
        let judged = self.open.as_ref().filter(|_| is_open).and_then(|marker| naive_judge(&marker.key, answer));
        let is_slow = self.open.as_ref().is_some_and(|marker| answer.elapsed_us > marker.limit_us + GRACE_US);
        let outcome = if (is_open || is_last_closed) && has_one {
            Outcome::Duplicate
        } else if is_last_closed && !is_open {
            Outcome::Late
        } else if !is_open {
            Outcome::Refused
        } else if is_slow {
            Outcome::Late
        } else if judged.is_none() {
            Outcome::Refused
        } else {
            Outcome::Scored
        };
        let stands = self.open_question().or(self.closes.last().copied());
        let counted_at = if is_open || is_last_closed { Some(answer.question) } else { stands };
        let (verdict, points) = match (outcome, judged) {
            (Outcome::Scored, Some((verdict, earned, possible))) => {
                (verdict, self.pay(answer, verdict, earned, possible))
            }
            _ => (Verdict::Late, 0),
        };
        let closes_before = self.closes.len();
        self.told.push(Told { answer: answer.clone(), outcome, counted_at, verdict, points, closes_before });
        if outcome == Outcome::Scored {
            LaneEffect::Scored(AnswerScored { verdict, points, elapsed_us: self.time_taken(answer) })
        } else {
            LaneEffect::Counted(counted_at)
        }
    }

    fn pay(&self, answer: &AnswerSubmitted, verdict: Verdict, earned: i128, possible: i128) -> i32 {
        let marker = self.open.as_ref().expect("only answers to the open question are paid");
        if verdict != Verdict::Correct && verdict != Verdict::Partial {
            return 0;
        }
        let mut points = naive_points(answer.elapsed_us, marker.limit_us, marker.points_max, earned, possible);
        if verdict == Verdict::Correct && marker.streaks && marker.points_max > 0 {
            let nth = self.streak(answer.player, self.closes.len()) + 1;
            points += match nth {
                1 => 0,
                2..=5 => 100 * (nth - 1),
                _ => 500,
            };
        }
        points
    }

    fn close(&mut self, question: QuestionNo) -> LaneEffect {
        if self.open_question() != Some(question) {
            return LaneEffect::Ignored;
        }
        let marker = self.open.take().expect("it is open");
        let distribution = self.distribution(&marker);
        self.closes.push(question);
        let has_answer = |told: &&Told| told.outcome == Outcome::Scored || told.outcome == Outcome::Late;
        let players: BTreeSet<PlayerId> = self.told.iter().filter(has_answer).map(|told| told.answer.player).collect();
        let outcomes = players.into_iter().map(|player| self.outcome(player, question)).collect();
        LaneEffect::Closed(QuestionScored {
            question,
            counts: self.counts(question),
            report: LaneScored { part: 0, parts: 1, distribution, outcomes },
        })
    }

    fn distribution(&self, marker: &LaneOpened) -> Vec<i64> {
        let (AnswerKey::Single { options, .. } | AnswerKey::Multiple { options, .. } | AnswerKey::Poll { options }) =
            marker.key
        else {
            return Vec::new();
        };
        let scored = self.told.iter().filter(|told| told.outcome == Outcome::Scored);
        let here: Vec<&Told> = scored.filter(|told| told.answer.question == marker.question).collect();
        let has_picked =
            |told: &Told, option| matches!(&told.answer.response, Response::Picks(picks) if picks.contains(option));
        (0..options).map(|option| here.iter().filter(|told| has_picked(told, option)).count() as i64).collect()
    }

    /// The player's answer to a question that closed, or is closing, as the `nth` in the lane.
    fn given(&self, player: PlayerId, nth: usize) -> Option<&Told> {
        self.told.iter().find(|told| {
            told.answer.player == player
                && told.answer.question == self.closes[nth]
                && told.closes_before == nth
                && (told.outcome == Outcome::Scored || told.outcome == Outcome::Late)
        })
    }

    fn outcome(&self, player: PlayerId, question: QuestionNo) -> PlayerScore {
        let closes = self.closes.len();
        assert_eq!(self.closes[closes - 1], question);
        let all: Vec<&Told> = (0..closes).filter_map(|nth| self.given(player, nth)).collect();
        let right = all.iter().filter(|told| told.verdict == Verdict::Correct);
        let last = self.given(player, closes - 1);
        PlayerScore {
            player,
            verdict: last.map_or(Verdict::Unanswered, |told| told.verdict),
            points: last.map_or(0, |told| told.points),
            total: all.iter().map(|told| i64::from(told.points)).sum(),
            streak: self.streak(player, closes),
            elapsed_us: last.map_or(0, |told| self.time_taken(&told.answer)),
            elapsed_total_us: right.map(|told| self.time_taken(&told.answer)).sum(),
        }
    }

    /// Right answers in a row over the first `closes` closed questions, polls left out.
    fn streak(&self, player: PlayerId, closes: usize) -> i32 {
        let mut streak = 0;
        for nth in 0..closes {
            if matches!(self.marker(self.closes[nth]).key, AnswerKey::Poll { .. }) {
                continue;
            }
            let is_right = self.given(player, nth).is_some_and(|told| told.verdict == Verdict::Correct);
            streak = if is_right { streak + 1 } else { 0 };
        }
        streak
    }

    fn marker(&self, question: QuestionNo) -> &LaneOpened {
        self.markers.iter().find(|marker| marker.question == question).expect("it was opened")
    }

    fn time_taken(&self, answer: &AnswerSubmitted) -> i64 {
        answer.elapsed_us.max(0).min(self.marker(answer.question).limit_us)
    }
}

/// Verdict, earned, possible; none for a misfit.
fn naive_judge(key: &AnswerKey, answer: &AnswerSubmitted) -> Option<(Verdict, i128, i128)> {
    let right = |is_right| if is_right { (Verdict::Correct, 1, 1) } else { (Verdict::Wrong, 0, 1) };
    let of = |earned: i128, possible: i128| match earned {
        ..=0 => (Verdict::Wrong, 0, possible),
        _ if earned == possible => (Verdict::Correct, possible, possible),
        _ => (Verdict::Partial, earned, possible),
    };
    match (key, &answer.response) {
        (AnswerKey::Number { value, tolerance }, Response::Number(number)) if number.is_finite() => {
            Some(right(number - value <= *tolerance && value - number <= *tolerance))
        }
        (AnswerKey::Text { accepted }, Response::Text(text)) if !text.trim().is_empty() => {
            let typed = text.trim().to_lowercase();
            Some(right(accepted.iter().any(|accepted| accepted.to_lowercase() == typed)))
        }
        (key, Response::Picks(picks)) => {
            let list = picks.as_slice();
            let set: BTreeSet<u8> = list.iter().copied().collect();
            let fits = |options: u8| set.len() == list.len() && set.iter().all(|pick| *pick < options);
            match key {
                AnswerKey::Single { options, correct } if fits(*options) && list.len() == 1 => {
                    Some(right(correct.contains(list[0])))
                }
                AnswerKey::Poll { options } if fits(*options) && list.len() == 1 => Some((Verdict::Counted, 0, 1)),
                AnswerKey::Multiple { options, correct } if fits(*options) && !list.is_empty() => {
                    let correct: BTreeSet<u8> = correct.as_slice().iter().copied().collect();
                    let hits = set.intersection(&correct).count() as i128;
                    let misses = set.difference(&correct).count() as i128;
                    Some(of(hits - misses, correct.len() as i128))
                }
                AnswerKey::Order { correct } => {
                    let order = correct.as_slice();
                    let fits = fits(order.len() as u8) && list.len() == order.len();
                    let in_place = (0..order.len()).filter(|at| fits && list[*at] == order[*at]).count();
                    fits.then(|| of(in_place as i128, order.len() as i128))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The published formula in whole numbers: among all payments from 0 to the most, the highest that is
/// at most half a point above the exact value.
pub fn naive_points(elapsed_us: i64, limit_us: i64, points_max: i32, earned: i128, possible: i128) -> i32 {
    let round_half_up = |part: i128, whole: i128| {
        (0..=i128::from(points_max)).rev().find(|n| (2 * n - 1) * whole <= 2 * part).unwrap_or(0)
    };
    let (t, limit, most) = (i128::from(elapsed_us), i128::from(limit_us), i128::from(points_max));
    let t = t.clamp(0, limit);
    let t = if t < 500_000 { 0 } else { t };
    let full = round_half_up(most * (2 * limit - t), 2 * limit);
    round_half_up(full * earned, possible) as i32
}
