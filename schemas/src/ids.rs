//! Newtype ids. An id is 63 bits and travels everywhere (Avro, JSON, MongoDB, logs) as the same
//! 13 characters of Crockford base32, so that records from different tools can be joined by eye.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

/// Length of an id's text form.
pub const ID_CHARS: usize = 13;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID_MAX: u64 = i64::MAX as u64;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An id has exactly [`ID_CHARS`] characters.
    #[error("an id has 13 characters")]
    Length,
    /// A character outside the alphabet `0-9A-HJKMNP-TV-Z`, or a value above 63 bits.
    #[error("an id has only the characters 0-9 A-H J K M N P-T V-Z")]
    Character,
    /// A lane key is `game/lane`.
    #[error("a lane key is game/lane")]
    LaneKey,
    /// A PIN is six digits.
    #[error("a PIN is six digits")]
    Pin,
}

fn encode(value: u64) -> [u8; ID_CHARS] {
    let mut out = [b'0'; ID_CHARS];
    let mut rest = value;
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out
}

const fn decode_table() -> [u8; 256] {
    let mut table = [255u8; 256];
    let mut at = 0;
    while at < 32 {
        table[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    table
}

static DECODE: [u8; 256] = decode_table();

fn decode(text: &str) -> Result<u64, IdError> {
    let bytes = text.as_bytes();
    if bytes.len() != ID_CHARS {
        return Err(IdError::Length);
    }
    let mut value: u64 = 0;
    for &byte in bytes {
        let digit = DECODE[byte as usize];
        if digit == 255 || value > (ID_MAX >> 5) {
            return Err(IdError::Character);
        }
        value = (value << 5) | u64::from(digit);
    }
    Ok(value)
}

/// A submission's share in a digest of many: splitmix64 over the player and the submission, so that sums of
/// different sets differ.
#[must_use]
pub fn submission_digest(player: PlayerId, submission: SubmissionId) -> i64 {
    let mut mixed = submission.bits() ^ player.bits().rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).cast_signed()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// Takes the low 63 bits of `bits`; the caller brings the randomness.
            #[must_use]
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits & ID_MAX)
            }

            /// The id as a number of 63 bits.
            #[must_use]
            pub const fn bits(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text = encode(self.0);
                serializer.serialize_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = u64;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id of 13 characters")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                        decode(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text).map(Self)
            }
        }
    };
}

id! {
    /// One live game.
    GameId
}
id! {
    /// One player in one game. Not a person: the same person has another id in the next game.
    PlayerId
}
id! {
    /// The idempotency key that a client gives an answer; a resend carries the same one.
    SubmissionId
}
id! {
    /// The idempotency key that a client gives its join, and tells nobody else; the same one opens the same seat.
    JoinKey
}

/// A question's number in its game, from 0, in playing order.
pub type QuestionNo = u16;

/// A lane's number in its game, from 0.
pub type LaneNo = u16;

/// The name of an edge process, as it appears in records and metrics.
pub type EdgeId = SmolStr;

/// A game's slice of players that one partition orders, one worker scores and one shard stores.
/// Its text, `game/lane`, is the Kafka key of an answer and the MongoDB shard key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LaneKey {
    /// The game.
    pub game: GameId,
    /// The lane's number in it.
    pub lane: LaneNo,
}

impl LaneKey {
    /// The lane that holds `player` in a game of `lanes` lanes: a stable hash of the player id.
    #[must_use]
    pub fn of(game: GameId, player: PlayerId, lanes: LaneNo) -> Self {
        // SplitMix64's finaliser: every input bit moves every output bit, so sequential ids spread.
        let mut hash = player.bits();
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let lane = (hash % u64::from(lanes.max(1))) as LaneNo;
        Self { game, lane }
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.game, self.lane)
    }
}

impl FromStr for LaneKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (game, lane) = text.split_once('/').ok_or(IdError::LaneKey)?;
        let lane = lane.parse().map_err(|_| IdError::LaneKey)?;
        Ok(Self { game: game.parse()?, lane })
    }
}

impl Serialize for LaneKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LaneKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The six digits that a player types to join. Text form keeps leading zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(u32);

impl Pin {
    /// How many PINs there are.
    pub const COUNT: u32 = 1_000_000;

    /// The PIN at `index` modulo [`Pin::COUNT`]; the caller brings the randomness.
    #[must_use]
    pub const fn from_index(index: u32) -> Self {
        Self(index % Self::COUNT)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pin {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IdError::Pin);
        }
        text.parse().map(Self).map_err(|_| IdError::Pin)
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Where a record stands in its topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The partition, from 0.
    pub partition: i32,
    /// The offset in that partition.
    pub offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        for bits in [0, 1, 31, 32, ID_MAX, 0x0123_4567_89ab_cdef] {
            let id = GameId::from_bits(bits);
            let text = id.to_string();
            assert_eq!(text.len(), ID_CHARS);
            assert_eq!(text.parse::<GameId>(), Ok(id));
        }
    }

    #[test]
    fn a_bad_text_is_refused() {
        assert_eq!("".parse::<GameId>(), Err(IdError::Length));
        assert_eq!("000000000000U".parse::<GameId>(), Err(IdError::Character));
        assert_eq!("ZZZZZZZZZZZZZ".parse::<GameId>(), Err(IdError::Character));
        assert_eq!("8000000000000".parse::<GameId>(), Err(IdError::Character));
        assert_eq!("7ZZZZZZZZZZZZ".parse::<GameId>(), Ok(GameId::from_bits(ID_MAX)));
        assert_eq!("12345".parse::<Pin>(), Err(IdError::Pin));
        assert_eq!("+12345".parse::<Pin>(), Err(IdError::Pin));
    }

    #[test]
    fn a_lane_key_survives_its_text_and_lanes_spread() {
        let game = GameId::from_bits(77);
        let key = LaneKey { game, lane: 12 };
        assert_eq!(key.to_string().parse::<LaneKey>(), Ok(key));
        let mut per_lane = [0u32; 10];
        for player in 0..10_000 {
            per_lane[LaneKey::of(game, PlayerId::from_bits(player), 10).lane as usize] += 1;
        }
        assert!(per_lane.iter().all(|&count| (850..1150).contains(&count)), "{per_lane:?}");
    }
}
