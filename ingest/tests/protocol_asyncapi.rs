//! Goal: `docs/asyncapi.yaml` and `docs/openapi.yaml` say what the edge says. Method: every variant
//! of the protocol has its message; samples of all of them, and those only, validate against it.
#![allow(clippy::unwrap_used)]

use quiz_ingest::http::{Created, GameLedger, Problem};
use quiz_ingest::protocol::{
    Ack, Answer, Board, BoardLine, ClientMessage, Close, Command, CorrectAnswer, Counted, Cursor, ErrorCode,
    ErrorMessage, HostAction, Hosting, Joined, Lobby, LobbyName, Over, OwnOutcome, QuestionMessage, Replying,
    ServerMessage, Stopped, Taken,
};
use quiz_schemas::events::{
    CommandRejection, EdgeTotals, Imbalance, LaneTotals, LedgerState, OverReason, QuestionLedger, StopReason, Suspect,
    Verdict,
};
use quiz_schemas::quiz::{AnswerKey, Picks, QuestionKind, Response};
use quiz_schemas::{GameId, JoinKey, Pin, PlayerId, SubmissionId};
use quiz_store::LedgerDoc;
use serde_json::{Value, json};

fn document(text: &str) -> Value {
    serde_yaml_ng::from_str(text).expect("YAML")
}

fn asyncapi() -> Value {
    document(include_str!("../../docs/asyncapi.yaml"))
}

/// A validator of one schema of a document, with the rest of it to refer to.
fn validator(document: &Value, pointer: &str) -> jsonschema::Validator {
    let schema = json!({ "$ref": format!("#{pointer}"), "components": document["components"] });
    jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}"))
}

fn game() -> GameId {
    GameId::from_bits(0x0123_4567_89ab_cdef)
}

fn name() -> LobbyName {
    LobbyName { player: PlayerId::from_bits(3), nickname: "Ada".into() }
}

fn line() -> BoardLine {
    BoardLine { rank: 1, nickname: "Ada".into(), total: 967, points: 967 }
}

fn cursor() -> Cursor {
    Cursor { epoch: "0123456789AB".into(), offset: 41 }
}

fn client_samples() -> Vec<ClientMessage> {
    let answer = |response, proof: Option<&str>| {
        let proof = proof.map(Into::into);
        ClientMessage::Answer(Answer { question: 1, submission: SubmissionId::from_bits(7), response, proof })
    };
    let command = |action| ClientMessage::Command(Command { id: "c1".into(), action });
    vec![
        ClientMessage::Join { pin: Pin::from_index(42), nickname: "Ada".into(), key: None },
        ClientMessage::Join { pin: Pin::from_index(42), nickname: "Ada".into(), key: Some(JoinKey::from_bits(9)) },
        ClientMessage::Resume { token: "a.b.c".into(), cursor: None },
        ClientMessage::Resume { token: "a.b.c".into(), cursor: Some(cursor()) },
        ClientMessage::Host { token: "a.b.c".into(), cursor: None },
        ClientMessage::Host { token: "a.b.c".into(), cursor: Some(cursor()) },
        answer(Response::Picks(Picks::new(&[0, 3]).unwrap()), None),
        answer(Response::Text("Zürich".into()), None),
        answer(Response::Number(-2.5), Some("0000000000000ABCDEFGHJKMNPQRS")),
        command(HostAction::Open { question: None }),
        command(HostAction::Open { question: Some(1) }),
        command(HostAction::Close { question: Some(1) }),
        command(HostAction::Kick { player: PlayerId::from_bits(5) }),
        command(HostAction::End),
        ClientMessage::Ping,
    ]
}

fn entry_samples() -> Vec<ServerMessage> {
    vec![
        ServerMessage::Joined(Joined {
            game: game(),
            player: PlayerId::from_bits(5),
            nickname: "Ada".into(),
            token: "a.b.c".into(),
            title: "T".into(),
            questions: 3,
            players: 1,
            cursor: Some(cursor()),
            recovered: true,
            heartbeat_ms: 4_000,
        }),
        ServerMessage::Hosting(Hosting {
            game: game(),
            pin: Pin::from_index(42),
            title: "T".into(),
            questions: 3,
            players: 1,
            lobby: vec![name()],
            cursor: Some(cursor()),
            recovered: false,
            heartbeat_ms: 43_000,
        }),
        ServerMessage::Lobby(Lobby {
            players: 2,
            connected: 1,
            joined: vec![name()],
            left: vec![PlayerId::from_bits(4)],
        }),
        ServerMessage::Done { id: "c1".into() },
        ServerMessage::Kicked,
        ServerMessage::Pong { heartbeat_ms: 4_000 },
    ]
}

fn question_samples() -> Vec<ServerMessage> {
    use QuestionKind as Kind;
    let kinds = [
        Kind::Single,
        Kind::Multiple,
        Kind::TrueFalse,
        Kind::Text,
        Kind::Number,
        Kind::Order,
        Kind::Poll,
        Kind::Unknown,
    ];
    let question = |kind| {
        ServerMessage::Question(QuestionMessage {
            question: 1,
            of: 3,
            kind,
            prompt: "Which?".into(),
            options: vec!["a".into(), "b".into()],
            points_max: 1000,
            limit_ms: 20_000,
            left_ms: 19_990,
            at: Some(7),
        })
    };
    let reasons =
        [StopReason::Deadline, StopReason::Host, StopReason::AllAnswered, StopReason::GameEnded, StopReason::Unknown];
    let mut samples: Vec<ServerMessage> = kinds.into_iter().map(question).collect();
    samples.extend(reasons.map(|reason| ServerMessage::Closed(Stopped { question: 1, reason, at: Some(8) })));
    samples.push(ServerMessage::Counted(Counted { question: 1, answered: 2, players: 3 }));
    samples.push(ServerMessage::Taken(Taken {
        submission: SubmissionId::from_bits(7),
        question: 1,
        elapsed_ms: 2_000,
        proof: "0000000000000ABCDEFGHJKMNPQRS".into(),
    }));
    samples.push(ServerMessage::Ack(Ack {
        submission: SubmissionId::from_bits(7),
        question: 1,
        receipt: "0123456789ABCDEFGHJKMNPQRS".into(),
        elapsed_ms: 2_000,
        position: (3, 14),
    }));
    samples
}

fn board_samples() -> Vec<ServerMessage> {
    let keys = [
        AnswerKey::Single { options: 4, correct: Picks::one(2) },
        AnswerKey::Multiple { options: 4, correct: Picks::new(&[0, 3]).unwrap() },
        AnswerKey::Text { accepted: vec!["Ada".into()] },
        AnswerKey::Number { value: 3.5, tolerance: 0.25 },
        AnswerKey::Order { correct: Picks::new(&[2, 0, 1]).unwrap() },
        AnswerKey::Poll { options: 3 },
    ];
    let board = |key: &AnswerKey| {
        ServerMessage::Board(Board {
            question: 1,
            correct: CorrectAnswer::from(key),
            explanation: matches!(key, AnswerKey::Poll { .. }).then(|| "because".into()),
            distribution: vec![1, 0, 2],
            answered: 3,
            correct_count: 1,
            players: 4,
            top: vec![line()],
            last: false,
            at: matches!(key, AnswerKey::Single { .. }).then_some(9),
        })
    };
    use Verdict as V;
    let outcome = |verdict| {
        ServerMessage::Outcome(OwnOutcome {
            question: 1,
            verdict,
            points: 967,
            total: 967,
            rank: 1,
            gap: 0,
            streak: 1,
            players: 4,
            at: Some(10),
        })
    };
    let verdicts = [V::Unanswered, V::Correct, V::Partial, V::Wrong, V::Counted, V::Late, V::Unknown];
    let ends = [OverReason::Finished, OverReason::Host, OverReason::Expired, OverReason::Unknown];
    let mut samples: Vec<ServerMessage> = keys.iter().map(board).collect();
    samples.extend(verdicts.map(outcome));
    samples
        .extend(ends.map(|reason| ServerMessage::Over(Over { reason, players: 4, top: vec![line()], at: Some(11) })));
    samples
}

fn error_samples() -> Vec<ServerMessage> {
    use CommandRejection as Why;
    let plain = |code| {
        let replying = Replying { submission: Some(SubmissionId::from_bits(7)), id: None };
        let mut error = ErrorMessage::new(code, replying).retry_after(500);
        error.proof = (code == ErrorCode::Unavailable).then(|| "0000000000000ABCDEFGHJKMNPQRS".into());
        ServerMessage::Error(error)
    };
    let refused = |reason| {
        let replying = Replying { submission: None, id: Some("c1".into()) };
        let error = ErrorMessage { reason: Some(reason), ..ErrorMessage::new(ErrorCode::CommandRefused, replying) };
        ServerMessage::Error(error)
    };
    let mut samples: Vec<ServerMessage> = ErrorCode::ALL.into_iter().map(plain).collect();
    let reasons = [
        Why::GameExists,
        Why::BadQuiz,
        Why::QuestionOpen,
        Why::NoQuestionOpen,
        Why::StaleQuestion,
        Why::NoMoreQuestions,
        Why::NoPlayer,
        Why::GameOver,
        Why::Unknown,
    ];
    samples.extend(reasons.map(refused));
    samples
}

fn server_samples() -> Vec<ServerMessage> {
    [entry_samples(), question_samples(), board_samples(), error_samples()].concat()
}

fn check(document: &Value, value: &Value) {
    let name = value["type"].as_str().expect("a type");
    let validator = validator(document, &format!("/components/messages/{name}/payload"));
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{value}: {errors:?}");
}

#[test]
fn every_message_is_described_and_no_other() {
    let document = asyncapi();
    let names = |value: &Value| -> Vec<String> { value.as_object().expect("a map").keys().cloned().collect() };
    let mut described = names(&document["components"]["messages"]);
    let mut in_channel = names(&document["channels"]["socket"]["messages"]);
    let mut known: Vec<String> =
        ClientMessage::TYPES.iter().chain(&ServerMessage::TYPES).map(|name| name.to_string()).collect();
    for list in [&mut described, &mut in_channel, &mut known] {
        list.sort();
    }
    assert_eq!(described, known);
    assert_eq!(in_channel, known);
    for (operation, types) in [("fromClient", &ClientMessage::TYPES[..]), ("toClient", &ServerMessage::TYPES[..])] {
        let listed = document["operations"][operation]["messages"].as_array().expect("a list");
        let listed: Vec<&str> = listed
            .iter()
            .map(|entry| entry["$ref"].as_str().expect("a reference").rsplit('/').next().unwrap())
            .collect();
        assert_eq!(listed, types, "{operation}");
    }
}

#[test]
fn every_sample_is_as_described_and_survives_its_text() {
    let document = asyncapi();
    let mut sampled: Vec<String> = Vec::new();
    for message in client_samples() {
        let value: Value = serde_json::from_str(&message.to_json()).expect("JSON");
        check(&document, &value);
        sampled.push(value["type"].as_str().unwrap().into());
        assert_eq!(quiz_ingest::protocol::parse(&message.to_json()), Ok(message));
    }
    for message in server_samples() {
        let value: Value = serde_json::from_str(&message.to_json()).expect("JSON");
        check(&document, &value);
        sampled.push(value["type"].as_str().unwrap().into());
        assert_eq!(serde_json::from_value::<ServerMessage>(value).expect("readable"), message);
    }
    for name in ClientMessage::TYPES.iter().chain(&ServerMessage::TYPES) {
        assert!(sampled.iter().any(|sample| sample == name), "{name} has no sample");
    }
}

#[test]
fn the_description_refuses_what_the_edge_refuses() {
    let document = asyncapi();
    let bad = [
        json!({"type": "join", "pin": "12345", "nickname": "Ada"}),
        json!({"type": "join", "pin": "123456"}),
        json!({"type": "join", "pin": "123456", "nickname": "Ada", "key": "short"}),
        json!({"type": "answer", "question": 0, "submission": "0000000000007"}),
        json!({"type": "answer", "question": 0, "submission": "0000000000007", "picks": [1], "text": "a"}),
        json!({"type": "answer", "question": 0, "submission": "U000000000007", "picks": [1]}),
        json!({"type": "answer", "question": -1, "submission": "0000000000007", "picks": [1]}),
        json!({"type": "command", "id": "a", "do": "dance"}),
        json!({"type": "command", "id": "a", "do": "kick"}),
    ];
    for value in bad {
        let name = value["type"].as_str().unwrap();
        assert!(!validator(&document, &format!("/components/messages/{name}/payload")).is_valid(&value), "{value}");
        assert!(quiz_ingest::protocol::parse(&value.to_string()).is_err(), "{value}");
    }
}

#[test]
fn every_code_is_described() {
    let document = asyncapi();
    let listed = document["components"]["schemas"]["errorCode"]["enum"].as_array().expect("a list");
    let codes: Vec<Value> = ErrorCode::ALL.iter().map(|code| json!(code.as_str())).collect();
    assert_eq!(*listed, codes);
    let text = document["info"]["description"].as_str().expect("a text");
    let rows: Vec<(u16, &str)> = text
        .lines()
        .filter_map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            Some((cells.next()?.parse().ok()?, cells.next()?))
        })
        .collect();
    let closes: Vec<(u16, &str)> = Close::ALL.iter().map(|close| (close.code(), close.reason())).collect();
    assert_eq!(rows, closes);
}

#[test]
fn http_bodies_are_as_described() {
    let document = document(include_str!("../../docs/openapi.yaml"));
    let created = Created {
        game: game(),
        pin: Pin::from_index(42),
        host_token: "a.b.c".into(),
        join_url: "http://localhost/?pin=000042".into(),
    };
    let problem = Problem::unavailable().detail("later").problems(vec!["one".into()]);
    let ServerMessage::Board(board) = &board_samples()[5] else { panic!("not a board") };
    let suspect = Suspect { submission: SubmissionId::from_bits(9), kind: Imbalance::Unstored };
    let ledger = QuestionLedger {
        version: 2,
        state: LedgerState::Imbalanced,
        edges: EdgeTotals { received: 3, acked: 3, ..EdgeTotals::default() },
        lanes: LaneTotals { logged: 3, scored: 3, stored: 2, ..LaneTotals::default() },
        lost: 0,
        unstored: 1,
        phantom: 0,
        unclaimed: 0,
        suspects: vec![suspect],
    };
    let books = GameLedger::of(game(), vec![LedgerDoc { game: game(), question: 0, ledger }]);
    assert_eq!(books.state, LedgerState::Imbalanced);
    for (name, value) in [
        ("Ledger", serde_json::to_value(books).unwrap()),
        ("Created", serde_json::to_value(created).unwrap()),
        ("Problem", serde_json::to_value(problem).unwrap()),
        ("Board", serde_json::to_value(board).unwrap()),
    ] {
        let validator = validator(&document, &format!("/components/schemas/{name}"));
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}
