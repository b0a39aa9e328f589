//! Processes that a test or its stack has started: told, stopped and let go on by their pid.
#![allow(dead_code)]

use std::process::{Command, Output};

/// Runs `scripts/stack` and returns what it prints.
pub fn stack(arguments: &[&str]) -> String {
    let output = script().args(arguments).output().expect("scripts/stack runs");
    printed(&format!("stack {arguments:?}"), output)
}

/// The command `scripts/stack`.
pub fn script() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack"))
}

/// What a command that did well has printed.
pub fn printed(what: &str, output: Output) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "process {pid} takes {name}");
}

/// A process that is stopped by SIGSTOP until this is dropped.
pub struct Paused(u32);

impl Paused {
    /// Stops it.
    pub fn process(pid: u32) -> Self {
        signal(pid, "-STOP");
        Self(pid)
    }

    /// Stops a server of the stack.
    pub fn server(name: &str) -> Self {
        Self::process(stack(&["pid", name]).parse().expect("a process id"))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = Command::new("kill").args(["-CONT", &self.0.to_string()]).status();
    }
}
