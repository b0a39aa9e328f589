//! Clocks that are wrong.

use std::path::Path;
use std::process::Command;

use crate::course::Course;
use crate::fleet::{Cluster, Special};
use crate::load::Plan;

/// Builds `skew.c`, which is loaded before the C library.
fn skew(folder: &Path) -> String {
    let library = folder.join("skew.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/skew.c");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(status.expect("cc is installed: scripts/setup").success(), "skew.c compiles");
    library.display().to_string()
}

/// A process whose wall clock is wrong and whose monotonic clock is right, as on a real machine. Its
/// settings must not look like the pipeline's own, which are refused when they are not known.
fn skewed(library: &str, ahead_s: i64, fast_ppm: i64) -> Special {
    let settings =
        [("LD_PRELOAD", library.to_string()), ("SKEW_S", ahead_s.to_string()), ("SKEW_PPM", fast_ppm.to_string())];
    let environment = settings.map(|(name, value)| (name.to_string(), value)).to_vec();
    Special { environment, listen: None }
}

/// The most that an answer may be charged more or less than its player took, ms: the way to the edge and
/// back on a loaded machine, and the wait for a lost socket.
const CREDIT_MS_MAX: f64 = 1_500.0;

/// The most for an answer that was in flight when its edge died: its way back to another one, ms. A wrong
/// clock would cost minutes.
const RECONNECT_MS_MAX: f64 = 6_000.0;

/// F21. Goal: no score depends on one node's wall clock, also for players who come back in the middle of
/// a question. Method: edges whose clocks are 5 minutes slow and fast, a worker whose clock runs 1 % fast
/// and others that are minutes and an hour off; one edge is killed so that its players are greeted with an open question by one
/// with another clock. Control: what the edges write as wall clock differs by 10 minutes.
#[tokio::test(flavor = "multi_thread")]
async fn f21_clocks_are_wrong() {
    let none = Cluster { edges: 0, sessions: 0, scoring: 0, boards: 0 };
    let plan = Plan::default();
    let mut course = Course::prepared("F21", none, plan, |_| {}).await;
    let library = skew(course.folder());
    for (role, number, ahead_s, fast_ppm) in [
        ("sessions", 1, 600, 0),
        ("scoring", 1, 0, 10_000),
        ("board", 1, -3_600, 0),
        ("edge", 1, -300, 0),
        ("edge", 2, 300, 0),
    ] {
        course.fleet.role(role, number, skewed(&library, ahead_s, fast_ppm)).await;
    }
    let mut course = course.begin();
    course.load.half_acked(2).await;
    course.kill_edge("edge-1").await;
    let verdict = course
        .end(|verdict| {
            let figures = ["vouched_lost_ms", "credit_lost_ms", "credit_gained_ms", "edge_clocks_apart_s"];
            figures.map(|name| format!("{name}={}", verdict.number(name))).join(" ")
        })
        .await;
    verdict.half_came_back();
    verdict.everybody_answered();
    assert!(verdict.number("edge_clocks_apart_s") > 500.0, "the clocks were wrong");
    assert!(verdict.number("vouched_lost_ms") <= CREDIT_MS_MAX, "no vouched time was lost to a wrong clock");
    assert!(verdict.number("credit_lost_ms") <= RECONNECT_MS_MAX, "nobody was charged for a wrong clock");
    assert!(verdict.number("credit_gained_ms") <= CREDIT_MS_MAX, "nobody gained by a wrong clock");
    verdict.went_on();
}
