//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A live-quiz event-streaming pipeline.
#[derive(Parser, Debug)]
#[command(name = "quizstream", version, about, after_help = EXIT_CODES, propagate_version = true)]
#[command(
    before_help = "Examples:\n  quizstream demo                         play a sample quiz with 200 bots, nothing to install\n  quizstream demo --keep                  …and stay up for people\n  quizstream quiz check my-quiz.yaml      is my quiz file right?\n  quizstream serve edge sessions          run two roles in one process"
)]
pub struct Cli {
    /// A configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE", env = "QUIZ_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 4 a check found something, 5 a server is unavailable, 130 interrupted.\nEvery setting can also come from the environment (QUIZ_SECTION__KEY); see `quizstream config print --sources`.";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run one or more roles until a signal ends them.
    #[command(
        before_help = "Examples:\n  quizstream serve all --listen 0.0.0.0:8080\n  quizstream serve edge --listen 127.0.0.1:8081\n  quizstream serve scoring board"
    )]
    Serve(ServeArgs),
    /// Play a whole quiz with bot players and prove that nothing was lost.
    #[command(
        before_help = "Examples:\n  quizstream demo\n  quizstream demo --quiz my-quiz.yaml --players 500 --seed 7\n  quizstream demo --keep --listen 0.0.0.0:8080\n  quizstream demo --brokers 127.0.0.1:9092 --mongo mongodb://127.0.0.1:27017 --edges 3 --json"
    )]
    Demo(DemoArgs),
    /// Check and import quiz files (own YAML or JSON, Moodle GIFT).
    #[command(subcommand)]
    Quiz(QuizCommand),
    /// Create the topics, or compare them with what they should be.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Prepare and look at the store.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// A role of `serve`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// WebSocket edge and REST.
    Edge,
    /// Session worker: runs the games.
    Sessions,
    /// Scoring worker: scores and stores answers.
    Scoring,
    /// Board projection: ranks and results.
    Board,
    /// Schema registry.
    Registry,
    /// Edge, sessions, scoring and board.
    All,
}

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The roles to run.
    #[arg(required = true, value_enum)]
    pub roles: Vec<Role>,
    /// Where players connect (edge.listen).
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The admin port: health, metrics (admin.listen).
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// A name for this process in the broker's logs; random when not given.
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
}

/// Arguments of `demo`.
#[derive(Args, Debug, Clone)]
pub struct DemoArgs {
    /// A quiz file; a sample quiz when not given.
    #[arg(long, value_name = "FILE")]
    pub quiz: Option<PathBuf>,
    /// Bot players.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=18_000))]
    pub players: u32,
    /// Play only the first N questions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub questions: Option<u16>,
    /// Makes the bots' choices; the same seed makes the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where players connect.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Stay up after the game, for people.
    #[arg(long)]
    pub keep: bool,
    /// A real Kafka instead of the embedded one; roles then run as processes of their own.
    #[arg(long, value_name = "HOST:PORT,…", requires = "mongo")]
    pub brokers: Option<String>,
    /// A real MongoDB instead of the embedded store.
    #[arg(long, value_name = "URI", requires = "brokers")]
    pub mongo: Option<String>,
    /// A schema registry beside --brokers; our own is started when not given.
    #[arg(long, value_name = "URL", requires = "brokers")]
    pub registry: Option<String>,
    /// How many edges.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub edges: u16,
    /// How many scoring workers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub scoring: u16,
    /// How many board projections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub boards: u16,
    /// Print one JSON object as the last line of stdout.
    #[arg(long)]
    pub json: bool,
}

/// Commands of `quiz`.
#[derive(Subcommand, Debug)]
pub enum QuizCommand {
    /// Say what is wrong with a quiz file, by line.
    #[command(
        before_help = "Examples:\n  quizstream quiz check my-quiz.yaml\n  quizstream quiz check bank.gift.txt --json"
    )]
    Check {
        /// The file; `-` reads standard input.
        file: PathBuf,
        /// Its format; guessed from its name and text when not given.
        #[arg(long, value_enum)]
        format: Option<QuizFormat>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Turn a quiz file into our own format; bad questions are reported and left out.
    #[command(
        before_help = "Examples:\n  quizstream quiz import bank.gift.txt -o bank.yaml\n  quizstream quiz import bank.gift.txt --publish"
    )]
    Import {
        /// The file; `-` reads standard input.
        file: PathBuf,
        /// Its format; guessed from its name and text when not given.
        #[arg(long, value_enum)]
        format: Option<QuizFormat>,
        /// Where to write the YAML; standard output when not given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Append it to quiz.quizzes.v1 as a version as well.
        #[arg(long)]
        publish: bool,
        /// The quiz id under which it is published; made from the title when not given.
        #[arg(long, value_name = "SLUG")]
        id: Option<String>,
        /// Its version.
        #[arg(long, value_name = "N", default_value_t = 1)]
        quiz_version: i32,
    },
}

/// A quiz file's format.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuizFormat {
    /// Our own, in YAML.
    Yaml,
    /// Our own, in JSON.
    Json,
    /// Moodle GIFT.
    Gift,
}

/// Commands of `topics`.
#[derive(Subcommand, Debug)]
pub enum TopicsCommand {
    /// Create what is missing; never changes a topic's partitions.
    Apply {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Also change the options of existing topics that differ.
        #[arg(long)]
        alter: bool,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show each topic beside what it should be; exit code 4 when they differ.
    Describe {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
}

/// Commands of `admin`.
#[derive(Subcommand, Debug)]
pub enum AdminCommand {
    /// The store.
    #[command(subcommand)]
    Store(StoreCommand),
}

/// Commands of `admin store`.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Create databases, shard keys, indexes, validators that are missing.
    Apply {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show collections and how their chunks lie on the shards.
    Describe {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
}

/// Commands of `config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print every key and its value.
    Print {
        /// Hide secrets.
        #[arg(long)]
        redact: bool,
        /// Say where each value came from.
        #[arg(long)]
        sources: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say whether the configuration can be used.
    Check,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
