//! The broker dies, sleeps, and is heard too late.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::course::{Course, back_s_max};
use crate::fleet::{Cluster, Fleet};
use crate::load::Plan;
use crate::process::Paused;
use crate::proxy::{Proxy, Toxics, Way};
use crate::stack::{Down, kafka_proxy};

/// F09. Goal: acknowledged means in the log, also when the only broker is killed; good again within
/// 10 s after it is up. Method: SIGKILL in the middle of a question, and a start at once. Control:
/// players were told to send again, or waited.
#[tokio::test(flavor = "multi_thread")]
async fn f09_the_broker_is_killed() {
    let plan = Plan { players: 200, questions: 5, limit_ms: 30_000, ..Plan::default() };
    let mut course = Course::start("F09-kill", Cluster { scoring: 2, ..Cluster::default() }, plan).await;
    course.load.half_acked(1).await;
    let began = Instant::now();
    let down = tokio::task::spawn_blocking(|| Down::killed("kafka")).await.expect("no panic");
    tokio::task::spawn_blocking(move || drop(down)).await.expect("no panic");
    let down_s = began.elapsed().as_secs_f64();
    let deferred = course.load.progress().all("deferred");
    let (verdict, revived) =
        course.end_supervised(|_, revived| format!("down_s={down_s:.1} deferred={deferred} crashed={revived}")).await;
    assert!(verdict.number("ack_max_s") > 1.0 || deferred > 0, "players noticed");
    let waited = verdict.number("unavailable_s");
    assert!(waited <= down_s + back_s_max(revived), "good again {:.1} s after the broker was up", waited - down_s);
}

/// F09. Goal: a broker that does not answer for 15 s makes edges say "retry" and costs no answer.
/// Control: players were told to send again.
#[tokio::test(flavor = "multi_thread")]
async fn f09_the_broker_sleeps() {
    let plan = Plan { players: 200, questions: 5, limit_ms: 40_000, ..Plan::default() };
    let mut course = Course::start("F09-stop", Cluster { scoring: 2, ..Cluster::default() }, plan).await;
    course.load.half_acked(1).await;
    let paused = Paused::server("kafka");
    sleep(Duration::from_secs(15)).await;
    drop(paused);
    let deferred = course.load.progress().all("deferred");
    let (verdict, revived) =
        course.end_supervised(|_, revived| format!("down_s=15.0 deferred={deferred} crashed={revived}")).await;
    assert!(deferred > 0, "players were told to send again");
    let waited = verdict.number("unavailable_s");
    assert!(waited <= 15.0 + back_s_max(revived), "good again {:.1} s after the broker was", waited - 15.0);
}

/// The edges reach Kafka through this; everybody else goes the straight way.
async fn behind_a_proxy(fault: &'static str, plan: Plan) -> (Course, Proxy) {
    let (listen, broker) = kafka_proxy();
    let proxy = Proxy::start(listen, broker).await;
    let through = move |fleet: &mut Fleet| fleet.set("QUIZ_KAFKA__BOOTSTRAP_SERVERS", &listen.to_string());
    (Course::with(fault, Cluster::default(), plan, through).await, proxy)
}

/// F13. Goal: an append whose receipt is lost on the way has one effect. Method: the roles reach Kafka
/// through a proxy that passes requests on and throws the answers away, then cuts; ten times under load.
/// Control: answers were thrown away each time.
#[tokio::test(flavor = "multi_thread")]
async fn f13_receipts_of_the_broker_are_lost() {
    // Slow enough that answers are still to come behind each share.
    let plan = Plan { questions: 5, think_ms: "100..4000", ..Plan::default() };
    let (mut course, proxy) = behind_a_proxy("F13", plan).await;
    let mut lost = 0;
    for question in 0..5_i64 {
        for share in [0.25, 0.5] {
            course.load.acked(question, share).await;
            let (sent, swallowed) = (proxy.bytes_up(), proxy.swallowed());
            proxy.set(Way { down: Toxics { swallow: true, ..Toxics::default() }, ..Way::default() });
            let began = Instant::now();
            while proxy.bytes_up() < sent + 2_000 || proxy.swallowed() == swallowed {
                assert!(began.elapsed() < Duration::from_secs(10), "nothing was appended");
                sleep(Duration::from_millis(2)).await;
            }
            proxy.cut();
            proxy.set(Way::default());
            lost += u32::from(proxy.swallowed() > swallowed);
        }
    }
    let (cuts, swallowed) = (proxy.cuts(), proxy.swallowed());
    let verdict = course.end(|verdict| {
        format!(
            "lost_receipts={lost} cuts={cuts} swallowed_bytes={swallowed} logged_again={}",
            verdict.number("logged_again")
        )
    });
    let verdict = verdict.await;
    assert_eq!(lost, 10, "each time something was thrown away");
    verdict.everybody_answered();
    verdict.went_on();
}

/// F14. Goal: a bad network costs time only. Method: 200 ± 50 ms on the way to Kafka and all its
/// connections cut every second, for 20 s. Control: connections were cut and made again.
#[tokio::test(flavor = "multi_thread")]
async fn f14_connections_to_the_broker_are_cut_every_second() {
    let plan =
        Plan { players: 100, games: 2, questions: 4, think_ms: "500..4000", limit_ms: 30_000, ..Plan::default() };
    let (mut course, proxy) = behind_a_proxy("F14-kafka", plan).await;
    course.load.half_acked(0).await;
    let slow = Toxics { latency: Duration::from_millis(200), jitter: Duration::from_millis(50), ..Toxics::default() };
    proxy.set(Way { down: slow, ..Way::default() });
    for _ in 0..20 {
        sleep(Duration::from_secs(1)).await;
        proxy.cut();
    }
    proxy.set(Way::default());
    let (cuts, connections) = (proxy.cuts(), proxy.connections());
    let verdict = course.end(|_| format!("cuts={cuts} connections={connections}")).await;
    verdict.own_books_balance();
    assert!(cuts >= 40, "{cuts} connections were cut");
    assert!(connections > cuts, "they were made again");
    verdict.everybody_answered();
}
