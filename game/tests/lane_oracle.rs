//! Goal: a lane does with every record what the policy table says, in every order of records, and a
//! lane that went through its snapshot goes on as if nothing had been.
//! Method: random timelines run through the lane and through a naive oracle; every effect, every
//! count and every report must be the same.

#[path = "lane_oracle/oracle.rs"]
mod oracle;
#[path = "lane_oracle/timeline.rs"]
mod timeline;

use std::collections::BTreeMap;

use oracle::{Oracle, naive_points};
use proptest::prelude::*;
use quiz_game::judge::Judgement;
use quiz_game::lane::{Lane, LaneEffect, LaneSnapshot};
use quiz_game::rule::Rule;
use quiz_schemas::QuestionNo;
use quiz_schemas::events::{AnswersBody, LaneCounts};
use timeline::{Step, record, steps};

fn is_balanced(counts: LaneCounts) -> bool {
    counts.received == counts.scored + counts.duplicate + counts.late + counts.refused
}

/// The lane that a successor has: through its snapshot and the text of it.
fn restored(snapshot: LaneSnapshot) -> Lane {
    let text = serde_json::to_string(&snapshot).expect("a snapshot is plain");
    let back: LaneSnapshot = serde_json::from_str(&text).expect("what was written reads");
    assert_eq!(back, snapshot);
    Lane::from_snapshot(back)
}

/// The counts that the lane last told for each question, as a reader of its reports has them.
fn note(told: &mut BTreeMap<QuestionNo, LaneCounts>, lane: &Lane) {
    for question in lane.open().into_iter().chain(lane.closed()) {
        told.insert(question, lane.counts(question).expect("it is open or closed last"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_lane_follows_the_policy_table(steps in steps()) {
        let mut lane = Lane::new();
        let mut oracle = Oracle::default();
        let mut told = BTreeMap::new();
        let mut due = 0;
        for step in steps {
            let Some(body) = record(step, &mut due) else {
                prop_assert_eq!(lane.snapshot().is_some(), lane.open().is_none());
                if let Some(snapshot) = lane.snapshot() {
                    lane = restored(snapshot);
                }
                continue;
            };
            prop_assert_eq!(lane.apply(&body), oracle.apply(&body), "{:?}", body);
            prop_assert_eq!(lane.open(), oracle.open_question());
            note(&mut told, &lane);
            prop_assert!(told.values().all(|counts| is_balanced(*counts)), "{told:?}");
        }
        prop_assert_eq!(&told, &oracle.all_counts());
        let received: i64 = told.values().map(|counts| counts.received).sum();
        if !told.is_empty() {
            prop_assert_eq!(received, oracle.answers(), "every answer is counted at one question");
        }
    }

    /// Goal: reading a partition's file again gives the same. Method: the same records twice, the
    /// second time through every snapshot that can be taken.
    #[test]
    fn a_replay_through_every_snapshot_gives_the_same(steps in steps()) {
        let mut due = 0;
        let log: Vec<AnswersBody> = steps.into_iter().filter_map(|step| record(step, &mut due)).collect();
        let mut straight = Lane::new();
        let mut broken = Lane::new();
        for body in &log {
            if let Some(snapshot) = broken.snapshot() {
                broken = restored(snapshot);
            }
            prop_assert_eq!(broken.apply(body), straight.apply(body));
        }
        prop_assert_eq!(broken.snapshot(), straight.snapshot());
    }

    #[test]
    fn points_are_those_of_the_formula(
        limit_us in 1..60_000_000i64,
        elapsed_us in -1_000_000..61_000_000i64,
        points_max in 0..2_500i32,
        (earned, possible) in (2..=12u8).prop_flat_map(|possible| (1..possible, Just(possible))),
    ) {
        let rule = Rule::SpeedV1;
        let full = rule.points(Judgement::Correct, elapsed_us, limit_us, points_max);
        prop_assert_eq!(full, naive_points(elapsed_us, limit_us, points_max, 1, 1));
        let part = rule.points(Judgement::Partial { earned, possible }, elapsed_us, limit_us, points_max);
        prop_assert_eq!(part, naive_points(elapsed_us, limit_us, points_max, earned.into(), possible.into()));
        prop_assert!(0 <= part && part <= full && full <= points_max);
    }
}

/// Goal: the timelines are worth running. Method: over a fixed number of them, each effect occurs.
#[test]
fn the_timelines_reach_every_effect() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..200 {
        let steps: Vec<Step> = steps().new_tree(&mut runner).expect("a timeline").current();
        let mut lane = Lane::new();
        let mut due = 0;
        for body in steps.into_iter().filter_map(|step| record(step, &mut due)) {
            let name = match lane.apply(&body) {
                LaneEffect::Opened => "opened".to_string(),
                LaneEffect::Scored(scored) => format!("{:?}", scored.verdict),
                LaneEffect::Counted(question) if question.is_none() => "counted nowhere".to_string(),
                LaneEffect::Counted(question) if question == lane.open() => "counted open".to_string(),
                LaneEffect::Counted(_) => "counted closed".to_string(),
                LaneEffect::Closed(_) => "closed".to_string(),
                LaneEffect::Ignored => "ignored".to_string(),
                LaneEffect::Refused(refusal) => refusal.reason().to_string(),
            };
            *seen.entry(name).or_default() += 1;
        }
    }
    for name in [
        "opened",
        "closed",
        "ignored",
        "counted nowhere",
        "counted open",
        "counted closed",
        "Correct",
        "Partial",
        "Wrong",
        "Counted",
        "question_open",
        "unknown_rule",
        "bad_key",
        "bad_limit",
        "bad_points",
    ] {
        assert!(seen.get(name).is_some_and(|times| *times >= 10), "{name} in {seen:?}");
    }
}
