//! Documents drawn from a seed.

use quiz_game::lane::{LaneSnapshot, PlayerTotal};
use quiz_game::view::GameView;
use quiz_schemas::events::{
    BoardPublished, BoardRow, EdgeTotals, GameOpened, Imbalance, LaneCounts, LaneTotals, LedgerState, Outcome,
    QuestionLedger, Suspect, Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{GameId, LaneKey, Pin, PlayerId, Position, QuestionNo, SubmissionId};

use crate::documents::{AnswerDoc, BoardDoc, LaneDoc, LedgerDoc, PinDoc, StandingsDoc, ViewDoc};

/// A source of documents: the same seed gives the same ones.
#[derive(Clone, Debug)]
pub struct Sample(u64);

const VERDICTS: [Verdict; 6] =
    [Verdict::Unanswered, Verdict::Correct, Verdict::Partial, Verdict::Wrong, Verdict::Counted, Verdict::Late];

const TEXTS: [&str; 6] = ["", "Zürich", "東京\u{0}\u{7}", "\u{1F600}\u{200D}\u{1F525}", "$set.a'\"{}", "e\u{301}"];

impl Sample {
    /// A source that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits (SplitMix64).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// A game that nobody else has.
    pub fn game(&mut self) -> GameId {
        GameId::from_bits(self.bits())
    }

    /// A lane of such a game.
    pub fn lane(&mut self) -> LaneKey {
        LaneKey { game: self.game(), lane: self.below(50) as u16 }
    }

    /// A player.
    pub fn player(&mut self) -> PlayerId {
        PlayerId::from_bits(self.bits())
    }

    /// A text, often an awkward one.
    pub fn text(&mut self) -> String {
        format!("{}{}", self.pick(&TEXTS), self.below(1_000))
    }

    fn response(&mut self) -> Response {
        match self.below(3) {
            0 => {
                let picks: Vec<u8> = (0..self.below(4)).map(|at| at as u8 * 3).collect();
                Response::Picks(Picks::new(&picks).expect("fewer than 12"))
            }
            1 => Response::Text(self.text()),
            _ => Response::Number(self.below(1 << 40) as f64 / 64.0),
        }
    }

    /// An answer of `player` in `lane`.
    pub fn answer(&mut self, lane: LaneKey, question: QuestionNo, player: PlayerId) -> AnswerDoc {
        AnswerDoc {
            game: lane.game,
            lane: lane.lane,
            question,
            player,
            submission: SubmissionId::from_bits(self.bits()),
            response: self.response(),
            verdict: self.pick(&VERDICTS),
            points: self.below(2_000) as i32,
            elapsed_us: self.below(60_000_000) as i64,
            received_at_us: self.below(1 << 51) as i64,
            position: Position { partition: self.below(24) as i32, offset: self.below(1 << 40) as i64 },
        }
    }

    /// A lane that stands at `offset`, with `players` players.
    pub fn lane_doc(&mut self, lane: LaneKey, offset: i64, players: usize) -> LaneDoc {
        let mut snapshot = LaneSnapshot {
            closed: Some(self.below(1_000) as u16),
            counts: LaneCounts { received: self.below(1 << 40) as i64, ..LaneCounts::default() },
            ..LaneSnapshot::default()
        };
        for _ in 0..players {
            let last = match self.below(3) {
                0 => None,
                _ => Some((self.below(100) as u16, SubmissionId::from_bits(self.bits()))),
            };
            snapshot.players.push(PlayerTotal {
                player: self.player(),
                total: self.below(1 << 40) as i64,
                streak: self.below(100) as i32,
                elapsed_total_us: self.below(1 << 50) as i64,
                last,
            });
        }
        snapshot.players.sort_by_key(|row| row.player);
        LaneDoc { lane, position: Position { partition: 3, offset }, snapshot }
    }

    fn rows(&mut self) -> Vec<BoardRow> {
        let count = self.below(4) as i32;
        (0..count)
            .map(|at| BoardRow {
                rank: at + 1,
                player: self.player(),
                nickname: self.text(),
                total: self.below(1 << 40) as i64,
                points: self.below(2_000) as i32,
            })
            .collect()
    }

    /// A view of `game` in `version`.
    pub fn view_doc(&mut self, game: GameId, version: i64) -> ViewDoc {
        let mut view = GameView::new(game);
        view.players = self.below(1_000) as i32;
        view.session_seq = self.below(1 << 40) as i64;
        view.opened = Some(GameOpened {
            pin: Pin::from_index(self.below(1_000_000) as u32),
            title: self.text(),
            questions: 10,
            lanes: 3,
            capacity: 100,
        });
        view.board = Some(BoardPublished {
            question: 2,
            key: AnswerKey::Multiple { options: 4, correct: Picks::new(&[0, 3]).expect("fewer than 12") },
            explanation: Some(self.text()),
            distribution: vec![1, 0, i64::MAX],
            answered: 3,
            correct: 1,
            players: 4,
            top: self.rows(),
            last: false,
        });
        let cursor = (self.below(4) > 0).then(|| Position { partition: 5, offset: self.below(1 << 40) as i64 });
        ViewDoc { game, version, cursor, view }
    }

    /// A board of `game` after `question`.
    pub fn board_doc(&mut self, game: GameId, question: QuestionNo) -> BoardDoc {
        let (players, answered) = (self.below(1_000) as i32, self.below(1_000) as i64);
        BoardDoc { game, question, players, answered, top: self.rows() }
    }

    /// Standings of `players` players of `lane` after `question`.
    pub fn standings_doc(&mut self, lane: LaneKey, question: QuestionNo, players: usize) -> StandingsDoc {
        let outcomes = (0..players)
            .map(|at| Outcome {
                player: self.player(),
                verdict: self.pick(&VERDICTS),
                points: self.below(2_000) as i32,
                total: self.below(1 << 40) as i64,
                rank: at as i32 + 1,
                gap: self.below(1_000) as i64,
                streak: self.below(10) as i32,
            })
            .collect();
        StandingsDoc { lane, question, outcomes }
    }

    /// The books of a question in `version`.
    pub fn ledger_doc(&mut self, game: GameId, question: QuestionNo, version: i32) -> LedgerDoc {
        let count = self.below(1 << 40) as i64;
        let suspect = Suspect { submission: SubmissionId::from_bits(self.bits()), kind: Imbalance::Lost };
        let ledger = QuestionLedger {
            version,
            state: self.pick(&[LedgerState::Open, LedgerState::Balanced, LedgerState::Imbalanced]),
            edges: EdgeTotals { received: count, acked: count, ..EdgeTotals::default() },
            lanes: LaneTotals { logged: count, scored: count, stored: count, ..LaneTotals::default() },
            lost: 0,
            unstored: 1,
            phantom: 0,
            unclaimed: 2,
            suspects: vec![suspect; self.below(3) as usize],
        };
        LedgerDoc { game, question, ledger }
    }

    /// A reservation of a random PIN by a new game until `expires_at_us`.
    pub fn pin_doc(&mut self, expires_at_us: i64) -> PinDoc {
        let pin = Pin::from_index(self.bits() as u32);
        PinDoc { pin, game: self.game(), lanes: self.below(50) as u16 + 1, expires_at_us }
    }
}
