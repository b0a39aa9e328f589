//! The closed list of topics: names, keys, partitions, cleanup, retention, subjects.

use std::fmt;

/// How a topic forgets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleanup {
    /// Records older than this many days are deleted.
    DeleteAfterDays(u32),
    /// The newest record per key is kept.
    Compact,
}

/// What the key of a topic's records is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// The game id.
    Game,
    /// The lane key, `game/lane`.
    Lane,
    /// The quiz id.
    Quiz,
}

/// One row of the topic table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicSpec {
    /// The name on the broker.
    pub name: &'static str,
    /// The name of its dead-letter topic.
    pub dlq: &'static str,
    /// The registry subject of its values.
    pub subject: &'static str,
    /// What its keys are.
    pub key: KeyKind,
    /// How many partitions it is created with.
    pub partitions: i32,
    /// How it forgets.
    pub cleanup: Cleanup,
    /// The Avro schema of its values, as committed.
    pub schema: &'static str,
}

/// Every topic of the pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Topic {
    /// What hosts ask for. Edge → sessions.
    Commands,
    /// Who joins, leaves, comes back. Edge → sessions.
    Joins,
    /// What happened in each game. Sessions → board.
    Sessions,
    /// Answers, and the markers that open and close a question in each lane. Edge, sessions → scoring.
    Answers,
    /// What each lane counted and scored. Scoring → board, sessions.
    Scores,
    /// What the edges tell their sockets. Board → edges.
    Results,
    /// Published quiz versions.
    Quizzes,
    /// What each edge did with the answers to a question. Edge → ledger.
    Tallies,
    /// The books of each question. Ledger → whoever audits.
    Ledger,
}

/// Partitions of the topics keyed by game. They are co-partitioned: partition `p` of each holds
/// the same games, and one member of a group owns `p` of all that it reads.
pub const GAME_PARTITIONS: i32 = 12;
/// Partitions of the answers topic.
pub const LANE_PARTITIONS: i32 = 24;

/// The compacted topic in which the small registry keeps its schemas. It is not part of the
/// pipeline and has no schema of its own.
pub const SCHEMAS_TOPIC: &str = "_quiz_schemas";

/// Days that a dead letter is kept.
pub const DLQ_RETENTION_DAYS: u32 = 30;

macro_rules! spec {
    ($name:literal, $key:ident, $partitions:expr, $cleanup:expr) => {
        TopicSpec {
            name: $name,
            dlq: concat!($name, ".dlq"),
            subject: concat!($name, "-value"),
            key: KeyKind::$key,
            partitions: $partitions,
            cleanup: $cleanup,
            schema: include_str!(concat!("../avro/", $name, ".avsc")),
        }
    };
}

static COMMANDS: TopicSpec = spec!("quiz.commands.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(7));
static JOINS: TopicSpec = spec!("quiz.joins.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(7));
static SESSIONS: TopicSpec = spec!("quiz.sessions.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(30));
static ANSWERS: TopicSpec = spec!("quiz.answers.v1", Lane, LANE_PARTITIONS, Cleanup::DeleteAfterDays(30));
static SCORES: TopicSpec = spec!("quiz.scores.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(30));
static RESULTS: TopicSpec = spec!("quiz.results.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(2));
static QUIZZES: TopicSpec = spec!("quiz.quizzes.v1", Quiz, GAME_PARTITIONS, Cleanup::Compact);
static TALLIES: TopicSpec = spec!("quiz.tallies.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(30));
static LEDGER: TopicSpec = spec!("quiz.ledger.v1", Game, GAME_PARTITIONS, Cleanup::DeleteAfterDays(30));

impl Topic {
    /// All topics, in the order of the table in the architecture page.
    pub const ALL: [Topic; 9] = [
        Topic::Commands,
        Topic::Joins,
        Topic::Sessions,
        Topic::Answers,
        Topic::Scores,
        Topic::Results,
        Topic::Quizzes,
        Topic::Tallies,
        Topic::Ledger,
    ];

    /// The topic's row.
    #[must_use]
    pub fn spec(self) -> &'static TopicSpec {
        match self {
            Topic::Commands => &COMMANDS,
            Topic::Joins => &JOINS,
            Topic::Sessions => &SESSIONS,
            Topic::Answers => &ANSWERS,
            Topic::Scores => &SCORES,
            Topic::Results => &RESULTS,
            Topic::Quizzes => &QUIZZES,
            Topic::Tallies => &TALLIES,
            Topic::Ledger => &LEDGER,
        }
    }

    /// The name on the broker.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The topic with this name on the broker; dead-letter topics are not in the list.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// The topic's place in [`Topic::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
