//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use quiz_schemas::{GameId, PlayerId, QuestionNo};

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
    /// Play games with many players against running edges: an open loop, measured and written down.
    #[command(
        before_help = "Examples:\n  quizstream load --edges 127.0.0.1:8080 --players 400 --games 4\n  quizstream load --edges 127.0.0.1:8081,127.0.0.1:8082 --players 2000 --rate 1000 --log logs\n  quizstream load --edges 127.0.0.1:8080 --players 5000 --connect-rate 1000 --burst --source 127.0.0.0/8\n  quizstream load --edges 127.0.0.1:8080 --players 40000 --games 2 --source 127.0.0.0/8 --processes 4"
    )]
    Load(LoadArgs),
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
    /// Ledger projection: compares what edges, lanes and the store say of every question.
    Ledger,
    /// Schema registry.
    Registry,
    /// Edge, sessions, scoring, board and ledger.
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

/// Arguments of `load`.
#[derive(Args, Debug, Clone)]
pub struct LoadArgs {
    /// The edges; clients go to the next when theirs is gone.
    #[arg(long, required = true, value_delimiter = ',', value_name = "ADDR,…")]
    pub edges: Vec<SocketAddr>,
    /// Players of all games together.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub players: u32,
    /// Games, played side by side.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub games: u32,
    /// Questions of each game.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub questions: u16,
    /// A quiz file; one made by the seed when not given.
    #[arg(long, value_name = "FILE")]
    pub quiz: Option<PathBuf>,
    /// How many players each game is made for, which decides its lanes; as many as play when not given.
    #[arg(long, value_name = "N")]
    pub capacity: Option<u32>,
    /// Answers/s offered by all games together while their questions are open.
    #[arg(long, value_name = "R", group = "pace", value_parser = positive)]
    pub rate: Option<f64>,
    /// How long each player thinks [default: 200..2000].
    #[arg(long, value_name = "MIN..MAX", group = "pace")]
    pub think_ms: Option<String>,
    /// Everybody answers as soon as the question is seen.
    #[arg(long, group = "pace")]
    pub burst: bool,
    /// Time to answer a question; made to fit the pace when not given.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1_000..=240_000))]
    pub limit_ms: Option<u32>,
    /// Joins/s.
    #[arg(long, value_name = "R", default_value = "200", value_parser = positive)]
    pub connect_rate: f64,
    /// How long everybody sits in the lobby before the first question.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub idle_ms: u64,
    /// How long a host looks at a board before it asks the next question.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    pub pause_ms: u64,
    /// From one question of a game to its next, whatever the system does; games begin evenly apart, as games
    /// that know nothing of each other do. A question whose forerunner has no board by then waits for it.
    #[arg(long, value_name = "MS", conflicts_with = "pause_ms", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub every_ms: Option<u64>,
    /// Makes choices and times; the same seed makes the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Whether an answer without a receipt is sent again; `false` is for controls.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub resend: bool,
    /// A net to come from, such as 127.0.0.0/8: one address a client.
    #[arg(long, value_name = "NET")]
    pub source: Option<String>,
    /// Where to write down what the clients see (docs/LOADLOG.md), the quiz and the host tokens.
    #[arg(long, value_name = "DIR")]
    pub log: Option<PathBuf>,
    /// Give up after this; from what is asked for when not given.
    #[arg(long, value_name = "S")]
    pub timeout_s: Option<u64>,
    /// Split the players over N processes; as many as the limit of open files asks for when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: Option<u32>,
    /// The part of the players that this process has: number `K`, from 0, of `N`.
    #[arg(long, hide = true, value_name = "K/N", value_parser = shard)]
    pub shard: Option<(u32, u32)>,
    /// Only the JSON lines on stdout; nothing for people on stderr.
    #[arg(long)]
    pub json: bool,
}

fn shard(text: &str) -> Result<(u32, u32), String> {
    text.split_once('/')
        .and_then(|(no, of)| Some((no.parse().ok()?, of.parse().ok()?)))
        .filter(|(no, of): &(u32, u32)| no < of)
        .ok_or_else(|| "not a part such as 0/2".into())
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "not a number above 0".into())
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
    /// Show whether a game's books balance: every answer acknowledged, logged, scored and stored once.
    #[command(
        before_help = "Examples:\n  quizstream admin ledger 3V9K2R8MZ1Q4C\n  quizstream admin ledger 3V9K2R8MZ1Q4C --json\nExit codes: 0 balanced, 3 no such game, 4 imbalanced or not closed yet."
    )]
    Ledger {
        /// The game.
        #[arg(value_name = "GAME")]
        game: GameId,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show where the time of one answer went, hop by hop, or how each hop spreads over all answers of a game.
    #[command(
        before_help = "Examples:\n  quizstream admin trace 3V9K2R8MZ1Q4C\n  quizstream admin trace 3V9K2R8MZ1Q4C 0A7TQ5N2KX8YB 2\nExit codes: 0 shown, 3 no such game or answer, 4 a hop of the answer is not known (yet)."
    )]
    Trace {
        /// The game.
        #[arg(value_name = "GAME")]
        game: GameId,
        /// Who answered; all answers of the game when not given.
        #[arg(value_name = "PLAYER", requires = "question")]
        player: Option<PlayerId>,
        /// Which question, from 0.
        #[arg(value_name = "QUESTION")]
        question: Option<QuestionNo>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
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
