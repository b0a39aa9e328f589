//! Workers and projections that die, sleep, and come and go.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::course::Course;
use crate::fleet::{Cluster, Special};
use crate::load::Plan;
use crate::proxy::{Proxy, Toxics, Way};
use crate::stack::{Paused, mongo_address, server};

/// Kills a role when half of the answers of a question are acknowledged. The only one of its kind is
/// started again when all answers are in, so that the board has to wait for it.
async fn killed(fault: &'static str, cluster: Cluster, victim: &str, restart: bool) {
    // More lanes than workers, so that each worker has some of each game.
    let plan = Plan { more: vec!["--capacity".into(), "16000".into()], ..Plan::default() };
    let mut course = Course::start(fault, cluster, plan).await;
    course.load.half_acked(2).await;
    course.fleet.kill(victim).await;
    if restart {
        course.load.all_acked(2).await;
        let (role, number) = victim.split_once('-').expect("role and number");
        course.fleet.role(role, number.parse().expect("a number"), Special::default()).await;
    }
    let verdict = course.end(|verdict| format!("republished={}", verdict.number("republished"))).await;
    verdict.everybody_answered();
    assert!(verdict.number("unavailable_s") > 0.5, "a game had to wait for the successor");
    verdict.went_on();
}

/// F04 from outside. Goal: one of two scoring workers dies and the other takes its lanes over. Control:
/// games waited, for none ends without its lanes.
#[tokio::test(flavor = "multi_thread")]
async fn f04_one_of_two_scoring_workers_is_killed() {
    killed("F04-scoring", Cluster { scoring: 2, ..Cluster::default() }, "scoring-1", false).await;
}

/// The only session worker dies and comes back. Control: games waited, for nothing opens or closes
/// without it.
#[tokio::test(flavor = "multi_thread")]
async fn f04_the_only_session_worker_is_killed() {
    killed("F04-sessions", Cluster::default(), "sessions-1", true).await;
}

/// F20. Goal: results that are published again, in a log that readers have read on, change nothing for
/// anybody. Method: the only board projection dies; its successor reads the live games from their
/// beginning. Control: games waited for it, and results with the same event id stand in the log again.
#[tokio::test(flavor = "multi_thread")]
async fn f20_the_only_board_projection_is_killed() {
    killed("F20-board", Cluster::default(), "board-1", true).await;
}

/// F06. Goal: what a worker wanted to write before it slept does not undo what its successor wrote.
/// Method: the writes of one of two scoring workers to MongoDB are held back on their way, the worker
/// is stopped, the other one takes over and finishes questions; then the old writes arrive and the
/// worker wakes. Control: bytes were held, and arrived after the successor's.
#[tokio::test(flavor = "multi_thread")]
async fn f06_a_zombie_worker_writes_late() {
    let proxy = Proxy::start("127.0.0.1:0".parse().expect("an address"), mongo_address()).await;
    let own = server("QUIZ_MONGO__URI").replace(&mongo_address().to_string(), &proxy.listens.to_string());
    let plan = Plan { questions: 7, limit_ms: 20_000, ..Plan::default() };
    // The zombie alone has all lanes when it falls asleep, so its writes are on their way.
    let mut course = Course::with("F06", Cluster { scoring: 0, ..Cluster::default() }, plan, |_| {}).await;
    let special = Special { environment: vec![("QUIZ_MONGO__URI".into(), own)], listen: None };
    course.fleet.role("scoring", 1, special).await;
    course.load.half_acked(1).await;
    let before = proxy.held();
    proxy.set(Way { up: Toxics { hold: true, ..Toxics::default() }, ..Way::default() });
    let began = Instant::now();
    while proxy.held() <= before {
        assert!(began.elapsed() < Duration::from_secs(20), "the worker writes nothing");
        sleep(Duration::from_millis(5)).await;
    }
    let paused = Paused::process(course.fleet.pid("scoring-1"));
    course.fleet.role("scoring", 2, Special::default()).await;
    course.load.half_acked(3).await;
    let written_by_successor = course.fleet.metric("scoring-2", "quiz_store_writes_total", &["written"]).await;
    let held = proxy.held() - before;
    proxy.set(Way::default());
    drop(paused);
    course.load.until("another question after the zombie woke", |seen| seen.of("acked", 5) > 0).await;
    let fleet = &course.fleet;
    let ignored = fleet.metric("scoring-1", "quiz_store_writes_total", &["stale"]).await
        + fleet.metric("scoring-1", "quiz_store_writes_total", &["duplicate"]).await;
    let unknown = fleet.metric("scoring-1", "quiz_store_writes_total", &["failed"]).await;
    let lost = fleet.metric("scoring-1", "quiz_group_rebalances_total", &["lost"]).await
        + fleet.metric("scoring-1", "quiz_group_rebalances_total", &["revoke"]).await;
    let verdict = course.end(|_| format!("held_bytes={held} ignored={ignored} unknown={unknown} lost={lost}")).await;
    assert!(held > 0, "writes were on their way when the worker fell asleep");
    assert!(written_by_successor > 0.0, "the successor wrote before them");
    assert!(ignored + unknown + lost >= 1.0, "the zombie was told that it is one");
    verdict.went_on();
}

/// A killed worker's partitions may be given to the next one that is killed: two sessions of 6 s in a row.
const TWO_SESSIONS_S_MAX: f64 = 16.0;

/// F07. Goal: progress never stops while workers come and go. Method: every 2 s a third scoring worker
/// joins or is killed, for 40 s. Control: the group was rebalanced again and again.
#[tokio::test(flavor = "multi_thread")]
async fn f07_workers_come_and_go() {
    let plan = Plan { players: 200, questions: 14, think_ms: "200..2500", ..Plan::default() };
    let mut course = Course::start("F07", Cluster { scoring: 2, ..Cluster::default() }, plan).await;
    course.load.half_acked(0).await;
    let began = Instant::now();
    let mut storms = 0;
    while began.elapsed() < Duration::from_secs(36) {
        course.fleet.role("scoring", 3, Special::default()).await;
        sleep(Duration::from_secs(2)).await;
        course.fleet.kill("scoring-3").await;
        sleep(Duration::from_secs(2)).await;
        storms += 1;
    }
    let rebalances = course.fleet.metric("scoring-1", "quiz_group_rebalances_total", &[]).await;
    let verdict = course.end(|_| format!("storms={storms} rebalances={rebalances}")).await;
    assert!(storms >= 6, "{storms} workers came and were killed");
    assert!(rebalances > f64::from(storms), "the group was rebalanced {rebalances} times");
    let waited = verdict.number("unavailable_s");
    assert!(waited <= TWO_SESSIONS_S_MAX, "nobody was served for {waited} s");
}
