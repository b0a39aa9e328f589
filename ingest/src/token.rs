//! Tokens and receipts: what an edge signs, so that any other edge can trust it without a look-up.

mod proof;

pub use proof::{PROOF_BYTES_MAX, TakenAnswer};

use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quiz_schemas::{GameId, JoinKey, LaneNo, PlayerId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use smol_str::SmolStr;

/// The shortest secret that is taken, bytes: as long as the hash, so that it is no easier to guess.
pub const SECRET_BYTES_MIN: usize = 32;
/// How long a token is good for, s.
pub const TOKEN_LIFE_S: i64 = 12 * 3600;
/// How far two edges' wall clocks may be apart, s.
pub const CLOCK_LEEWAY_S: i64 = 5;
/// Characters of a receipt.
pub const RECEIPT_CHARS: usize = 26;

const ISSUER: &str = "quizstream";
const AUDIENCE: &str = "quizstream/socket";
const PROOF_LABEL: &[u8] = b"quizstream proof v1";
const PLAYER_LABEL: &[u8] = b"quizstream player v1";
const RECEIPT_LABEL: &[u8] = b"quizstream receipt v1";
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A secret that is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token secret has {0} bytes, fewer than {SECRET_BYTES_MIN}")]
pub struct WeakSecret(pub usize);

/// A token that this edge does not believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is forged, foreign or expired")]
pub struct TokenInvalid;

/// Whom a token is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Holder {
    /// An admitted player.
    Player(Seat),
    /// The game's host.
    Host {
        /// The game.
        game: GameId,
    },
}

/// A player's seat in a game.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seat {
    /// The game.
    pub game: GameId,
    /// Who.
    pub player: PlayerId,
    /// Under which name.
    pub nickname: String,
    /// How many lanes the game has, so that any edge can name the player's lane.
    pub lanes: LaneNo,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: SmolStr,
    aud: SmolStr,
    /// Seconds since 1970.
    exp: i64,
    #[serde(flatten)]
    holder: Holder,
}

/// Signs and checks tokens, receipts and proofs with one secret.
pub struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    receipts: Hmac<Sha256>,
    proofs: Hmac<Sha256>,
    players: Hmac<Sha256>,
}

impl Signer {
    /// A signer; all edges of a cluster share the secret.
    ///
    /// # Errors
    /// When the secret has fewer than [`SECRET_BYTES_MIN`] bytes.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret(secret.len()));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // The clock comes in as an argument, see `verify`.
        validation.validate_exp = false;
        validation.leeway = 0;
        // Each kind of signature has a key of its own, so that none can stand for another.
        let derived = |label: &[u8]| {
            let mut derive = keyed(secret);
            derive.update(label);
            keyed(&derive.finalize().into_bytes())
        };
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            receipts: derived(RECEIPT_LABEL),
            proofs: derived(PROOF_LABEL),
            players: derived(PLAYER_LABEL),
        })
    }

    /// A token for `holder`, good for [`TOKEN_LIFE_S`] from `now_us`.
    #[must_use]
    pub fn sign(&self, holder: Holder, now_us: i64) -> String {
        let exp = now_us / 1_000_000 + TOKEN_LIFE_S;
        let claims = Claims { iss: ISSUER.into(), aud: AUDIENCE.into(), exp, holder };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims are JSON and the key fits the algorithm")
    }

    /// Whom the token is for.
    ///
    /// # Errors
    /// When it is not signed with our secret by HS256, not meant for our sockets, or expired.
    pub fn verify(&self, token: &str, now_us: i64) -> Result<Holder, TokenInvalid> {
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map_err(|_| TokenInvalid)?.claims;
        let now_s = now_us / 1_000_000;
        let longest = now_s + TOKEN_LIFE_S + CLOCK_LEEWAY_S;
        if now_s > claims.exp.saturating_add(CLOCK_LEEWAY_S) || claims.exp > longest {
            return Err(TokenInvalid);
        }
        Ok(claims.holder)
    }

    /// Who plays in `game` under the normalised `nickname` and came with `key`: a function of its arguments and the
    /// secret, so that a join that comes again is for the same player at every edge (I2), and no player's id tells
    /// a key.
    #[must_use]
    pub fn player(&self, game: GameId, key: JoinKey, nickname: &str) -> PlayerId {
        let mut mac = self.players.clone();
        mac.update(&game.bits().to_be_bytes());
        mac.update(&key.bits().to_be_bytes());
        mac.update(nickname.as_bytes());
        let digest = mac.finalize().into_bytes();
        let front = digest.first_chunk().expect("a digest has 256 bits");
        PlayerId::from_bits(u64::from_be_bytes(*front))
    }

    /// The proof that a submission was acknowledged: a function of its arguments and the secret, so
    /// that a resend gets the same at every edge (I2).
    #[must_use]
    pub fn receipt(&self, game: GameId, question: QuestionNo, player: PlayerId, submission: SubmissionId) -> SmolStr {
        let mut mac = self.receipts.clone();
        mac.update(&game.bits().to_be_bytes());
        mac.update(&question.to_be_bytes());
        mac.update(&player.bits().to_be_bytes());
        mac.update(&submission.bits().to_be_bytes());
        let digest = mac.finalize().into_bytes();
        base32_front(&digest)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// The first 130 bits, five to a character.
fn base32_front(bytes: &[u8]) -> SmolStr {
    let mut text = String::with_capacity(RECEIPT_CHARS);
    let (mut window, mut bits) = (0u32, 0u32);
    let mut rest = bytes.iter();
    while text.len() < RECEIPT_CHARS {
        if bits < 5 {
            window = (window << 8) | u32::from(*rest.next().expect("a digest has 256 bits"));
            bits += 8;
        }
        bits -= 5;
        text.push(char::from(BASE32[((window >> bits) & 31) as usize]));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_790_000_000_000_000;
    const SECRET: [u8; 32] = [7; 32];

    fn signer() -> Signer {
        Signer::new(&SECRET).unwrap()
    }

    fn seat() -> Holder {
        Holder::Player(Seat {
            game: GameId::from_bits(1),
            player: PlayerId::from_bits(2),
            nickname: "Ada".into(),
            lanes: 3,
        })
    }

    #[test]
    fn a_token_is_believed_while_it_lasts() {
        for holder in [seat(), Holder::Host { game: GameId::from_bits(9) }] {
            let token = signer().sign(holder.clone(), NOW_US);
            assert_eq!(signer().verify(&token, NOW_US), Ok(holder.clone()));
            let end_us = NOW_US + (TOKEN_LIFE_S + CLOCK_LEEWAY_S) * 1_000_000;
            assert_eq!(signer().verify(&token, end_us), Ok(holder));
            assert_eq!(signer().verify(&token, end_us + 1_000_000), Err(TokenInvalid));
        }
    }

    #[test]
    fn a_foreign_token_is_not_believed() {
        let claims = |iss: &str, aud: &str, exp: i64| Claims { iss: iss.into(), aud: aud.into(), exp, holder: seat() };
        let good_s = NOW_US / 1_000_000 + 60;
        let sign = |algorithm, claims: &Claims, secret: &[u8]| {
            jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
        };
        let good = sign(Algorithm::HS256, &claims(ISSUER, AUDIENCE, good_s), &SECRET);
        assert!(signer().verify(&good, NOW_US).is_ok());
        let foreign = [
            sign(Algorithm::HS256, &claims(ISSUER, AUDIENCE, good_s), &[8; 32]),
            sign(Algorithm::HS512, &claims(ISSUER, AUDIENCE, good_s), &SECRET),
            sign(Algorithm::HS256, &claims("someone", AUDIENCE, good_s), &SECRET),
            sign(Algorithm::HS256, &claims(ISSUER, "elsewhere", good_s), &SECRET),
            sign(Algorithm::HS256, &claims(ISSUER, AUDIENCE, good_s + 2 * TOKEN_LIFE_S), &SECRET),
            good[..good.len() - 2].to_string(),
            String::new(),
            "a.b.c".to_string(),
        ];
        for token in foreign {
            assert_eq!(signer().verify(&token, NOW_US), Err(TokenInvalid), "{token}");
        }
        let (head, rest) = good.split_once('.').unwrap();
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        assert_ne!(head, none);
        assert_eq!(signer().verify(&format!("{none}.{rest}"), NOW_US), Err(TokenInvalid));
    }

    #[test]
    fn a_receipt_is_the_same_at_every_edge_and_differs_by_each_part() {
        let receipt = |game, question, player, submission| {
            signer().receipt(
                GameId::from_bits(game),
                question,
                PlayerId::from_bits(player),
                SubmissionId::from_bits(submission),
            )
        };
        let one = receipt(1, 2, 3, 4);
        assert_eq!(one.len(), RECEIPT_CHARS);
        assert_eq!(one, receipt(1, 2, 3, 4));
        for other in [receipt(2, 2, 3, 4), receipt(1, 3, 3, 4), receipt(1, 2, 4, 4), receipt(1, 2, 3, 5)] {
            assert_ne!(one, other);
        }
        let elsewhere = Signer::new(&[8; 32]).unwrap();
        let bits = (GameId::from_bits(1), PlayerId::from_bits(3), SubmissionId::from_bits(4));
        assert_ne!(one, elsewhere.receipt(bits.0, 2, bits.1, bits.2));
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Signer::new(&[1; 31]).err(), Some(WeakSecret(31)));
    }
}
