//! The servers of the stack: where they are, and how to stop, pause and start them.

use std::net::SocketAddr;
use std::process::Command;

/// A server's address from the environment.
///
/// # Panics
/// When it is missing: a test on real servers has no meaning without them.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: start the servers with `scripts/stack up --shard-members 3` and `eval \"$(scripts/stack env)\"`")
    })
}

/// Runs `scripts/stack` and returns what it prints.
pub fn stack(arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack");
    let output = Command::new(script).args(arguments).output().expect("scripts/stack runs");
    assert!(output.status.success(), "stack {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_string()
}

/// Sends a signal to a process that this suite or its stack has started.
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

/// A server of the stack that is down until this is dropped.
pub struct Down(&'static str);

impl Down {
    /// Kills it, as a crash would.
    pub fn killed(name: &'static str) -> Self {
        stack(&["stop", name, "--signal", "KILL"]);
        Self(name)
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        stack(&["start", self.0]);
    }
}

/// The router of MongoDB.
pub fn mongo_address() -> SocketAddr {
    let uri = server("QUIZ_MONGO__URI");
    let host = uri.trim_start_matches("mongodb://").split('/').next().unwrap_or_default();
    host.parse().expect("the stack's router is at an address")
}

/// Where a proxy to Kafka has to listen, and the listener of the broker behind it.
pub fn kafka_proxy() -> (SocketAddr, SocketAddr) {
    let address = |variable| server(variable).parse().expect("an address");
    (address("QUIZSTREAM_KAFKA_PROXY"), address("QUIZSTREAM_KAFKA_BEHIND"))
}

/// The servers of the stack and their ports.
pub fn stack_ports() -> Vec<(String, u16)> {
    // The exit code tells whether all are up, and here some are down on purpose.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/stack");
    let output = Command::new(script).args(["status", "--json"]).output().expect("scripts/stack runs");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let row = |row: &serde_json::Value| {
        let port = row["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        (row["name"].as_str().expect("a name").to_string(), port)
    };
    rows.iter().map(row).collect()
}
