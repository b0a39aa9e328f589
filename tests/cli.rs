//! Goal: the binary does what its help says, and says what is wrong in one sentence with the right
//! exit code. Method: run it.

use std::process::{Command, Output};

fn quizstream(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quizstream"))
        .args(arguments)
        .env_remove("QUIZ_CONFIG")
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn summary(arguments: &[&str]) -> serde_json::Value {
    let output = quizstream(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    serde_json::from_str(text.lines().last().expect("a last line")).expect("the last line is JSON")
}

#[test]
fn the_embedded_demo_loses_nothing_and_a_seed_makes_the_same_choices() {
    let demo = |seed: &str| summary(&["demo", "--json", "--players", "40", "--questions", "4", "--seed", seed]);
    let (first, again, other) = (demo("7"), demo("7"), demo("8"));
    for run in [&first, &again, &other] {
        assert_eq!(run["players"], 40);
        assert_eq!(run["questions"], 4);
        assert_eq!(run["sent"], 160);
        assert_eq!(run["acked"], 160);
        assert_eq!(run["scored"], 160);
        assert_eq!(run["stored"], 160);
        assert_eq!(run["lost"], 0);
        assert_eq!(run["duplicates"], 0);
        assert_eq!(run["replay_matches"], true);
        assert!(run["ack_ms"]["p50"].as_f64().expect("a number") > 0.0);
        assert!(run["board_ms"]["p99"].as_f64().expect("a number") > 0.0);
        assert_eq!(run["board"][0]["rank"], 1);
    }
    assert_eq!(first["choices"], again["choices"]);
    assert_ne!(first["choices"], other["choices"]);
}

#[test]
fn a_quiz_file_with_bad_questions_is_told_by_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("bank.gift");
    std::fs::write(&file, "What is 2+2? {=4 ~5}\n\nNo right one? {~a ~b}\n\n// a comment\nGrass is green. {TRUE}\n")
        .expect("written");
    let path = file.to_str().expect("UTF-8");
    let check = quizstream(&["quiz", "check", path]);
    assert_eq!(check.status.code(), Some(4), "{}", stderr(&check));
    assert!(stderr(&check).contains(&format!("{path}:3")), "{}", stderr(&check));
    assert!(stdout(&check).contains("2 questions, 1 problems"), "{}", stdout(&check));

    let json = quizstream(&["quiz", "check", path, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(report["questions"], 2);
    assert_eq!(report["problems"][0]["line"], 3);

    let import = quizstream(&["quiz", "import", path]);
    assert_eq!(import.status.code(), Some(4));
    let copy = dir.path().join("bank.yaml");
    std::fs::write(&copy, stdout(&import)).expect("written");
    let again = quizstream(&["quiz", "check", copy.to_str().expect("UTF-8")]);
    assert_eq!(again.status.code(), Some(0), "our own format reads back: {}", stderr(&again));

    let none = quizstream(&["quiz", "check", "no-such-file.yaml"]);
    assert_eq!(none.status.code(), Some(3));
    std::fs::write(&file, [0xff, 0xfe, 0x00]).expect("written");
    assert_eq!(quizstream(&["quiz", "check", path]).status.code(), Some(1));
}

#[test]
fn a_wrong_configuration_is_told_with_a_hint() {
    let run = |key: &str, value: &str, arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_quizstream"))
            .args(arguments)
            .env(key, value)
            .output()
            .expect("the binary runs")
    };
    let unknown = run("QUIZ_KAFKA__BOOTSTRAP_SERVER", "x:1", &["config", "check"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("bootstrap_servers"), "{}", stderr(&unknown));

    let print = run(
        "QUIZ_EDGE__TOKEN_SECRET",
        "0123456789abcdef0123456789abcdef",
        &["config", "print", "--redact", "--sources"],
    );
    assert_eq!(print.status.code(), Some(0), "{}", stderr(&print));
    assert!(stdout(&print).contains("environment"), "{}", stdout(&print));
    assert!(!stdout(&print).contains("0123456789abcdef"), "the secret is hidden");

    let weak = run("QUIZ_EDGE__TOKEN_SECRET", "short", &["serve", "edge"]);
    assert_eq!(weak.status.code(), Some(2));
    assert_eq!(quizstream(&["dance"]).status.code(), Some(2));
}

#[test]
fn a_server_that_is_not_there_is_exit_code_5() {
    let topics = Command::new(env!("CARGO_BIN_EXE_quizstream"))
        .args(["topics", "describe"])
        .env("QUIZ_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .output()
        .expect("the binary runs");
    assert_eq!(topics.status.code(), Some(5), "{}", stderr(&topics));
    assert!(stderr(&topics).contains("hint:"), "{}", stderr(&topics));
}

#[test]
fn the_books_are_asked_for_by_game() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_quizstream"))
            .args(arguments)
            .env("QUIZ_MONGO__URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
            .output()
            .expect("the binary runs");
        (output.status.code(), stderr(&output))
    };
    let (code, told) = run(&["admin", "ledger"]);
    assert_eq!(code, Some(2), "{told}");
    let (code, told) = run(&["admin", "ledger", "123456"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("13 characters"), "a PIN is no game: {told}");
    let (code, told) = run(&["admin", "ledger", "0000000000007", "--json"]);
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains("hint:"), "{told}");
}
