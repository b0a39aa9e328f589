//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::profiles::Profile;

/// Measures the pipeline on servers that are up, beside the least that the machine can do.
#[derive(Parser, Debug)]
#[command(
    name = "quiz-bench",
    version,
    about,
    after_help = "Exit codes: 0 measured (whatever was found), 1 an answer was lost or books do not balance, or it could not be measured."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run profiles, and write down what they found. scripts/bench does this.
    Run(RunArgs),
    /// Write the page and the pictures again from what was found.
    Render {
        /// What was found (JSON).
        #[arg(long, value_name = "FILE")]
        findings: PathBuf,
        /// The page.
        #[arg(long, value_name = "FILE")]
        page: PathBuf,
    },
    /// The floor of an append: one loop around the client library's own producer.
    FloorKafka {
        /// Where Kafka is.
        #[arg(long, env = "QUIZ_KAFKA__BOOTSTRAP_SERVERS", value_name = "HOST:PORT")]
        bootstrap: String,
        /// Records/s.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// For how long, s.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// Producers that share the rate.
        #[arg(long, default_value_t = 1)]
        producers: u32,
        /// Different keys.
        #[arg(long, default_value_t = 24)]
        keys: u32,
        /// How long a record may wait for company, ms.
        #[arg(long, default_value_t = 1)]
        linger_ms: u32,
    },
    /// The floor of an edge: texts that come back, one text to everybody, idle sockets' memory.
    FloorEcho {
        /// Sockets.
        #[arg(long, default_value_t = 1_000)]
        sockets: u32,
        /// Servers that share them.
        #[arg(long, default_value_t = 1)]
        servers: u32,
        /// Texts/s that come back.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// For how long, s.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
    /// The server of the floor, until it is ended.
    #[command(hide = true)]
    EchoServer,
    /// The clients of the floor, which do what they are told.
    #[command(hide = true)]
    EchoClients {
        /// The server.
        #[arg(long)]
        server: SocketAddr,
        /// Sockets.
        #[arg(long)]
        sockets: u32,
    },
}

impl Command {
    /// Whether it starts processes, which have to end with it.
    pub fn starts_processes(&self) -> bool {
        matches!(self, Self::Run(_) | Self::FloorEcho { .. })
    }
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The quizstream binary.
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// A server that is watched, too.
    #[arg(long = "server", value_name = "NAME=PID", value_parser = server)]
    pub servers: Vec<(String, u32)>,
    /// Where Kafka is.
    #[arg(long, env = "QUIZ_KAFKA__BOOTSTRAP_SERVERS", value_name = "HOST:PORT")]
    pub bootstrap: String,
    /// The profiles; all when not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub profiles: Vec<Profile>,
    /// Runs of each; the middle one counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// All small: to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// Where what is found is written (JSON); what it holds of other profiles stays.
    #[arg(long, value_name = "FILE")]
    pub findings: PathBuf,
    /// The page whose generated part is written.
    #[arg(long, value_name = "FILE")]
    pub page: PathBuf,
    /// Where processes' words go.
    #[arg(long, value_name = "DIR")]
    pub logs: PathBuf,
    /// The commit that is measured.
    #[arg(long)]
    pub commit: String,
    /// The day.
    #[arg(long)]
    pub date: String,
    /// The command, as it is told.
    #[arg(long = "told-as")]
    pub told_as: String,
}

fn server(text: &str) -> Result<(String, u32), String> {
    text.split_once('=')
        .and_then(|(name, pid)| Some((name.to_string(), pid.parse().ok()?)))
        .ok_or_else(|| "not NAME=PID".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn servers_and_profiles_are_read() {
        let line = "quiz-bench run --program q --server kafka=12 --server mongo-a-0=13 --bootstrap h:1 --profiles steady,catch-up \
                    --findings f --page p --logs l --commit c --date d --told-as t";
        let Command::Run(args) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("a run was asked for")
        };
        assert_eq!(args.servers, [("kafka".to_string(), 12), ("mongo-a-0".to_string(), 13)]);
        assert_eq!(args.profiles, [Profile::Steady, Profile::CatchUp]);
        assert_eq!((args.runs, args.quick), (3, false));
        assert!(server("kafka").is_err() && server("kafka=x").is_err());
    }
}
