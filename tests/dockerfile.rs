//! Goal: the image that docker-compose.kafka.yml runs can be built from a fresh clone. Method: read the Dockerfile and
//! .dockerignore as text, and ask cargo and the sources what a build of the binary reads.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|err| panic!("{path}: {err}"))
}

/// What the build stage copies out of the context, and to where.
fn copied() -> Vec<(String, String)> {
    let dockerfile = file("Dockerfile");
    let mut copied = Vec::new();
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        if line.starts_with("--from=") {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (to, from) = words.split_last().expect("a destination");
        copied.extend(from.iter().map(|from| ((*from).to_string(), (*to).to_string())));
    }
    assert!(copied.len() > 10, "the lines were not found");
    copied
}

fn is_copied(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    copied().iter().any(|(from, _)| path.starts_with(root().join(from).canonicalize().expect("it is there")))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn what_is_copied_is_there_and_keeps_its_place() {
    let ignored = file(".dockerignore");
    let lines: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "nothing gets into the context that is not named");
    for (from, to) in copied() {
        assert!(root().join(&from).exists(), "{from} is not there");
        assert!(lines.contains(&format!("!{from}").as_str()), "{from} is kept out of the context");
        let place = Path::new(&to).join(if to.ends_with('/') {
            Path::new(&from).file_name().expect("a name")
        } else {
            "".as_ref()
        });
        let place = place.strip_prefix("./").map_or(place.clone(), Path::to_path_buf);
        assert_eq!(place.components().collect::<PathBuf>(), PathBuf::from(&from), "relative paths would break");
    }
    for line in lines.iter().filter_map(|line| line.strip_prefix('!')) {
        assert!(copied().iter().any(|(from, _)| from == line), "{line} is in the context for nothing");
    }
    for secret in ["**/.env", "**/target"] {
        assert!(lines.contains(&secret), "{secret} is kept out, wherever it is");
    }
}

#[test]
fn cargo_finds_every_member_of_the_workspace() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(root());
    let output = command.output().expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 8, "{packages:?}");
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        assert!(is_copied(manifest), "cargo wants {}", manifest.display());
        // The dependencies of the build and their locked versions are those of the whole workspace.
        for target in package["targets"].as_array().expect("a list") {
            let path = Path::new(target["src_path"].as_str().expect("a path"));
            let is_built = ["lib", "bin"].iter().any(|kind| target["kind"][0] == *kind);
            assert!(!is_built || is_copied(path), "cargo wants {}", path.display());
        }
    }
    assert!(is_copied(&root().join("Cargo.lock")), "--locked wants it");
}

/// The paths in `text` that stand between `before` and the next quote.
fn quoted<'a>(text: &'a str, before: &'static str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

#[test]
fn what_the_sources_read_while_they_are_built_is_copied() {
    let mut paths = Vec::new();
    for (from, _) in copied().iter().filter(|(from, _)| root().join(from).is_dir()) {
        sources(&root().join(from), &mut paths);
    }
    let mut found = 0;
    for path in paths.iter().filter(|path| !path.components().any(|part| part.as_os_str() == "tests")) {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        // Tests are not built.
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        let folder = path.parent().expect("a folder");
        let package = path.ancestors().find(|folder| folder.join("Cargo.toml").exists()).expect("a package");
        let included =
            quoted(body, "include_str!(\"").chain(quoted(body, "include_bytes!(\"")).map(|name| folder.join(name));
        for wanted in included.chain(quoted(body, "#[folder = \"").map(|name| package.join(name))) {
            assert!(is_copied(&wanted), "{} reads {}", path.display(), wanted.display());
            found += 1;
        }
    }
    assert!(found >= 4, "the sample quiz, the pages and two descriptions, not {found}");
}

#[test]
fn it_builds_with_the_lock_file_and_runs_as_nobody() {
    let dockerfile = file("Dockerfile");
    assert!(dockerfile.contains("cargo build --release --locked --package quizstream --bin quizstream"));
    let stages: Vec<&str> = dockerfile.split("\nFROM ").collect();
    assert_eq!(stages.len(), 3, "one builds, one runs");
    assert!(stages[1].starts_with("rust:") && stages[1].contains("-bookworm AS build\n"), "Debian 12 builds");
    assert!(stages[2].starts_with("debian:12."), "and Debian 12 runs: the C library must not be older");
    let user = stages[2].lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let id: u32 =
        user.split(':').next().and_then(|id| id.parse().ok()).expect("a number, which needs no list of users");
    assert!(id > 0, "not root");
    assert!(stages[2].contains("\nENTRYPOINT [\"quizstream\"]\n"), "signals reach the binary, not a shell");
}
