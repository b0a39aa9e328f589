//! Edges that die, sleep and leave.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::course::Course;
use crate::fleet::Cluster;
use crate::load::Plan;
use crate::process::Paused;

/// The most that an answer which an edge had vouched for may be charged beyond what its player took, ms:
/// the way to the edge on a loaded machine. Only what the edge had not taken for 25 ms may lose more.
const CREDIT_LOST_MS_MAX: f64 = 1_500.0;

/// F01. Goal: an edge that is killed takes no acknowledged answer with it, and its players go on at
/// another one with the time they had. Method: SIGKILL one of two edges when half of the answers of a
/// question are acknowledged. Control: its players lost their sockets and came back.
#[tokio::test(flavor = "multi_thread")]
async fn f01_an_edge_is_killed() {
    let mut course = Course::start("F01", Cluster::default(), Plan::default()).await;
    course.load.half_acked(2).await;
    course.kill_edge("edge-1").await;
    let verdict = course
        .end(|verdict| {
            let figures = ["reconnected", "reconnect_p99_ms", "vouched", "vouched_lost_ms", "credit_lost_ms"];
            figures.map(|name| format!("{name}={}", verdict.number(name))).join(" ")
        })
        .await;
    verdict.half_came_back();
    verdict.everybody_answered();
    assert!(verdict.number("reconnect_p99_ms") <= 3_000.0, "they come back within 3 s");
    assert!(verdict.number("vouched_lost_ms") <= CREDIT_LOST_MS_MAX, "no answer lost its time credit");
    verdict.went_on();
}

/// F02. Goal: an edge that slept does not bring old state as new. Method: SIGSTOP one of two edges for
/// 20 s; its clients go after 10 s of silence. Control: sockets were given up for silence.
#[tokio::test(flavor = "multi_thread")]
async fn f02_an_edge_sleeps_and_wakes() {
    let plan = Plan { questions: 12, think_ms: "500..2500", ..Plan::default() };
    let mut course = Course::start("F02", Cluster::default(), plan).await;
    course.load.half_acked(1).await;
    let asleep = course.fleet.listens("edge-1");
    let began = Instant::now();
    let paused = Paused::process(course.fleet.pid("edge-1"));
    let half = u64::from(course.load.plan().players) / 2;
    course.load.until("all have moved", |seen| seen.at(asleep, "closed_socket") >= half).await;
    let moved = began.elapsed();
    sleep(Duration::from_secs(20).saturating_sub(began.elapsed())).await;
    drop(paused);
    let verdict =
        course.end(|verdict| format!("moved_s={:.1} stale={}", moved.as_secs_f64(), verdict.number("stale"))).await;
    assert!(moved <= Duration::from_secs(15), "the players moved after {moved:?}");
    verdict.half_came_back();
    verdict.everybody_answered();
}

/// F03. Goal: a deploy loses nothing and nobody is thrown out in a crowd. Method: SIGTERM one of two
/// edges under load. Control: its players came back elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn f03_an_edge_drains() {
    let mut course = Course::start("F03", Cluster::default(), Plan::default()).await;
    course.load.half_acked(2).await;
    let (status, took) = course.fleet.drain("edge-1").await;
    let verdict = course
        .end(|verdict| {
            format!("drain_s={:.1} reconnect_p99_ms={}", took.as_secs_f64(), verdict.number("reconnect_p99_ms"))
        })
        .await;
    assert!(status.success(), "it ended with {status}");
    assert!(took <= Duration::from_secs(10), "it took {took:?}");
    verdict.half_came_back();
    verdict.everybody_answered();
    verdict.went_on();
}
