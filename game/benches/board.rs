//! How long a board takes: 20,000 players in 10 lanes, all with other totals, and all tied.

use criterion::{Criterion, criterion_group, criterion_main};
use quiz_game::board::{BOARD_ROWS, Reports, Roster};
use quiz_schemas::events::{LaneCounts, LaneScored, PlayerScore, ScoresRecord, Verdict};
use quiz_schemas::{GameId, LaneKey, PlayerId, Position};
use std::hint::black_box;

const PLAYERS: u64 = 20_000;
const LANES: u16 = 10;

fn game(total: impl Fn(u64) -> i64) -> (Roster, Reports) {
    let game = GameId::from_bits(1);
    let mut roster = Roster::default();
    let mut rows = vec![Vec::new(); usize::from(LANES)];
    for n in 0..PLAYERS {
        // An odd factor spreads the ids as random ones are spread.
        let player = PlayerId::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let lane = LaneKey::of(game, player, LANES).lane;
        roster.admit(player, &format!("player {n}"), lane, 0);
        let total = total(n);
        rows[usize::from(lane)].push(PlayerScore {
            player,
            verdict: Verdict::Correct,
            points: 900,
            total,
            streak: 1,
            elapsed_us: 1,
            elapsed_total_us: 1,
        });
    }
    let mut reports = Reports::default();
    for (lane, outcomes) in rows.into_iter().enumerate() {
        let record = ScoresRecord {
            game,
            lane: lane as u16,
            question: 0,
            position: Position::default(),
            counts: LaneCounts::default(),
            body: LaneScored { part: 0, parts: 1, distribution: vec![], outcomes }.into(),
        };
        reports.take(&record, 0).expect("the report is well formed");
    }
    reports.settle(0);
    (roster, reports)
}

fn board(c: &mut Criterion) {
    for (name, (roster, reports)) in
        [("spread", game(|n| (n.wrapping_mul(7_919) % 40_000) as i64)), ("tied", game(|_| 1_000))]
    {
        c.bench_function(&format!("board of 20,000 players, {name}"), |b| {
            b.iter(|| {
                let standing = reports.standing(&roster, 1);
                black_box((standing.top(BOARD_ROWS), standing.outcomes(LANES)))
            });
        });
    }
}

criterion_group!(benches, board);
criterion_main!(benches);
