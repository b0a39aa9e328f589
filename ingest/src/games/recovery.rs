//! What a game told lately: a client that was away for a moment is told what it missed, and no more.

use std::collections::VecDeque;
use std::sync::Arc;

use quiz_game::view::{EventId, GameView};
use quiz_schemas::LaneNo;
use quiz_schemas::events::{BoardRow, Outcome, ResultsBody, ResultsRecord};

use crate::limits::{RECOVERY_BYTES_MAX, RECOVERY_QUESTIONS_MAX, RECOVERY_RECORDS_MAX};

/// A result as it was read.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its offset in the game's partition.
    pub at: i64,
    /// When the log took it, by the cluster's clock, µs since 1970.
    pub appended_at_us: i64,
    /// The result.
    pub record: Arc<ResultsRecord>,
}

/// The place of a durable message in the course of its game. The messages of a game come in this
/// order in every replay: question, closed, board, outcomes by lane and part, next question, over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    question: i32,
    stage: Stage,
    lane: LaneNo,
    part: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Shown,
    Stopped,
    Board,
    Outcomes,
    Over,
}

impl Rank {
    fn new(question: i32, stage: Stage) -> Self {
        Self { question, stage, lane: 0, part: 0 }
    }

    fn over() -> Self {
        Self::new(i32::MAX, Stage::Over)
    }

    /// None for what leads to no durable message.
    fn of(record: &ResultsRecord) -> Option<Self> {
        let id: EventId = record.event_id.as_deref()?.parse().ok()?;
        match &record.body {
            ResultsBody::QuestionShown(shown) => Some(Self::new(shown.question.into(), Stage::Shown)),
            ResultsBody::QuestionStopped(stopped) => Some(Self::new(stopped.question.into(), Stage::Stopped)),
            ResultsBody::BoardPublished(board) => Some(Self::new(board.question.into(), Stage::Board)),
            ResultsBody::OutcomesPublished(batch) => match id {
                EventId::Outcomes(question, lane) => {
                    Some(Self { question: question.into(), stage: Stage::Outcomes, lane, part: batch.part })
                }
                _ => None,
            },
            ResultsBody::GameEnded(_) => Some(Self::over()),
            _ => None,
        }
    }

    /// How far the view is.
    fn of_view(view: &GameView) -> Option<Self> {
        if view.over.is_some() {
            return Some(Self::over());
        }
        let shown = view.question.as_ref().map(|shown| {
            let stage = if view.accepting { Stage::Shown } else { Stage::Stopped };
            Self::new(shown.question.into(), stage)
        });
        let board = view.board.as_ref().map(|board| Self::new(board.question.into(), Stage::Board));
        let lanes = view.outcomes.iter().enumerate().filter_map(|(lane, seen)| {
            let (lane, seen) = (LaneNo::try_from(lane).ok()?, seen.as_ref()?);
            Some(Self { question: seen.question.into(), stage: Stage::Outcomes, lane, part: seen.part })
        });
        lanes.chain(shown).chain(board).max()
    }
}

struct Kept {
    rank: Rank,
    bytes: usize,
    told: Told,
}

/// The newest durable results of a game, bounded in number, bytes and questions.
///
/// What was read behind the view's cursor is exact: the view drops what is published again. Before
/// it there is what the log has, in which a result may come twice, and the first time may be out of
/// reach. There a client's own cursor helps: it names a record that was news once, and of what
/// follows only that is news which comes later in the course of the game.
pub struct Recovery {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The newest question of which there is a result.
    newest: i32,
    /// The cursor of the view that the game was loaded from.
    base: i64,
    /// How far that view is.
    base_rank: Option<Rank>,
    /// The highest offset that was read.
    stood: i64,
    /// The highest offset that was let go.
    lost: i64,
    /// The furthest result kept, and where it came first.
    furthest: Option<(Rank, i64)>,
}

impl Recovery {
    /// Of a game that was loaded from a view with this cursor. Nothing is read yet.
    #[must_use]
    pub fn new(view: &GameView, cursor: Option<i64>) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            newest: 0,
            base: cursor.unwrap_or(-1),
            base_rank: Rank::of_view(view),
            stood: -1,
            lost: -1,
            furthest: None,
        }
    }

    /// Of a game that goes on behind a gap of the log that ends before `next`.
    #[must_use]
    pub fn behind_gap(view: &GameView, next: i64) -> Self {
        let stood = next - 1;
        Self { stood, lost: stood, ..Self::new(view, Some(stood)) }
    }

    /// Whether the record at this offset has been read before.
    #[must_use]
    pub fn has_read(&self, at: i64) -> bool {
        at <= self.stood
    }

    /// Whether the record at this offset is in the view that the game was loaded from.
    #[must_use]
    pub fn is_before_view(&self, at: i64) -> bool {
        at <= self.base
    }

    /// Whether records before the view's cursor may still come, so that it is too early to say
    /// what a client with a cursor there has missed.
    #[must_use]
    pub fn is_early_for(&self, cursor: i64) -> bool {
        cursor < self.base && self.is_reading_back()
    }

    /// Whether records before the view's cursor may still come.
    #[must_use]
    pub fn is_reading_back(&self) -> bool {
        self.stood < self.base
    }

    /// Notes that everything up to `at` has been read.
    pub fn read_to(&mut self, at: i64) {
        self.stood = self.stood.max(at);
    }

    /// Keeps a result, if it leads to a durable message. To be called in the order of the log, with
    /// what is in the view already (see [`Recovery::is_before_view`]) and with what the view took.
    pub fn keep(&mut self, told: Told) {
        let Some(rank) = Rank::of(&told.record) else { return };
        if self.furthest.is_none_or(|(furthest, _)| rank > furthest) {
            self.furthest = Some((rank, told.at));
        }
        if rank.stage != Stage::Over {
            self.newest = self.newest.max(rank.question);
        }
        let bytes = bytes_of(&told.record);
        self.bytes += bytes;
        self.kept.push_back(Kept { rank, bytes, told });
        while self.is_over_full() {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes;
            self.lost = oldest.told.at;
        }
    }

    fn is_over_full(&self) -> bool {
        let is_old = |oldest: &Kept| oldest.rank.question <= self.newest - RECOVERY_QUESTIONS_MAX;
        self.kept.len() > RECOVERY_RECORDS_MAX
            || self.bytes > RECOVERY_BYTES_MAX
            || self.kept.front().is_some_and(is_old)
    }

    /// The cursor of a client that is told the present state. It names a record that leads to a
    /// durable message, when one is known, so that another edge can begin from it too.
    #[must_use]
    pub fn place(&self) -> i64 {
        match self.furthest {
            Some((rank, at)) if at > self.base || Some(rank) >= self.base_rank => at,
            _ => self.base,
        }
    }

    /// What a client at `cursor` has missed, in order; none when that cannot be told for sure.
    #[must_use]
    pub fn since(&self, cursor: i64) -> Option<Vec<&Told>> {
        if cursor > self.stood.max(self.base) || cursor < self.lost || self.is_early_for(cursor) {
            return None;
        }
        let first = self.kept.partition_point(|kept| kept.told.at <= cursor);
        let mut known = None;
        if cursor < self.base {
            let own = self.kept.get(first.checked_sub(1)?)?;
            if own.told.at != cursor {
                return None;
            }
            known = Some(own.rank);
        }
        let mut missed = Vec::new();
        for kept in self.kept.range(first..) {
            if known.is_none_or(|known| kept.rank > known) || !self.is_before_view(kept.told.at) {
                known = known.max(Some(kept.rank)).filter(|_| cursor < self.base);
                missed.push(&kept.told);
            }
        }
        Some(missed)
    }
}

/// About what a record holds in memory.
fn bytes_of(record: &ResultsRecord) -> usize {
    let rows = |rows: &[BoardRow]| rows.iter().map(|row| size_of::<BoardRow>() + row.nickname.len()).sum::<usize>();
    let body = match &record.body {
        ResultsBody::QuestionShown(shown) => {
            let options: usize = shown.view.options.iter().map(|option| size_of::<String>() + option.len()).sum();
            shown.view.prompt.len() + options
        }
        ResultsBody::BoardPublished(board) => {
            rows(&board.top) + board.explanation.as_ref().map_or(0, String::len) + 8 * board.distribution.len()
        }
        ResultsBody::OutcomesPublished(batch) => batch.outcomes.len() * size_of::<Outcome>(),
        ResultsBody::GameEnded(ended) => rows(&ended.top),
        _ => 0,
    };
    size_of::<ResultsRecord>() + size_of::<Kept>() + body
}
