use super::codes::ErrorCode;
use super::server::Cursor;
use super::{COMMAND_ID_BYTES_MAX, EPOCH_BYTES_MAX, NICKNAME_BYTES_MAX, TEXT_CHARS_MAX, TOKEN_BYTES_MAX};
use quiz_schemas::quiz::{OPTIONS_MAX, Picks, Response};
use quiz_schemas::{JoinKey, Pin, PlayerId, QuestionNo, SubmissionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

/// What a client says. Unknown fields are ignored, so that a newer client can talk to an older edge.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Play in the game with this PIN.
    Join {
        /// The PIN.
        pin: Pin,
        /// The name to play under, as typed.
        nickname: String,
        /// The client's idempotency key, random and its secret: the same key and name open the same seat, so
        /// that a join whose answer was lost can be sent again. Without one each join is a new one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<JoinKey>,
    },
    /// Go on as the player that the token names.
    Resume {
        /// From an earlier `joined`.
        token: String,
        /// Where the client stands in the game's durable messages, if it has heard any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
    },
    /// Host the game that the token names.
    Host {
        /// From the game's creation.
        token: String,
        /// Where the client stands in the game's durable messages, if it has heard any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
    },
    /// Answer the open question.
    Answer(Answer),
    /// Tell the game what to do.
    Command(Command),
    /// Answered with `pong`.
    Ping,
}

impl ClientMessage {
    /// The `type`s, in the order of the protocol table.
    pub const TYPES: [&'static str; 6] = ["join", "resume", "host", "answer", "command", "ping"];

    /// The message as a text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a client message has only string keys")
    }

    /// Whether all parts keep to the protocol's bounds.
    fn in_bounds(&self) -> Result<(), ErrorCode> {
        let fits = match self {
            ClientMessage::Join { nickname, .. } => nickname.len() <= NICKNAME_BYTES_MAX,
            ClientMessage::Resume { token, cursor } | ClientMessage::Host { token, cursor } => {
                token.len() <= TOKEN_BYTES_MAX
                    && cursor.as_ref().is_none_or(|cursor| cursor.epoch.len() <= EPOCH_BYTES_MAX)
            }
            ClientMessage::Answer(answer) => match &answer.response {
                Response::Text(text) => text.chars().count() <= TEXT_CHARS_MAX,
                Response::Picks(_) | Response::Number(_) => true,
            },
            ClientMessage::Command(command) => command.id.len() <= COMMAND_ID_BYTES_MAX,
            ClientMessage::Ping => true,
        };
        if fits { Ok(()) } else { Err(ErrorCode::TooLarge) }
    }
}

/// An answer to a question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "AnswerWire", try_from = "AnswerWire")]
pub struct Answer {
    /// Which question.
    pub question: QuestionNo,
    /// The client's idempotency key: a resend carries the same one.
    pub submission: SubmissionId,
    /// The answer: `picks`, `text` or `number` on the wire.
    pub response: Response,
    /// An edge's statement of when it took this answer, from `taken` or `unavailable`; with it a
    /// resend at any edge is timed from then. One that does not verify is as good as none.
    pub proof: Option<SmolStr>,
}

#[derive(Serialize, Deserialize)]
struct AnswerWire {
    question: QuestionNo,
    submission: SubmissionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    picks: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<SmolStr>,
}

impl From<Answer> for AnswerWire {
    fn from(answer: Answer) -> Self {
        let Answer { question, submission, response, proof } = answer;
        let mut wire = Self { question, submission, picks: None, text: None, number: None, proof };
        match response {
            Response::Picks(picks) => wire.picks = Some(picks.as_slice().to_vec()),
            Response::Text(text) => wire.text = Some(text),
            Response::Number(number) => wire.number = Some(number),
        }
        wire
    }
}

#[derive(Debug, thiserror::Error)]
#[error("an answer has one of picks (at most {OPTIONS_MAX}), text, number")]
struct BadAnswer;

impl TryFrom<AnswerWire> for Answer {
    type Error = BadAnswer;
    fn try_from(wire: AnswerWire) -> Result<Self, BadAnswer> {
        let response = match (wire.picks, wire.text, wire.number) {
            (Some(picks), None, None) => Response::Picks(Picks::new(&picks).map_err(|_| BadAnswer)?),
            (None, Some(text), None) => Response::Text(text),
            (None, None, Some(number)) => Response::Number(number),
            _ => return Err(BadAnswer),
        };
        Ok(Self { question: wire.question, submission: wire.submission, response, proof: wire.proof })
    }
}

/// What a host asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The client's own name for it; `done` or `error` carries it back.
    pub id: SmolStr,
    /// What.
    #[serde(flatten)]
    pub action: HostAction,
}

/// A host's deeds, the `do` of a command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum HostAction {
    /// Open the next question.
    Open {
        /// The one the host believes is next, so that a double click does not skip one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<QuestionNo>,
    },
    /// Close the open question before its time.
    Close {
        /// The one the host sees open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<QuestionNo>,
    },
    /// Remove a player for good.
    Kick {
        /// Who.
        player: PlayerId,
    },
    /// End the game.
    End,
}

/// What an error answers, as far as the frame could be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replying {
    /// The answer's submission.
    pub submission: Option<SubmissionId>,
    /// The command's id.
    pub id: Option<SmolStr>,
}

/// A frame that is not a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a message: {}", code.as_str())]
pub struct FrameError {
    /// What is wrong with it.
    pub code: ErrorCode,
    /// What it was about.
    pub replying: Replying,
}

/// Reads a text frame.
///
/// # Errors
/// `bad_frame`, `unknown_type`, `bad_field` or `too_large`, with what the frame was about.
pub fn parse(text: &str) -> Result<ClientMessage, FrameError> {
    match serde_json::from_str::<ClientMessage>(text) {
        Ok(message) => match message.in_bounds() {
            Ok(()) => Ok(message),
            Err(code) => Err(FrameError { code, replying: replying_to(text) }),
        },
        Err(_) => Err(explain(text)),
    }
}

/// Reads a frame again, slowly, to tell what is wrong with it.
fn explain(text: &str) -> FrameError {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return FrameError { code: ErrorCode::BadFrame, replying: Replying::default() };
    };
    let code = match fields.get("type").and_then(Value::as_str) {
        None => ErrorCode::BadFrame,
        Some(name) if ClientMessage::TYPES.contains(&name) => ErrorCode::BadField,
        Some(_) => ErrorCode::UnknownType,
    };
    FrameError { code, replying: replying_to(text) }
}

fn replying_to(text: &str) -> Replying {
    let Ok(fields) = serde_json::from_str::<Value>(text) else {
        return Replying::default();
    };
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    Replying {
        submission: field("submission").and_then(|text| text.parse().ok()),
        id: field("id").filter(|id| id.len() <= COMMAND_ID_BYTES_MAX).map(SmolStr::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every way in which a frame can be wrong has its code. Method: a table.
    #[test]
    fn a_bad_frame_has_its_code() {
        let long = format!(r#"{{"type":"join","pin":"123456","nickname":"{}"}}"#, "x".repeat(600));
        let table = [
            ("", ErrorCode::BadFrame),
            ("[]", ErrorCode::BadFrame),
            ("{}", ErrorCode::BadFrame),
            (r#"{"type":7}"#, ErrorCode::BadFrame),
            (r#"{"type":"dance"}"#, ErrorCode::UnknownType),
            (r#"{"type":"join"}"#, ErrorCode::BadField),
            (r#"{"type":"join","pin":"12345","nickname":"Ada"}"#, ErrorCode::BadField),
            (r#"{"type":"join","pin":123456,"nickname":"Ada"}"#, ErrorCode::BadField),
            (r#"{"type":"join","pin":"123456","nickname":"Ada","key":"short"}"#, ErrorCode::BadField),
            (long.as_str(), ErrorCode::TooLarge),
            (r#"{"type":"answer","question":0,"submission":"0000000000001"}"#, ErrorCode::BadField),
            (r#"{"type":"answer","question":0,"submission":"x","picks":[1]}"#, ErrorCode::BadField),
            (
                r#"{"type":"answer","question":0,"submission":"0000000000001","picks":[1],"text":"a"}"#,
                ErrorCode::BadField,
            ),
            (r#"{"type":"answer","question":0,"submission":"0000000000001","picks":"abc"}"#, ErrorCode::BadField),
            (r#"{"type":"answer","question":-1,"submission":"0000000000001","picks":[1]}"#, ErrorCode::BadField),
            (r#"{"type":"answer","question":0,"submission":"0000000000001","picks":[256]}"#, ErrorCode::BadField),
            (r#"{"type":"command","id":"a","do":"dance"}"#, ErrorCode::BadField),
            (r#"{"type":"command","do":"open"}"#, ErrorCode::BadField),
            (r#"{"type":"command","id":"a","do":"kick"}"#, ErrorCode::BadField),
        ];
        for (text, code) in table {
            assert_eq!(parse(text).map_err(|error| error.code), Err(code), "{text}");
        }
    }

    #[test]
    fn an_error_says_what_it_answers() {
        let error = parse(r#"{"type":"answer","question":0,"submission":"0000000000001"}"#).unwrap_err();
        assert_eq!(error.replying.submission, Some(SubmissionId::from_bits(1)));
        let error = parse(r#"{"type":"command","id":"a7","do":"dance"}"#).unwrap_err();
        assert_eq!(error.replying.id.as_deref(), Some("a7"));
    }

    #[test]
    fn a_message_survives_its_text() {
        let all = [
            ClientMessage::Join { pin: Pin::from_index(7), nickname: "Ada".into(), key: None },
            ClientMessage::Join { pin: Pin::from_index(7), nickname: "Ada".into(), key: Some(JoinKey::from_bits(9)) },
            ClientMessage::Resume { token: "t".into(), cursor: None },
            ClientMessage::Resume { token: "t".into(), cursor: Some(Cursor { epoch: "e".into(), offset: 7 }) },
            ClientMessage::Host { token: "t".into(), cursor: None },
            ClientMessage::Answer(Answer {
                question: 3,
                submission: SubmissionId::from_bits(9),
                response: Response::Picks(Picks::new(&[0, 2]).unwrap()),
                proof: Some("p".into()),
            }),
            ClientMessage::Command(Command { id: "1".into(), action: HostAction::Open { question: None } }),
            ClientMessage::Command(Command { id: "2".into(), action: HostAction::Close { question: Some(4) } }),
            ClientMessage::Command(Command {
                id: "3".into(),
                action: HostAction::Kick { player: PlayerId::from_bits(5) },
            }),
            ClientMessage::Command(Command { id: "4".into(), action: HostAction::End }),
            ClientMessage::Ping,
        ];
        for message in all {
            assert_eq!(parse(&message.to_json()), Ok(message));
        }
        assert_eq!(
            ClientMessage::Command(Command { id: "1".into(), action: HostAction::Open { question: Some(2) } })
                .to_json(),
            r#"{"type":"command","id":"1","do":"open","question":2}"#
        );
    }
}
