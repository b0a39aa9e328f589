//! The fault suite: Apache Kafka, sharded MongoDB, Redis and every role as processes; something is killed,
//! paused, cut or lied to in the middle of a run; then `tests/checker` judges by the clients' own logs, the
//! raw topics, the stored answers and what each client applied. No part of the pipeline judges itself.
//!
//! Each test opens with its goal, its method and its control: what shows that the fault bit. Faults are
//! injected when a condition holds (half of the answers to a question are acknowledged), never after a
//! sleep for luck. Each prints one line and appends it to `faults.tsv` in the target folder.
//!
//! Without the servers these tests fail: `scripts/test` and `scripts/faults` start them.

mod broker;
mod clocks;
mod course;
mod disk;
mod edges;
mod fleet;
mod judge;
mod load;
mod mongo;
#[path = "../support/process.rs"]
mod process;
mod proxy;
mod raw;
mod sockets;
mod stack;
mod storms;
mod workers;

/// The checker finds each kind of fault when it is planted, and none where there is none.
#[test]
fn the_checker_finds_planted_faults() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/checker");
    let output = std::process::Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", folder])
        .output()
        .expect("python3 is installed: scripts/setup");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Ran 0 tests"), "{said}");
}
