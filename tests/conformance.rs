//! Goal: an edge speaks WebSocket as RFC 6455 says. Method: the cases of the Autobahn suite, run by kosoku
//! against the sockets' own endpoint of an edge that echoes what a socket without a subprotocol sends.
//! Controls: the cases ran, all of them; and a small server that breaks one rule fails the case for it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

mod support;
use support::server;

/// How long all cases may take.
const SUITE_WAIT: Duration = Duration::from_secs(180);
const START_WAIT: Duration = Duration::from_secs(60);
/// Compression, which an edge does not offer: the frames of a quiz are small, and it costs memory for each socket.
const NOT_OFFERED: [&str; 2] = ["12.*", "13.*"];
/// The cases that are left.
const CASES: usize = 301;

/// The suite's programme, which `scripts/setup` installs.
fn kosoku() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home folder")).join(".cache"), PathBuf::from);
    let program = cache.join("quizstream/python/bin/kosoku");
    assert!(program.exists(), "{} is missing: scripts/setup --only python", program.display());
    program
}

/// An edge that echoes, and its address.
async fn echoing_edge() -> (Child, String) {
    let mut edge = Command::new(env!("CARGO_BIN_EXE_quizstream"))
        .args(["serve", "edge", "--listen", "127.0.0.1:0"])
        .env("QUIZ_EDGE__CONFORMANCE", "true")
        .env("QUIZ_EDGE__TOKEN_SECRET", "a secret of the tests, long enough for them")
        .env("QUIZ_KAFKA__BOOTSTRAP_SERVERS", server("QUIZ_KAFKA__BOOTSTRAP_SERVERS"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the edge starts");
    let mut lines = BufReader::new(edge.stdout.take().expect("it is piped")).lines();
    let address = timeout(START_WAIT, async {
        while let Some(line) = lines.next_line().await.expect("a readable line") {
            if let Some(address) = line.strip_prefix("edge listens on ") {
                return address.to_string();
            }
        }
        panic!("the edge ended before it listened");
    });
    (edge, address.await.expect("the edge listens in time"))
}

/// What became of each case: its number and its verdict.
async fn run(address: &str, arguments: &[&str], report: &Path) -> Vec<(String, String, String)> {
    let mut suite = Command::new(kosoku());
    suite.args(["-p", "4", "-o"]).arg(report).args(arguments).arg(format!("ws://{address}/v1/ws"));
    let output = timeout(SUITE_WAIT, suite.kill_on_drop(true).output()).await.expect("the suite ends in time");
    let output = output.expect("the suite runs");
    let index = std::fs::read_to_string(report.join("index.json")).unwrap_or_else(|error| {
        panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr));
    });
    let index: Value = serde_json::from_str(&index).expect("the report is JSON");
    let agent = index.as_object().and_then(|agents| agents.values().next()).expect("one server was tested");
    let verdict = |case: &Value, key: &str| case[key].as_str().expect("a verdict").to_string();
    let cases = agent.as_object().expect("its cases").iter();
    cases.map(|(number, case)| (number.clone(), verdict(case, "behavior"), verdict(case, "behaviorClose"))).collect()
}

fn is_conforming(verdict: &str) -> bool {
    ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&verdict)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_autobahn_cases_pass() {
    let (_edge, address) = echoing_edge().await;
    let report = tempfile::tempdir().expect("a folder");
    let excluded: Vec<&str> = NOT_OFFERED.iter().flat_map(|cases| ["-x", *cases]).collect();
    let cases = run(&address, &excluded, report.path()).await;
    let failed: Vec<_> =
        cases.iter().filter(|(_, frames, close)| !is_conforming(frames) || !is_conforming(close)).collect();
    let count = |verdict: &str| cases.iter().filter(|(_, frames, _)| frames == verdict).count();
    println!(
        "autobahn cases={} ok={} non_strict={} informational={} failed={}",
        cases.len(),
        count("OK"),
        count("NON-STRICT"),
        count("INFORMATIONAL"),
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(cases.len(), CASES, "the suite has other cases than it had");
}

/// Echoes, but not quite what it was sent.
async fn careless_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if let Message::Text(text) = message {
                        let _ = socket.send(Message::text(text.replace('*', "+"))).await;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_alters_messages_fails() {
    let address = careless_server().await;
    let report = tempfile::tempdir().expect("a folder");
    let cases = run(&address, &["-i", "1.1.2"], report.path()).await;
    assert_eq!(cases.len(), 1);
    assert!(!is_conforming(&cases[0].1), "{cases:?}");
}
