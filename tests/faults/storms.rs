//! Many at once, and a balancer between players and edges.

use std::time::Duration;

use crate::course::{Course, folder};
use crate::fleet::Cluster;
use crate::load::{Load, Plan};
use crate::process::stack;
use crate::stack::stack_ports;

/// F32. Goal: thousands who join one game at once are let in, and running games feel nothing. Method:
/// games are played; 2,000 more players join another one at 1,000 a second. Control: they were joining
/// while the others answered.
#[tokio::test(flavor = "multi_thread")]
async fn f32_a_join_storm() {
    const CROWD: u32 = 2_000;
    let plan = Plan { players: 200, games: 4, questions: 8, ..Plan::default() };
    let mut course = Course::start("F32", Cluster::default(), plan).await;
    course.load.half_acked(1).await;
    let before = course.load.progress().all("acked");
    let crowd = folder("F32-crowd");
    let plan = Plan {
        players: CROWD,
        games: 1,
        questions: 1,
        think_ms: "100..4000",
        limit_ms: 20_000,
        more: vec!["--connect-rate".into(), "1000".into()],
        ..Plan::default()
    };
    let mut storm = Load::start(&crowd, &course.fleet.edges(), plan);
    storm.until("everybody is in", |seen| seen.all("joined") >= u64::from(CROWD)).await;
    let during = course.load.progress().all("acked") - before;
    let (heard, lines) = storm.end_with_lines().await;
    assert!(heard, "the crowd heard the end of its game");
    let join = lines.iter().find(|line| line["phase"] == "join").expect("it tells how joining went");
    let (all_s, p99_ms) =
        (join["seconds"].as_f64().expect("a number"), join["join_ms"]["p99"].as_f64().expect("a number"));
    let verdict = course
        .end(|verdict| {
            format!("all_in_s={all_s} join_p99_ms={p99_ms} others_ack_p99_ms={}", verdict.number("ack_p99_ms"))
        })
        .await;
    assert!(during > 0, "the others answered meanwhile");
    assert!(all_s <= 30.0, "all were in after {all_s} s");
    assert_eq!(verdict.number("late"), 0.0, "nobody lost a point to the crowd");
    verdict.went_on();
}

/// F01 and F03 behind the balancer. Goal: players who know one address survive the loss of their edge and
/// a deploy. Method: all connect to HAProxy; one of three edges is killed, then another drains. Control:
/// sockets were lost and came back.
#[tokio::test(flavor = "multi_thread")]
async fn f01_behind_the_balancer() {
    let plan = Plan { questions: 7, ..Plan::default() };
    let cluster = Cluster { edges: 3, ..Cluster::default() };
    let course = Course::prepared("F01-balancer", cluster, plan, |fleet| {
        fleet.set("QUIZ_EDGE__TRUSTED_PROXIES", "127.0.0.1");
    });
    let course = course.await;
    let pairs = course.fleet.edges_with_admin();
    let pairs: Vec<String> = pairs.into_iter().map(|(edge, admin)| format!("{edge}={admin}")).collect();
    let told = pairs.join(",");
    tokio::task::spawn_blocking(move || stack(&["balancer", "--edges", &told])).await.expect("no panic");
    let port = stack_ports().into_iter().find(|(name, _)| name == "balancer").expect("it is a server now").1;
    let mut course = course.begin_at(&[([127, 0, 0, 1], port).into()]);
    course.load.half_acked(2).await;
    course.fleet.kill("edge-1").await;
    course.load.half_acked(4).await;
    let (status, took) = course.fleet.drain("edge-2").await;
    let verdict = course
        .end(|verdict| {
            let reconnected = verdict.number("reconnected");
            format!(
                "reconnected={reconnected} reconnect_p99_ms={} drain_s={:.1}",
                verdict.number("reconnect_p99_ms"),
                took.as_secs_f64()
            )
        })
        .await;
    tokio::task::spawn_blocking(|| stack(&["stop", "balancer"])).await.expect("no panic");
    assert!(status.success() && took <= Duration::from_secs(10), "it ended with {status} after {took:?}");
    verdict.half_came_back();
    verdict.everybody_answered();
    verdict.went_on();
}
