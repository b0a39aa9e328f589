use super::{body, keyed_by_game};
use crate::ids::{EdgeId, GameId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};

/// Submission ids in one record at most; an edge with more tells them in parts.
pub const TALLY_SUBMISSIONS_MAX: usize = 50_000;

/// Results in one record at most: the board of a question and the outcomes of its lanes. An edge measures no more.
pub const DELIVERED_RESULTS_MAX: usize = 1_024;

/// One record of `quiz.tallies.v1`, keyed by game: what one edge process did with the answers to one
/// question, or with its results. Absolute (I5): of one edge, question and kind the record with the highest
/// version counts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TalliesRecord {
    /// The game.
    pub game: GameId,
    /// The edge process. A process that is started again has another name.
    pub edge: EdgeId,
    /// Its wall clock, µs since 1970. For people.
    pub at_us: i64,
    /// What is told.
    pub body: TalliesBody,
}
keyed_by_game!(TalliesRecord, Tallies);

body! {
    /// What an edge tells of its own work.
    TalliesBody {
        /// The answers to one question.
        tallied: EdgeTallied,
        /// The results of one question.
        delivered: EdgeDelivered,
    }
}

/// An edge's count of the answers to one question.
/// `received = acked + repeated + refused + unavailable`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EdgeTallied {
    /// The question.
    pub question: QuestionNo,
    /// Rises with every telling of this edge and question; the parts of one telling share it.
    pub version: i32,
    /// Answers that clients sent for it and that were decided.
    pub received: i64,
    /// Appended, and acknowledged by the broker.
    pub acked: i64,
    /// Resends that were acked again without an append.
    pub repeated: i64,
    /// Told an error for good: closed, misfit, too fast.
    pub refused: i64,
    /// Told to send again, or still under way when this is told: whether the append is in the log is
    /// not known. One that turns out acknowledged later moves to `acked` in the next telling.
    pub unavailable: i64,
    /// Nothing more will come of this edge.
    pub last: bool,
    /// This part, from 0.
    pub part: i32,
    /// How many parts there are, ≥ 1.
    pub parts: i32,
    /// The acked submissions, in this part at most [`TALLY_SUBMISSIONS_MAX`].
    pub submissions: SubmissionList,
    /// The sum, wrapping, of [`submission_digest`](crate::submission_digest) over all of `acked`, the
    /// same in every part: when no answer is unavailable, the edges' sum is the lanes'
    /// ([`LaneCounts::digest`](crate::events::LaneCounts)), and no id needs to be compared.
    #[serde(default)]
    pub digest: i64,
}

/// When an edge had written the results of one question to its sockets. Only sockets that were told them as news
/// count: who came later, or was told again what they missed, is measured nowhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EdgeDelivered {
    /// The question.
    pub question: QuestionNo,
    /// Rises with every telling of this edge and question: a socket that was slow is in a later one.
    pub version: i32,
    /// The board, and the outcomes of the lanes that have players here; those that were written to no socket
    /// are left out. In the order of their offsets, at most [`DELIVERED_RESULTS_MAX`].
    pub results: Vec<ResultDelivered>,
}

/// One result on its way out of one edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResultDelivered {
    /// The offset of its record in the game's partition of `quiz.results.v1`.
    pub at: i64,
    /// Sockets to which the system has taken it, ≥ 1.
    pub sockets: i64,
    /// When the first of them had, by the edge's wall clock, µs since 1970.
    pub first_us: i64,
    /// When the last of them had, by the same clock.
    pub last_us: i64,
}

/// Submission ids as bytes: eight for each, big-endian. A text of 13 characters each would double the record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SubmissionList(pub Vec<SubmissionId>);

const ID_BYTES: usize = 8;

impl Serialize for SubmissionList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|id| id.bits().to_be_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for SubmissionList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> serde::de::Visitor<'de> for Bytes {
            type Value = SubmissionList;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("eight bytes for each submission")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<SubmissionList, E> {
                let (ids, rest) = bytes.as_chunks::<ID_BYTES>();
                if !rest.is_empty() {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                Ok(SubmissionList(ids.iter().map(|id| SubmissionId::from_bits(u64::from_be_bytes(*id))).collect()))
            }
            // JSON has no bytes: there they are a list of numbers.
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<SubmissionList, A::Error> {
                let mut bytes: Vec<u8> = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                self.visit_bytes(&bytes)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
