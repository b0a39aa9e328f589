//! The servers of the stack: where they are, and how to stop, pause and start them.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::judge::target;
use crate::process::{printed, script, stack};

/// The settings that say where the servers are.
const ADDRESSES: [&str; 3] = ["QUIZ_KAFKA__BOOTSTRAP_SERVERS", "QUIZ_MONGO__URI", "QUIZ_REGISTRY__URL"];

/// A server's address from the environment.
///
/// # Panics
/// When it is missing: a test on real servers has no meaning without them.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: start the servers with `scripts/stack up --shard-members 3` and `eval \"$(scripts/stack env)\"`")
    })
}

/// Where the servers of a stack are.
#[derive(Clone, Debug)]
pub struct Servers(BTreeMap<String, String>);

impl Servers {
    /// Those that all tests use one after the other.
    pub fn shared() -> Self {
        Self(ADDRESSES.map(|variable| (variable.to_string(), server(variable))).into())
    }

    /// What a process of quizstream is told of them.
    pub fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// One address.
    pub fn of(&self, variable: &str) -> &str {
        self.0.get(variable).unwrap_or_else(|| panic!("the stack has no {variable}"))
    }
}

/// A stack of a test's own, for what would harm the shared one. It is taken down when this is dropped.
pub struct OwnStack {
    folder: PathBuf,
    // Two of these would be one.
    _lock: File,
}

impl OwnStack {
    /// Starts it with these arguments of `up`, and makes topics and collections. What a killed test has
    /// left behind of an earlier one goes first.
    pub fn up(arguments: &[&str]) -> Self {
        let folder = target().join("stack-own");
        let lock = File::create(target().join("stack-own.lock")).expect("a writable target folder");
        lock.lock().expect("the lock can be had");
        let stack = Self { folder, _lock: lock };
        stack.run(&["down"]);
        stack.run(&[&["up"], arguments].concat());
        for command in [["topics", "apply"].as_slice(), &["admin", "store", "apply"]] {
            let mut binary = Command::new(env!("CARGO_BIN_EXE_quizstream"));
            binary.args(command).envs(stack.servers().settings());
            printed(&format!("{command:?}"), binary.output().expect("the binary starts"));
        }
        stack
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = script();
        command.args(arguments).env("QUIZ_STACK_DIR", &self.folder);
        command.env("QUIZSTREAM_BIN", env!("CARGO_BIN_EXE_quizstream"));
        command
    }

    /// As [`crate::process::stack`].
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("scripts/stack runs");
        printed(&format!("own stack {arguments:?}"), output)
    }

    /// Where its servers are.
    pub fn servers(&self) -> Servers {
        let text = self.run(&["env"]);
        let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        Servers(lines.map(|(name, value)| (name.to_string(), value.trim_matches('\'').to_string())).collect())
    }

    /// Where a server keeps its data.
    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }

    /// The process of a server, which is up.
    pub fn pid(&self, name: &str) -> u32 {
        self.run(&["pid", name]).parse().expect("a process id")
    }

    /// Where a server listens.
    pub fn port(&self, name: &str) -> u16 {
        let path = self.folder.join("ports").join(name);
        std::fs::read_to_string(path).ok().and_then(|port| port.trim().parse().ok()).expect("a server has a port")
    }

    /// What a server has said so far.
    pub fn log(&self, name: &str) -> String {
        let path = self.folder.join("logs").join(format!("{name}.log"));
        std::fs::read_to_string(path).expect("a server has a log")
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        // The test may be failing already: what it says must not be lost for this.
        match self.command(&["down"]).output() {
            Ok(output) if output.status.success() => {}
            other => eprintln!("the stack in {} is not down: {other:?}", self.folder.display()),
        }
    }
}

/// Whether a process has ended, by its id.
pub fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    // One that nobody has waited for yet is a zombie.
    stat.is_err() || stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
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
