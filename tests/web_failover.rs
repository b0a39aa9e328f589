//! Goal: people in browsers lose nothing when an edge dies or stops in the middle of a question.
//! Method: real Kafka and MongoDB, three edges as processes of their own; node's test runner with a
//! real Chromium kills one, stops another, and looks at the pages.

#[path = "support/node.rs"]
mod node;
mod support;

use support::Cluster;

const EDGES: u16 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_stay_when_edges_go() {
    let (pipeline, mut guard) = support::pipeline(Cluster { edges: EDGES, scoring: 1, boards: 1 }).await;
    let processes = guard.processes().expect("the roles are processes");
    let pid = |number: u16| processes.pid(&format!("edge-{number}")).expect("the edge was started").to_string();
    let pids: Vec<String> = (1..=EDGES).map(pid).collect();
    let origins: Vec<String> = pipeline.edges.iter().map(|edge| format!("http://{edge}")).collect();
    let variables = [("QUIZSTREAM_EDGES", origins.join(",")), ("QUIZSTREAM_EDGE_PIDS", pids.join(","))];
    node::tests(&["failover.test.mjs"], &variables).await;
    drop(pipeline);
    guard.down().await.expect("the pipeline goes down in order");
}
