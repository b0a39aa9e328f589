//! A quiz, its questions, the key to an answer, and a player's response.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The most options that one question may have.
pub const OPTIONS_MAX: usize = 12;

/// A few option indices, inline: the options that a player picked, or the right ones.
/// For an ordering question the sequence matters; elsewhere it is a set in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Picks {
    len: u8,
    items: [u8; OPTIONS_MAX],
}

/// More than [`OPTIONS_MAX`] picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than 12 picks")]
pub struct TooManyPicks;

impl Picks {
    /// The picks in the order given.
    ///
    /// # Errors
    /// When there are more than [`OPTIONS_MAX`].
    pub fn new(items: &[u8]) -> Result<Self, TooManyPicks> {
        if items.len() > OPTIONS_MAX {
            return Err(TooManyPicks);
        }
        let mut picks = Self { len: items.len() as u8, items: [0; OPTIONS_MAX] };
        picks.items[..items.len()].copy_from_slice(items);
        Ok(picks)
    }

    /// A single pick.
    #[must_use]
    pub fn one(item: u8) -> Self {
        let mut items = [0; OPTIONS_MAX];
        items[0] = item;
        Self { len: 1, items }
    }

    /// The picks.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.items[..usize::from(self.len)]
    }

    /// Whether `item` is among them.
    #[must_use]
    pub fn contains(&self, item: u8) -> bool {
        self.as_slice().contains(&item)
    }
}

impl fmt::Debug for Picks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl Serialize for Picks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_slice())
    }
}

impl<'de> Deserialize<'de> for Picks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Picks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("at most 12 option indices")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Picks, E> {
                Picks::new(bytes).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Picks, A::Error> {
                let mut picks = Picks::default();
                while let Some(item) = seq.next_element::<u8>()? {
                    if usize::from(picks.len) == OPTIONS_MAX {
                        return Err(de::Error::custom(TooManyPicks));
                    }
                    picks.items[usize::from(picks.len)] = item;
                    picks.len += 1;
                }
                Ok(picks)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// What a player is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// Pick one option.
    Single,
    /// Pick every right option; partial credit.
    Multiple,
    /// Pick true or false.
    TrueFalse,
    /// Type a short text.
    Text,
    /// Type a number.
    Number,
    /// Put the options in order.
    Order,
    /// Pick one option; no points.
    Poll,
    /// A kind that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The right answer to a question, as a lane's open marker carries it.
/// It is told to nobody outside the log before the question closes (I8).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "AnswerKeyRecord", try_from = "AnswerKeyRecord")]
pub enum AnswerKey {
    /// Any one of `correct` is right. Also true/false, with option 0 = true and 1 = false.
    Single {
        /// How many options there are.
        options: u8,
        /// The right ones.
        correct: Picks,
    },
    /// Each option of `correct` is right.
    Multiple {
        /// How many options there are.
        options: u8,
        /// The right ones, ascending.
        correct: Picks,
    },
    /// Any of these texts is right, compared folded.
    Text {
        /// The accepted variants.
        accepted: Vec<String>,
    },
    /// Right within `tolerance` of `value`.
    Number {
        /// The right number.
        value: f64,
        /// The greatest distance that still counts, ≥ 0.
        tolerance: f64,
    },
    /// The options in their right order.
    Order {
        /// A permutation of `0..n`.
        correct: Picks,
    },
    /// No answer is right or wrong.
    Poll {
        /// How many options there are.
        options: u8,
    },
}

/// [`AnswerKey`] as Avro holds it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnswerKeyRecord {
    kind: QuestionKind,
    options: i32,
    correct: Picks,
    accepted: Vec<String>,
    value: Option<f64>,
    tolerance: Option<f64>,
}

/// A key record of an unknown kind, or with a part missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer key of unknown kind or with a part missing")]
pub struct BadAnswerKey;

impl From<AnswerKey> for AnswerKeyRecord {
    fn from(key: AnswerKey) -> Self {
        let mut record = Self {
            kind: QuestionKind::Unknown,
            options: 0,
            correct: Picks::default(),
            accepted: Vec::new(),
            value: None,
            tolerance: None,
        };
        match key {
            AnswerKey::Single { options, correct } => {
                record.kind = QuestionKind::Single;
                record.options = i32::from(options);
                record.correct = correct;
            }
            AnswerKey::Multiple { options, correct } => {
                record.kind = QuestionKind::Multiple;
                record.options = i32::from(options);
                record.correct = correct;
            }
            AnswerKey::Text { accepted } => {
                record.kind = QuestionKind::Text;
                record.accepted = accepted;
            }
            AnswerKey::Number { value, tolerance } => {
                record.kind = QuestionKind::Number;
                record.value = Some(value);
                record.tolerance = Some(tolerance);
            }
            AnswerKey::Order { correct } => {
                record.kind = QuestionKind::Order;
                record.options = correct.as_slice().len() as i32;
                record.correct = correct;
            }
            AnswerKey::Poll { options } => {
                record.kind = QuestionKind::Poll;
                record.options = i32::from(options);
            }
        }
        record
    }
}

impl TryFrom<AnswerKeyRecord> for AnswerKey {
    type Error = BadAnswerKey;
    fn try_from(record: AnswerKeyRecord) -> Result<Self, BadAnswerKey> {
        let options = u8::try_from(record.options).map_err(|_| BadAnswerKey)?;
        let correct = record.correct;
        Ok(match record.kind {
            QuestionKind::Single | QuestionKind::TrueFalse => AnswerKey::Single { options, correct },
            QuestionKind::Multiple => AnswerKey::Multiple { options, correct },
            QuestionKind::Text => AnswerKey::Text { accepted: record.accepted },
            QuestionKind::Number => AnswerKey::Number {
                value: record.value.ok_or(BadAnswerKey)?,
                tolerance: record.tolerance.ok_or(BadAnswerKey)?,
            },
            QuestionKind::Order => AnswerKey::Order { correct },
            QuestionKind::Poll => AnswerKey::Poll { options },
            QuestionKind::Unknown => return Err(BadAnswerKey),
        })
    }
}

/// One question of a quiz, with its key. Never leaves the log before the question closes (I8).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// What the player is asked to do.
    pub kind: QuestionKind,
    /// The question's text.
    pub prompt: String,
    /// The options, in the order shown; empty for text and number questions.
    pub options: Vec<String>,
    /// The right answer.
    pub key: AnswerKey,
    /// Points for a right answer at once: 0, 1000 or 2000.
    pub points_max: i32,
    /// Time to answer, in milliseconds.
    pub limit_ms: i32,
    /// Shown after the close.
    pub explanation: Option<String>,
}

/// One version of a quiz. A version never changes: an edit makes the next one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quiz {
    /// The quiz, a slug such as `world-capitals`.
    pub id: String,
    /// Its version, from 1.
    pub version: i32,
    /// The title shown in the lobby.
    pub title: String,
    /// The questions in playing order.
    pub questions: Vec<Question>,
}

/// What a player answered.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    /// Options, by index: one, several, or an order.
    Picks(Picks),
    /// A text, as typed.
    Text(String),
    /// A number.
    Number(f64),
}

#[derive(Deserialize)]
struct ResponseRecord {
    picks: Picks,
    text: Option<String>,
    number: Option<f64>,
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename = "Response")]
        struct Borrowed<'a> {
            picks: Picks,
            text: Option<&'a str>,
            number: Option<f64>,
        }
        let mut record = Borrowed { picks: Picks::default(), text: None, number: None };
        match self {
            Response::Picks(picks) => record.picks = *picks,
            Response::Text(text) => record.text = Some(text),
            Response::Number(number) => record.number = Some(*number),
        }
        record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = ResponseRecord::deserialize(deserializer)?;
        Ok(match (record.text, record.number) {
            (Some(text), _) => Response::Text(text),
            (None, Some(number)) => Response::Number(number),
            (None, None) => Response::Picks(record.picks),
        })
    }
}
