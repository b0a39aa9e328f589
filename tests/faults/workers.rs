//! Workers and projections that die, sleep, and come and go.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::course::Course;
use crate::fleet::{Cluster, Special};
use crate::load::{Plan, Progress};
use crate::process::Paused;
use crate::proxy::{Proxy, Toxics, Way};
use crate::stack::{mongo_address, server};

/// Kills a role when half of the answers of a question are acknowledged. The only one of its kind is
/// started again when all answers are in, so that the board has to wait for it.
async fn killed(fault: &'static str, cluster: Cluster, victim: &str, restart: bool) {
    // More lanes than workers, so that each worker has some of each game.
    let plan = Plan { more: vec!["--capacity".into(), "16000".into()], ..Plan::default() };
    let mut course = Course::start(fault, cluster, plan).await;
    course.load.half_acked_by_all(2).await;
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

/// The only scoring worker dies and comes back. Control: games waited, for none ends without its lanes.
#[tokio::test(flavor = "multi_thread")]
async fn f04_the_only_scoring_worker_is_killed() {
    killed("F04-scoring-only", Cluster { scoring: 1, ..Cluster::default() }, "scoring-1", true).await;
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

/// The longest time in which no game may go on while workers come and go.
const PROGRESS_WINDOW: Duration = Duration::from_secs(10);
/// How many workers come or are killed at least.
const STORMS_MIN: u32 = 12;
/// How long after the last kill the workers may take until they have caught up, and what that is.
const CAUGHT_UP_WAIT: Duration = Duration::from_secs(20);
const CAUGHT_UP_RECORDS: f64 = 100.0;

/// Waits until the scoring workers that stay are nearly at the end of the log; the seconds it took.
async fn caught_up(course: &mut Course) -> f64 {
    let began = Instant::now();
    loop {
        let mut lag = 0.0;
        for name in ["scoring-1", "scoring-2"] {
            lag += course.fleet.metric(name, "quiz_group_lag_records", &["group=\"quiz.scoring\""]).await;
        }
        if lag < CAUGHT_UP_RECORDS {
            return began.elapsed().as_secs_f64();
        }
        assert!(began.elapsed() < CAUGHT_UP_WAIT, "{lag} records wait to be scored");
        sleep(Duration::from_millis(200)).await;
    }
}

/// F07. Goal: progress never stops while workers come and go. Method: every 2 s a third scoring worker
/// joins or is killed, for 36 s. Control: the group was rebalanced again and again. A single game may wait
/// for several sessions in a row, for the partitions of one that was killed may go to the next that is.
#[tokio::test(flavor = "multi_thread")]
async fn f07_workers_come_and_go() {
    let plan = Plan { players: 240, games: 12, questions: 14, think_ms: "200..2500", ..Plan::default() };
    let mut course = Course::start("F07", Cluster { scoring: 2, ..Cluster::default() }, plan).await;
    course.load.half_acked(0).await;
    let began = Instant::now();
    let mut storms = 0;
    let (mut boards, mut last, mut pause) = (0, Instant::now(), Duration::ZERO);
    let mut look = |progress: &Progress| {
        let now = progress.all("board-of-host");
        pause = pause.max(last.elapsed());
        if now > boards || progress.all("ended") > 0 {
            (boards, last) = (now, Instant::now());
        }
        assert!(pause < PROGRESS_WINDOW, "no game has gone on for {pause:?}");
    };
    while began.elapsed() < Duration::from_secs(36) || storms < STORMS_MIN {
        if storms % 2 == 0 {
            course.fleet.role("scoring", 3, Special::default()).await;
        } else {
            course.fleet.kill("scoring-3").await;
        }
        // Whatever that took.
        look(course.load.progress());
        sleep(Duration::from_secs(2)).await;
        storms += 1;
        look(course.load.progress());
    }
    if course.fleet.runs("scoring-3") {
        course.fleet.kill("scoring-3").await;
    }
    let rebalances = course.fleet.metric("scoring-1", "quiz_group_rebalances_total", &[]).await;
    let caught_up_s = caught_up(&mut course).await;
    let report = format!(
        "joined_or_killed={storms} rebalances={rebalances} boards={boards} pause_s={:.1} caught_up_s={caught_up_s:.1}",
        pause.as_secs_f64()
    );
    course.end(|_| report).await;
    assert!(rebalances > f64::from(storms / 2), "the group was rebalanced {rebalances} times");
}
