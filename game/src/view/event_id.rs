//! The names of durable results.

use quiz_schemas::{LaneNo, QuestionNo};
use smol_str::{SmolStr, format_smolstr};
use std::fmt;
use std::str::FromStr;

/// The name of a durable result in its game. A re-publish after a crash has the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum EventId {
    /// `s<seq>`: it comes of the sessions record with this `seq`.
    Session(i64),
    /// `q<n>.board`: the board of a question.
    Board(QuestionNo),
    /// `q<n>.outcomes.<lane>`: the outcomes of a question in a lane. Should a lane's outcomes take
    /// several records, all have this id and are told apart by their `part`.
    Outcomes(QuestionNo, LaneNo),
}

/// A text that is not an event id of this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is s<seq>, q<n>.board or q<n>.outcomes.<lane>")]
pub struct BadEventId;

impl EventId {
    /// As a results record holds it.
    #[must_use]
    pub fn text(self) -> SmolStr {
        format_smolstr!("{self}")
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventId::Session(seq) => write!(f, "s{seq}"),
            EventId::Board(question) => write!(f, "q{question}.board"),
            EventId::Outcomes(question, lane) => write!(f, "q{question}.outcomes.{lane}"),
        }
    }
}

/// A number as [`fmt::Display`] writes it: no sign, no leading zero. So that one event has one name.
fn number<T: FromStr>(text: &str) -> Result<T, BadEventId> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(BadEventId);
    }
    text.parse().map_err(|_| BadEventId)
}

impl FromStr for EventId {
    type Err = BadEventId;
    fn from_str(text: &str) -> Result<Self, BadEventId> {
        if let Some(seq) = text.strip_prefix('s') {
            return number(seq).map(EventId::Session);
        }
        let (question, kind) = text.strip_prefix('q').and_then(|rest| rest.split_once('.')).ok_or(BadEventId)?;
        let question = number(question)?;
        if kind == "board" {
            return Ok(EventId::Board(question));
        }
        let lane = kind.strip_prefix("outcomes.").ok_or(BadEventId)?;
        Ok(EventId::Outcomes(question, number(lane)?))
    }
}
