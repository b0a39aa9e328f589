//! Goal: ranks over lanes are exact. Method: random rosters, reports and report orders against an
//! oracle that knows nothing of lanes: it compares every player with every other.

use proptest::prelude::*;
use quiz_game::board::{BOARD_ROWS, Misreport, Ranks, Reports, Roster};
use quiz_game::nickname;
use quiz_schemas::events::*;
use quiz_schemas::{GameId, LaneKey, LaneNo, PlayerId, Position};
use std::collections::HashMap;

fn game() -> GameId {
    GameId::from_bits(9)
}

fn lane_of(player: PlayerId, lanes: LaneNo) -> LaneNo {
    LaneKey::of(game(), player, lanes).lane
}

fn score(player: PlayerId, total: i64, points: i32) -> PlayerScore {
    let verdict = if points > 0 { Verdict::Correct } else { Verdict::Wrong };
    PlayerScore { player, verdict, points, total, streak: points % 4, elapsed_us: 1, elapsed_total_us: 2 }
}

fn report(lane: LaneNo, question: u16, (part, parts): (i32, i32), outcomes: Vec<PlayerScore>) -> ScoresRecord {
    let scored = outcomes.len() as i64;
    ScoresRecord {
        game: game(),
        lane,
        question,
        position: Position { partition: 0, offset: i64::from(question) * 10 + 5 },
        counts: LaneCounts { received: scored, scored, ..LaneCounts::default() },
        body: LaneScored { part, parts, distribution: vec![scored, 1], outcomes }.into(),
    }
}

#[derive(Clone, Debug)]
struct Person {
    player: PlayerId,
    nickname: String,
    /// Total and points; none when they never answered.
    score: Option<(i64, i32)>,
    kicked: bool,
}

fn people() -> impl Strategy<Value = Vec<Person>> {
    let score = prop::option::weighted(0.8, (0i64..6, 0i32..3));
    let person = ("[a-cA-C]{1,2}", score, prop::bool::weighted(0.1));
    prop::collection::vec(person, 0..60).prop_map(|people| {
        people
            .into_iter()
            .enumerate()
            .map(|(id, (nickname, score, kicked))| Person {
                player: PlayerId::from_bits(id as u64 * 7_919 + 1),
                nickname,
                score: score.map(|(total, points): (i64, i32)| (total * 100, points * 100)),
                kicked,
            })
            .collect()
    })
}

/// Each player's rank and gap by comparing all pairs.
fn naive(people: &[Person]) -> HashMap<PlayerId, (i32, i64)> {
    let inside: Vec<&Person> = people.iter().filter(|person| !person.kicked).collect();
    let total = |person: &Person| person.score.map_or(0, |score| score.0);
    let place = |me: &Person| {
        let better: Vec<i64> = inside.iter().map(|other| total(other)).filter(|&other| other > total(me)).collect();
        let gap = better.iter().min().map_or(0, |next| next - total(me));
        (me.player, (better.len() as i32 + 1, gap))
    };
    inside.iter().map(|me| place(me)).collect()
}

proptest! {
    #[test]
    fn ranks_equal_the_oracle(
        people in people(),
        lanes in 1u16..5,
        parts in 1i32..4,
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let mut roster = Roster::default();
        let mut rows: Vec<Vec<PlayerScore>> = vec![Vec::new(); usize::from(lanes)];
        for person in &people {
            let lane = lane_of(person.player, lanes);
            roster.admit(person.player, &person.nickname, lane, 1);
            if let Some((total, points)) = person.score {
                rows[usize::from(lane)].push(score(person.player, total, points));
            }
        }
        for person in people.iter().filter(|person| person.kicked) {
            prop_assert!(roster.kick(person.player, 2));
        }
        let mut records = Vec::new();
        for (lane, rows) in rows.iter().enumerate() {
            let size = rows.len().div_ceil(parts as usize).max(1);
            for part in 0..parts {
                let chunk = rows.iter().skip(part as usize * size).take(size).cloned().collect();
                records.push(report(lane as LaneNo, 3, (part, parts), chunk));
            }
        }
        // Any order, and some of them twice.
        let mut left = records.clone();
        let mut reports = Reports::default();
        for pick in order.iter().cycle() {
            if left.is_empty() { break; }
            prop_assert!(!reports.ready(3, lanes));
            let next = left.swap_remove(pick.index(left.len()));
            reports.take(&next, 5).unwrap();
            let again = &records[pick.index(records.len())];
            if !left.contains(again) {
                reports.take(again, 5).unwrap();
            }
        }
        prop_assert!(reports.ready(3, lanes));
        let tally = reports.settle(3);
        prop_assert_eq!(tally.at_us, 5);
        prop_assert_eq!(reports.rows_held(), 0);

        let expect = naive(&people);
        let standing = reports.standing(&roster, 2);
        prop_assert_eq!(standing.players() as usize, expect.len());
        prop_assert_eq!(roster.players() as usize, expect.len());
        let outcomes = standing.outcomes(lanes);
        let flat: Vec<(LaneNo, &Outcome)> =
            outcomes.iter().enumerate().flat_map(|(lane, list)| list.iter().map(move |o| (lane as LaneNo, o))).collect();
        prop_assert_eq!(flat.len(), expect.len());
        for (lane, outcome) in flat {
            let person = people.iter().find(|person| person.player == outcome.player).unwrap();
            prop_assert_eq!(lane, lane_of(outcome.player, lanes));
            prop_assert_eq!((outcome.rank, outcome.gap), expect[&outcome.player]);
            prop_assert_eq!((outcome.total, outcome.points), person.score.unwrap_or((0, 0)));
            prop_assert_eq!(outcome.verdict == Verdict::Unanswered, person.score.is_none());
        }

        let mut sorted: Vec<&Person> = people.iter().filter(|person| !person.kicked).collect();
        sorted.sort_by_key(|person| {
            (-person.score.map_or(0, |s| s.0), nickname::key(&person.nickname), person.player)
        });
        let top = standing.top(BOARD_ROWS);
        prop_assert_eq!(top.len(), sorted.len().min(BOARD_ROWS));
        for (row, person) in top.iter().zip(sorted) {
            prop_assert_eq!(row.player, person.player);
            prop_assert_eq!(row.rank, expect[&person.player].0);
            prop_assert_eq!(&row.nickname, &person.nickname);
        }
    }

    #[test]
    fn a_rank_counts_the_better(totals in prop::collection::vec(-5i64..5, 0..30), asked in -6i64..6) {
        let ranks = Ranks::of(totals.clone());
        let better = totals.iter().filter(|&&total| total > asked);
        let gap = better.clone().min().map_or(0, |next| next - asked);
        prop_assert_eq!(ranks.rank(asked), (better.count() as i32 + 1, gap));
    }
}

fn admitted(count: u64) -> Roster {
    let mut roster = Roster::default();
    for n in 0..count {
        roster.admit(PlayerId::from_bits(n), &format!("p{n}"), 0, n as i64);
    }
    roster
}

#[test]
fn a_board_looks_at_who_was_there_at_its_moment() {
    let mut roster = admitted(4);
    roster.kick(PlayerId::from_bits(1), 10);
    let reports = Reports::default();
    let there = |seq| reports.standing(&roster, seq).players();
    assert_eq!([there(-1), there(0), there(2), there(9), there(10)], [0, 1, 3, 4, 3]);
}

#[test]
fn a_roster_counts_each_player_once() {
    let mut roster = admitted(3);
    roster.admit(PlayerId::from_bits(1), "again", 0, 20);
    assert_eq!((roster.players(), roster.connected()), (3, 3));
    roster.set_connected(PlayerId::from_bits(1), false);
    roster.set_connected(PlayerId::from_bits(1), false);
    roster.set_connected(PlayerId::from_bits(99), true);
    assert_eq!((roster.players(), roster.connected()), (3, 2));
    assert!(roster.kick(PlayerId::from_bits(1), 21));
    assert!(!roster.kick(PlayerId::from_bits(1), 22));
    assert!(roster.kick(PlayerId::from_bits(2), 23));
    roster.set_connected(PlayerId::from_bits(2), true);
    roster.admit(PlayerId::from_bits(2), "back", 0, 24);
    assert_eq!((roster.players(), roster.connected()), (1, 1));
}

#[test]
fn an_older_report_changes_nothing_and_a_newer_one_replaces_all_parts() {
    let player = PlayerId::from_bits(0);
    let roster = admitted(1);
    let mut reports = Reports::default();
    let mut newer = report(0, 0, (0, 1), vec![score(player, 900, 900)]);
    newer.position.offset = 50;
    let older = report(0, 0, (0, 2), vec![score(player, 100, 100)]);
    reports.take(&older, 1).unwrap();
    assert!(!reports.ready(0, 1), "one part of two");
    reports.take(&newer, 2).unwrap();
    reports.take(&older, 3).unwrap();
    assert!(reports.ready(0, 1));
    reports.settle(0);
    assert_eq!(reports.standing(&roster, 5).outcomes(1)[0][0].total, 900);
    reports.take(&older, 4).unwrap();
    assert_eq!(reports.rows_held(), 0, "a settled question takes no more reports");
}

#[test]
fn counts_are_of_the_newest_record_of_each_lane() {
    let mut reports = Reports::default();
    let counted = |lane, offset, scored| ScoresRecord {
        position: Position { partition: 0, offset },
        counts: LaneCounts { received: scored, scored, ..LaneCounts::default() },
        body: LaneCounted { closed: false }.into(),
        ..report(lane, 2, (0, 1), vec![])
    };
    for record in [counted(0, 5, 3), counted(1, 9, 4), counted(0, 4, 2), counted(1, 9, 4)] {
        reports.take(&record, 0).unwrap();
    }
    assert_eq!(reports.counted(2).scored, 7);
    assert_eq!(reports.counted(1).scored, 0);
}

#[test]
fn reports_that_make_no_sense_are_refused() {
    let mut reports = Reports::default();
    for (part, parts) in [(-1, 1), (1, 1), (0, 0), (0, -1), (0, i32::MAX), (7, 7)] {
        assert_eq!(reports.take(&report(0, 0, (part, parts), vec![]), 0), Err(Misreport::Part), "{part} of {parts}");
    }
    assert_eq!(reports.take(&report(u16::MAX, 0, (0, 1), vec![]), 0), Err(Misreport::Lane));
    assert!(!reports.ready(0, 1));
}

#[test]
fn a_dropped_report_is_known_to_be_lost_and_later_boards_stay_exact() {
    let player = PlayerId::from_bits(0);
    let roster = admitted(1);
    let mut reports = Reports::default();
    for question in 0..3 {
        reports.take(&report(0, question, (0, 1), vec![score(player, 100 * i64::from(question), 100)]), 0).unwrap();
    }
    assert_eq!(reports.rows_held(), 3);
    assert_eq!(reports.drop_earliest(), Some(0));
    assert_eq!(reports.rows_held(), 2);
    assert!(reports.lost(0) && !reports.lost(1) && !reports.ready(0, 1));
    reports.settle(2);
    assert_eq!(reports.standing(&roster, 5).outcomes(1)[0][0].total, 200);
    assert_eq!(reports.drop_earliest(), None);
}
