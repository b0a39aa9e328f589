//! Goal: files stay short, names stay the field's own, and what must be absent is absent.
//! Method: read the sources as text. A file that is longer than the limit may be listed with its
//! length; the list only ever shrinks.

use std::path::{Path, PathBuf};

/// Lines that a source file may have.
const FILE_LINES_MAX: usize = 500;

/// Files that were longer when the limit was set, and may not grow.
const LONG_FILES: &[(&str, usize)] = &[];

/// File names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils.rs", "util.rs", "helpers.rs", "helper.rs", "common.rs", "misc.rs"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "node_modules" | ".git") {
                walk(&path, out);
            }
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    assert!(paths.len() > 20, "the sources were not found");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        (name, std::fs::read_to_string(&path).expect("UTF-8"))
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn files_are_short() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        let allowed = LONG_FILES.iter().find(|(long, _)| *long == name).map_or(FILE_LINES_MAX, |(_, lines)| *lines);
        assert!(lines <= allowed, "{name} has {lines} lines, more than {allowed}: split it by what it does");
    }
}

#[test]
fn names_say_something() {
    for (name, _) in sources() {
        let file = name.rsplit('/').next().unwrap_or_default();
        assert!(!EMPTY_NAMES.contains(&file), "{name} says nothing of what is in it");
        assert!(file != "mod.rs" || name.contains("tests/"), "{name}: write foo.rs beside foo/");
    }
}

#[test]
fn topic_names_are_written_once() {
    for (name, text) in sources() {
        // Tests and comments may name a topic; code asks `Topic` for it.
        if name.contains("tests/") || name.starts_with("schemas/") || name == "tests/tidy.rs" {
            continue;
        }
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in body.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let literal = code.contains("\"quiz.") && code.contains(".v1\"");
            assert!(!literal, "{name}:{}: take the name from Topic", number + 1);
        }
    }
}

#[test]
fn the_rules_have_no_clock_and_no_randomness() {
    let pure = ["game/src/", "schemas/src/", "workers/src/session", "workers/src/scoring", "projections/src/board"];
    for (name, text) in sources().into_iter().filter(|(name, _)| pure.iter().any(|prefix| name.starts_with(prefix))) {
        for word in ["SystemTime::now", "Instant::now", "rand::", "thread_rng"] {
            assert!(!text.contains(word), "{name} uses {word}: time and randomness come in as arguments");
        }
    }
}
