//! Proofs: an edge's statement of when it took an answer. They let a player whose edge dies, or whose
//! append fails, send the answer again elsewhere and be timed from the first time; no client can make
//! one, and each is good for one very answer only.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use quiz_schemas::quiz::Response;
use quiz_schemas::{GameId, PlayerId, QuestionNo, SubmissionId};
use sha2::Sha256;
use smol_str::SmolStr;

use super::Signer;

/// The longest proof that is looked at, bytes.
pub const PROOF_BYTES_MAX: usize = 64;
/// Bytes of the signature: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// An answer as an edge took it, without its time.
#[derive(Clone, Copy, Debug)]
pub struct TakenAnswer<'a> {
    /// The game.
    pub game: GameId,
    /// The question.
    pub question: QuestionNo,
    /// Who answered.
    pub player: PlayerId,
    /// Under which submission.
    pub submission: SubmissionId,
    /// What, in the form that goes into the log.
    pub response: &'a Response,
}

impl Signer {
    /// States that the answer was taken when the question had been before its player for `elapsed_us`.
    #[must_use]
    pub fn prove(&self, answer: &TakenAnswer<'_>, elapsed_us: i64) -> SmolStr {
        let signature = self.statement(answer, elapsed_us).finalize().into_bytes();
        let mut text = format!("{elapsed_us}.");
        for byte in &signature[..SIGNATURE_BYTES] {
            write!(text, "{byte:02x}").expect("a String takes all");
        }
        text.into()
    }

    /// The time that the proof states for this answer, µs; none unless an edge with our secret made it
    /// for this very answer.
    #[must_use]
    pub fn proven_us(&self, answer: &TakenAnswer<'_>, proof: &str) -> Option<i64> {
        if proof.len() > PROOF_BYTES_MAX {
            return None;
        }
        let (elapsed, signature) = proof.split_once('.')?;
        let elapsed_us: i64 = elapsed.parse().ok()?;
        let signature = bytes_of(signature)?;
        self.statement(answer, elapsed_us).verify_truncated_left(&signature).ok()?;
        Some(elapsed_us)
    }

    fn statement(&self, answer: &TakenAnswer<'_>, elapsed_us: i64) -> Hmac<Sha256> {
        let mut mac = self.proofs.clone();
        mac.update(&answer.game.bits().to_be_bytes());
        mac.update(&answer.question.to_be_bytes());
        mac.update(&answer.player.bits().to_be_bytes());
        mac.update(&answer.submission.bits().to_be_bytes());
        mac.update(&elapsed_us.to_be_bytes());
        // Last, and with a letter for its kind: no two responses have the same bytes.
        match answer.response {
            Response::Picks(picks) => {
                mac.update(b"p");
                mac.update(picks.as_slice());
            }
            Response::Text(text) => {
                mac.update(b"t");
                mac.update(text.as_bytes());
            }
            Response::Number(number) => {
                mac.update(b"n");
                mac.update(&number.to_bits().to_be_bytes());
            }
        }
        mac
    }
}

fn bytes_of(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    if hex.len() != 2 * SIGNATURE_BYTES || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quiz_schemas::quiz::Picks;

    fn response() -> impl Strategy<Value = Response> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..6).prop_map(|picks| Response::Picks(Picks::new(&picks).unwrap())),
            "\\PC{0,12}".prop_map(Response::Text),
            any::<f64>().prop_map(Response::Number),
        ]
    }

    fn same(one: &Response, other: &Response) -> bool {
        match (one, other) {
            (Response::Number(one), Response::Number(other)) => one.to_bits() == other.to_bits(),
            _ => one == other,
        }
    }

    proptest! {
        /// Goal: a proof holds for the answer it was made for, at every edge, and for no other. Method: two
        /// random answers with few ids, so that they are often alike.
        #[test]
        fn a_proof_is_good_for_one_answer(
            ids in proptest::array::uniform4(0u64..2),
            other_ids in proptest::array::uniform4(0u64..2),
            responses in (response(), response()),
            elapsed_us in 0i64..60_000_000,
        ) {
            let answer = |ids: [u64; 4], response| TakenAnswer {
                game: GameId::from_bits(ids[0]),
                question: ids[1] as u16,
                player: PlayerId::from_bits(ids[2]),
                submission: SubmissionId::from_bits(ids[3]),
                response,
            };
            let (here, there) = (Signer::new(&[1; 32]).unwrap(), Signer::new(&[1; 32]).unwrap());
            let proof = here.prove(&answer(ids, &responses.0), elapsed_us);
            prop_assert!(proof.len() <= PROOF_BYTES_MAX);
            prop_assert_eq!(there.proven_us(&answer(ids, &responses.0), &proof), Some(elapsed_us));
            let proven = there.proven_us(&answer(other_ids, &responses.1), &proof);
            prop_assert_eq!(proven.is_some(), ids == other_ids && same(&responses.0, &responses.1));
            // Another time, and another secret.
            let (_, signature) = proof.split_once('.').unwrap();
            let sooner = format!("{}.{signature}", elapsed_us - 1);
            prop_assert_eq!(there.proven_us(&answer(ids, &responses.0), &sooner), None);
            let foreign = Signer::new(&[2; 32]).unwrap();
            prop_assert_eq!(foreign.proven_us(&answer(ids, &responses.0), &proof), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}", digits in "[0-9]{1,20}\\.[0-9a-fé]{30,34}") {
            let response = Response::Text("a".into());
            let answer = TakenAnswer {
                game: GameId::from_bits(1),
                question: 0,
                player: PlayerId::from_bits(2),
                submission: SubmissionId::from_bits(3),
                response: &response,
            };
            let signer = Signer::new(&[1; 32]).unwrap();
            prop_assert_eq!(signer.proven_us(&answer, &text), None);
            prop_assert_eq!(signer.proven_us(&answer, &digits), None);
        }
    }
}
