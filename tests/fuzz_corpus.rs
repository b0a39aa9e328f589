//! Goal: what the fuzzer found, and what it starts from, stays good. Method: every target runs over its
//! kept corpus, as `scripts/fuzz` does for longer with new bytes. Controls: no corpus is empty, and a
//! target that panics is noticed.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/avro.rs"]
mod avro;
#[path = "../fuzz/src/frames.rs"]
mod frames;
#[path = "../fuzz/src/imports.rs"]
mod imports;
#[path = "../fuzz/src/reader.rs"]
mod reader;
#[path = "../fuzz/src/scoring.rs"]
mod scoring;
#[path = "../fuzz/src/tokens.rs"]
mod tokens;

/// A target's name and its entry.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("avro", avro::run),
    ("frames", frames::run),
    ("imports", imports::run),
    ("scoring", scoring::run),
    ("tokens", tokens::run),
];

/// All corpora together, bytes: they are read by people who clone this.
const CORPUS_BYTES_MAX: u64 = 300_000;

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a readable entry").path()).collect()
}

#[test]
fn every_kept_input_passes() {
    let mut bytes = 0;
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let data = std::fs::read(&input).expect("a readable input");
            bytes += data.len() as u64;
            let ended = catch_unwind(|| run(&data));
            assert!(ended.is_ok(), "{name} fails on {}", input.display());
        }
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "the corpora have {bytes} bytes");
    assert!(catch_unwind(|| panic!("the control")).is_err());
}
