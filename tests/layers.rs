//! Goal: crates depend one way only, as the code map in the architecture page says, and the pure
//! ones depend on nothing that does I/O. Method: ask cargo for the dependency lists.

use std::collections::BTreeMap;
use std::process::Command;

/// Workspace crates and the workspace crates that each may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("quiz-schemas", &[]),
    ("quiz-game", &["quiz-schemas"]),
    ("quiz-stream", &["quiz-schemas"]),
    ("quiz-store", &["quiz-schemas", "quiz-game"]),
    ("quiz-ingest", &["quiz-schemas", "quiz-game", "quiz-stream", "quiz-store"]),
    ("quiz-workers", &["quiz-schemas", "quiz-game", "quiz-stream", "quiz-store"]),
    ("quiz-projections", &["quiz-schemas", "quiz-game", "quiz-stream", "quiz-store"]),
    ("mongo-router", &[]),
    ("quiz-bench", &[]),
];

/// What a crate without I/O may not depend on.
const IO: &[&str] = &["tokio", "rdkafka", "mongodb", "axum", "reqwest", "redis", "redb", "rand", "async-trait"];
const PURE: &[&str] = &["quiz-schemas", "quiz-game"];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_string();
    let packages = metadata["packages"].as_array().expect("a list");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list");
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

#[test]
fn crates_depend_one_way() {
    let dependencies = dependencies();
    let ours: Vec<&str> = dependencies.keys().map(String::as_str).filter(|name| *name != "quizstream").collect();
    for name in &ours {
        let (_, allowed) = LAYERS
            .iter()
            .find(|(layer, _)| layer == name)
            .unwrap_or_else(|| panic!("{name} is in no layer: add it to the code map and here"));
        for dependency in dependencies[*name].iter().filter(|dependency| ours.contains(&dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not depend on {dependency}");
        }
    }
    assert_eq!(ours.len(), LAYERS.len(), "a layer names a crate that is gone: {ours:?}");
}

#[test]
fn the_rules_do_no_io() {
    let dependencies = dependencies();
    for name in PURE {
        for dependency in &dependencies[*name] {
            assert!(!IO.contains(&dependency.as_str()), "{name} is pure and may not depend on {dependency}");
        }
    }
}
