//! Tokens and proofs. Promise: nothing but what was signed is believed, neither other bytes nor signed
//! bytes that were altered.

use std::str;
use std::sync::LazyLock;

use quiz_ingest::token::{Holder, Seat, Signer, TakenAnswer};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{GameId, PlayerId, SubmissionId};

use super::reader::Reader;

const WALL_US: i64 = 1_790_000_000_000_000;
const ELAPSED_US: i64 = 1_234_567;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(&[7; 32]).expect("32 bytes"));
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let seat = Seat { game: GameId::from_bits(1), player: PlayerId::from_bits(2), nickname: "Ada".into(), lanes: 3 };
    SIGNER.sign(Holder::Player(seat), WALL_US)
});

/// The first byte chooses: other bytes or altered ones, as a token or as a proof.
pub fn run(data: &[u8]) {
    let mut reader = Reader(data);
    let choice = reader.below(4);
    let response = Response::Picks(Picks::one(1));
    let answer = TakenAnswer {
        game: GameId::from_bits(1),
        question: 2,
        player: PlayerId::from_bits(3),
        submission: SubmissionId::from_bits(4),
        response: &response,
    };
    let proof = SIGNER.prove(&answer, ELAPSED_US);
    let (signed, is_proof) = if choice % 2 == 0 { (TOKEN.as_str(), false) } else { (proof.as_str(), true) };
    let altered = if choice < 2 { reader.0.to_vec() } else { alter(signed, &mut reader) };
    let Ok(text) = str::from_utf8(&altered) else { return };
    if is_proof {
        // The same statement may be written otherwise, with a zero in front; no other is believed.
        let proven_us = SIGNER.proven_us(&answer, text);
        let expected_us = (text == signed).then_some(ELAPSED_US);
        assert!(proven_us == expected_us || proven_us == Some(ELAPSED_US), "{text:?} for {signed:?}");
    } else {
        assert_eq!(SIGNER.verify(text, WALL_US).is_ok(), text == signed, "{text:?} for {signed:?}");
    }
}

/// The signed text with some bytes changed, put in or taken out.
fn alter(signed: &str, reader: &mut Reader<'_>) -> Vec<u8> {
    let mut bytes = signed.as_bytes().to_vec();
    while !reader.is_empty() && !bytes.is_empty() {
        let at = usize::from(reader.byte()) * 256 + usize::from(reader.byte());
        let at = at % bytes.len();
        match reader.below(4) {
            0 => bytes.insert(at, reader.byte()),
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ => bytes[at] = reader.byte(),
        }
    }
    bytes
}
