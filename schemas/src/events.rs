//! The records of every topic.
//!
//! Each topic has one top-level Avro record: an envelope, and a `body` with one nullable field per
//! kind of event, of which exactly one is set. A union of records would be tidier to read but
//! could never gain a kind under FULL_TRANSITIVE; a nullable field with a default can. A reader
//! that meets a kind from the future sees `Unknown` and skips it.

mod answers;
mod commands;
mod joins;
mod ledger;
mod quizzes;
mod results;
mod scores;
mod sessions;
mod tallies;

pub use answers::{AnswerSubmitted, AnswersBody, AnswersRecord, LaneClosed, LaneOpened};
pub use commands::{
    CloseQuestion, CommandsBody, CommandsRecord, CreateGame, EndGame, GameSettings, KickPlayer, OpenQuestion,
};
pub use joins::{JoinRequested, JoinsBody, JoinsRecord, PlayerConnected, PlayerDisconnected};
pub use ledger::{
    EdgeTotals, Imbalance, LEDGER_SUSPECTS_MAX, LaneTotals, LedgerBody, LedgerRecord, LedgerState, QuestionLedger,
    Suspect,
};
pub use quizzes::QuizzesRecord;
pub use results::{
    AnswersCounted, BoardPublished, BoardRow, CommandRefused, GameEnded, GameOpened, LobbyChanged, LobbyPlayer,
    Outcome, OutcomesPublished, QuestionShown, QuestionStopped, QuestionView, ResultsBody, ResultsRecord,
};
pub use scores::{LaneCounted, LaneCounts, LaneScored, LaneStored, PlayerScore, ScoresBody, ScoresRecord, Verdict};
pub use sessions::{
    Cause, CommandRejected, CommandRejection, GameCreated, GameOver, JoinRefusal, JoinsDecided, OpenDeferred,
    OverReason, PlayerAdmitted, PlayerKicked, PresenceChanged, QuestionClosed, QuestionOpened, QuestionSettled,
    QuestionStopping, RefusalReason, SessionsBody, SessionsRecord, StopReason,
};
pub use tallies::{
    DELIVERED_RESULTS_MAX, EdgeDelivered, EdgeTallied, ResultDelivered, SubmissionList, TALLY_SUBMISSIONS_MAX,
    TalliesBody, TalliesRecord,
};

use crate::ids::{GameId, LaneKey};
use crate::topic::Topic;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

/// A record type that is the value of one topic.
pub trait Event: Serialize + DeserializeOwned + Send + 'static {
    /// The topic that holds it.
    const TOPIC: Topic;

    /// The Kafka key of the record.
    fn key(&self) -> SmolStr;
}

/// Makes the `body` of a topic's record: an enum in Rust, a record of nullable fields in Avro.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $field:ident: $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant($variant),)*
            /// A kind from a newer writer.
            Unknown,
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                const FIELDS: usize = [$(stringify!($field)),*].len();
                let mut body = serializer.serialize_struct(stringify!($name), FIELDS)?;
                $(
                    let field = if let Self::$variant(event) = self { Some(event) } else { None };
                    body.serialize_field(stringify!($field), &field)?;
                )*
                body.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                struct Fields {
                    $(#[serde(default)] $field: Option<$variant>,)*
                }
                let fields = Fields::deserialize(deserializer)?;
                $(if let Some(event) = fields.$field {
                    return Ok(Self::$variant(event));
                })*
                Ok(Self::Unknown)
            }
        }

        $(impl From<$variant> for $name {
            fn from(event: $variant) -> Self {
                Self::$variant(event)
            }
        })*
    };
}
use body;

macro_rules! keyed_by_game {
    ($record:ident, $topic:ident) => {
        impl super::Event for $record {
            const TOPIC: crate::topic::Topic = crate::topic::Topic::$topic;
            fn key(&self) -> smol_str::SmolStr {
                super::game_key(self.game)
            }
        }
    };
}
use keyed_by_game;

/// The Kafka key of a record keyed by game.
#[must_use]
pub fn game_key(game: GameId) -> SmolStr {
    smol_str::format_smolstr!("{game}")
}

/// The Kafka key of a record keyed by lane.
#[must_use]
pub fn lane_key(lane: LaneKey) -> SmolStr {
    smol_str::format_smolstr!("{lane}")
}

/// A record of any topic.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum AnyEvent {
    Commands(CommandsRecord),
    Joins(JoinsRecord),
    Sessions(SessionsRecord),
    Answers(AnswersRecord),
    Scores(ScoresRecord),
    Results(ResultsRecord),
    Quizzes(QuizzesRecord),
    Tallies(TalliesRecord),
    Ledger(LedgerRecord),
}

macro_rules! any_from {
    ($($variant:ident($record:ident)),*) => {
        $(impl From<$record> for AnyEvent {
            fn from(record: $record) -> Self {
                Self::$variant(record)
            }
        })*

        impl AnyEvent {
            /// The topic that holds it.
            #[must_use]
            pub fn topic(&self) -> Topic {
                match self {
                    $(Self::$variant(_) => <$record as Event>::TOPIC,)*
                }
            }

            /// The Kafka key of the record.
            #[must_use]
            pub fn key(&self) -> SmolStr {
                match self {
                    $(Self::$variant(record) => record.key(),)*
                }
            }
        }
    };
}
any_from!(
    Commands(CommandsRecord),
    Joins(JoinsRecord),
    Sessions(SessionsRecord),
    Answers(AnswersRecord),
    Scores(ScoresRecord),
    Results(ResultsRecord),
    Quizzes(QuizzesRecord),
    Tallies(TalliesRecord),
    Ledger(LedgerRecord)
);
