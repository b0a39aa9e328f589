//! Goal: people can host and play whole games in a browser, and the pages keep what they promise.
//! Method: the whole pipeline in this process on the embedded cluster, and node's test runner with
//! a real Chromium before its edge. Fails when node, npm or Chromium is missing.

use std::path::{Path, PathBuf};

use clap::Parser;
use quizstream::cli::{Cli, Command};
use quizstream::demo::{sample_quiz, stage};

#[path = "support/node.rs"]
mod node;

/// Lines that a script or a style sheet may have.
const FILE_LINES_MAX: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_sample_on_the_page_is_the_sample() {
    let page = std::fs::read_to_string(root().join("web/pages/samples/demo.json")).expect("the page has a sample");
    let page: serde_json::Value = serde_json::from_str(&page).expect("it is JSON");
    let sample = serde_json::to_value(sample_quiz()).expect("a quiz is JSON");
    if page != sample {
        let fresh = root().join("target/demo.json");
        let text = serde_json::to_string_pretty(&sample).expect("a quiz is JSON");
        std::fs::write(&fresh, text + "\n").expect("target can be written");
        panic!("samples/demo.yaml has changed: copy target/demo.json to web/pages/samples/demo.json");
    }
}

#[test]
fn scripts_are_short() {
    let mut folders = vec![root().join("web")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.extend((!path.ends_with("node_modules")).then_some(path));
            } else if path.extension().is_some_and(|end| ["js", "mjs", "css"].iter().any(|kind| end == *kind)) {
                let lines = std::fs::read_to_string(&path).expect("UTF-8").lines().count();
                assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the scripts were not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_play_in_a_browser() {
    let cli = Cli::parse_from(["quizstream", "demo", "--listen", "127.0.0.1:0"]);
    let Command::Demo(args) = cli.command else { panic!("demo was asked for") };
    let (pipeline, guard) =
        stage::up(&args, Path::new(env!("CARGO_BIN_EXE_quizstream"))).await.expect("the pipeline comes up");
    let origin = format!("http://{}", pipeline.edges[0]);
    // One after the other: two Chromiums at once would measure the machine, not the pages.
    for file in ["unit/", "play.test.mjs", "looks.test.mjs"] {
        node::tests(&[file], &[("QUIZSTREAM_URL", origin.clone())]).await;
    }
    drop(pipeline);
    guard.down().await.expect("the pipeline goes down in order");
}
