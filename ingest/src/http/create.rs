use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quiz_game::import::{Format, Problem as ImportProblem, import};
use quiz_game::quiz::validate;
use quiz_game::rule::Rule;
use quiz_game::session::{AUTO_ADVANCE_MS_MAX, CAPACITY_MAX};
use quiz_schemas::events::{CommandsRecord, CreateGame, GameSettings};
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{EncodeError, GameId, Pin};
use quiz_store::PinDoc;
use quiz_stream::AppendError;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Problem;
use crate::clock::wall_us;
use crate::connection::PinTarget;
use crate::edge::Edge;
use crate::limits::{APPEND_WAIT_MS, CAPACITY_DEFAULT, LANE_PLAYERS_MAX, PIN_LIFE_S, PIN_TRIES_MAX};
use crate::telemetry;
use crate::token::Holder;

/// Values of a body; above those of the largest quiz.
const BODY_VALUES_MAX: usize = 50_000;

/// The body of `POST /v1/games`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The quiz: as authors write it, or as the log has it (each question with a `key`).
    pub quiz: Value,
    /// How it is played.
    #[serde(default)]
    pub settings: CreateSettings,
}

/// The same as it is read: the quiz stays text, since a tree of a hostile one would be a hundred times
/// larger, and would keep only the last of two fields of one name.
#[derive(Deserialize)]
struct CreateText<'a> {
    #[serde(borrow)]
    quiz: &'a RawValue,
    #[serde(default)]
    settings: CreateSettings,
}

/// How a game is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CreateSettings {
    /// The most players admitted; 2,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i32>,
    /// Whether right answers in a row earn a bonus; not unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streaks: Option<bool>,
    /// Whether the next question opens by itself, this many ms after each board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_advance_ms: Option<i32>,
}

/// The answer to `POST /v1/games`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Created {
    /// The game.
    pub game: GameId,
    /// What players type to join.
    pub pin: Pin,
    /// Makes its bearer the host.
    pub host_token: String,
    /// Where players join.
    pub join_url: String,
}

/// `POST /v1/games`. The quiz passes through to the log and nothing of it stays here (I8).
pub(super) async fn create(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Json<Box<RawValue>>, JsonRejection>,
) -> Response {
    let address = edge.address(peer.ip(), &headers);
    let result = match edge.admission.creation(address) {
        true => create_game(&edge, &headers, body).await,
        false => Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited").retry_after(60)),
    };
    match result {
        Ok(created) => {
            // Whoever sits in a room with its host, behind the same router, has no PIN to guess.
            edge.admission.found(address, created.pin).await;
            telemetry::game_created("created");
            (StatusCode::CREATED, Json(created)).into_response()
        }
        Err(problem) => {
            telemetry::game_created(if problem.status < 500 { "refused" } else { "unavailable" });
            problem.into_response()
        }
    }
}

async fn create_game(
    edge: &Edge,
    headers: &HeaderMap,
    body: Result<Json<Box<RawValue>>, JsonRejection>,
) -> Result<Created, Problem> {
    if edge.draining.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining").retry_after(2));
    }
    let Json(body) = body.map_err(|rejection| unreadable(&rejection))?;
    if values(body.get()) > BODY_VALUES_MAX {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    }
    let request: CreateText<'_> = serde_json::from_str(body.get())
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad_json").detail(error.to_string()))?;
    let settings = settings(request.settings)?;
    let quiz = read_quiz(request.quiz.get())?;
    let game = GameId::from_bits(rand::rng().random());
    let now_us = wall_us();
    let target = PinTarget { game, lanes: settings.lanes };
    let pin = reserve(edge, target, now_us).await?;
    let command = CommandsRecord {
        game,
        at_us: now_us,
        edge: edge.around.edge.clone(),
        body: CreateGame { pin, quiz, settings }.into(),
    };
    append(edge, &command).await?;
    edge.pins.remember(pin, target).await;
    let host_token = edge.signer().sign(Holder::Host { game }, now_us);
    Ok(Created { game, pin, host_token, join_url: join_url(edge, headers, pin) })
}

fn unreadable(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large")
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "bad_json").detail(rejection.body_text()),
    }
}

fn settings(wanted: CreateSettings) -> Result<GameSettings, Problem> {
    let capacity = wanted.capacity.unwrap_or(CAPACITY_DEFAULT);
    let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_settings").detail(detail);
    if !(1..=CAPACITY_MAX).contains(&capacity) {
        return Err(bad(format!("capacity is 1 to {CAPACITY_MAX}")));
    }
    if wanted.auto_advance_ms.is_some_and(|ms| !(0..=AUTO_ADVANCE_MS_MAX).contains(&ms)) {
        return Err(bad(format!("auto_advance_ms is 0 to {AUTO_ADVANCE_MS_MAX}")));
    }
    let lanes = (capacity + LANE_PLAYERS_MAX - 1) / LANE_PLAYERS_MAX;
    let lanes = u16::try_from(lanes).expect("the capacity is bounded");
    Ok(GameSettings {
        lanes,
        capacity,
        rule: Rule::SpeedV1.id().into(),
        streaks: wanted.streaks.unwrap_or(false),
        auto_advance_ms: wanted.auto_advance_ms,
    })
}

/// How many values a JSON text has, more or less: what opens, and what follows a comma or a colon.
fn values(text: &str) -> usize {
    let (mut values, mut quoted, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    values
}

/// What tells the log's form of a quiz from an author's.
#[derive(Deserialize)]
struct Form {
    questions: Vec<QuestionForm>,
}

#[derive(Deserialize)]
struct QuestionForm {
    #[serde(default)]
    key: Option<KeyForm>,
}

/// Any object.
#[derive(Deserialize)]
struct KeyForm {}

fn is_log_form(text: &str) -> bool {
    let form = serde_json::from_str::<Form>(text);
    form.is_ok_and(|form| form.questions.first().is_some_and(|question| question.key.is_some()))
}

/// Reads the quiz in either form.
fn read_quiz(text: &str) -> Result<Quiz, Problem> {
    let bad = |problems: Vec<String>| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_quiz").problems(problems);
    let quiz = if is_log_form(text) {
        serde_json::from_str(text).map_err(|error| bad(vec![error.to_string()]))?
    } else {
        let imported = import(Format::Json, text);
        if !imported.problems.is_empty() {
            return Err(bad(imported.problems.iter().map(describe).collect()));
        }
        let title = imported.title.unwrap_or_else(|| "Quiz".into());
        Quiz { id: slug(&title), version: 1, title, questions: imported.questions }
    };
    validate(&quiz).map_err(|problems| bad(problems.iter().map(ToString::to_string).collect()))?;
    Ok(quiz)
}

fn describe(problem: &ImportProblem) -> String {
    match problem.question {
        Some(question) => format!("question {question}: {}", problem.reason),
        None => problem.reason.clone(),
    }
}

/// A title as an id: lower case, words joined by hyphens.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if slug.is_empty() { "quiz".into() } else { slug.chars().take(64).collect() }
}

async fn reserve(edge: &Edge, target: PinTarget, now_us: i64) -> Result<Pin, Problem> {
    let expires_at_us = now_us + PIN_LIFE_S * 1_000_000;
    for _ in 0..PIN_TRIES_MAX {
        let pin = Pin::from_index(rand::rng().random_range(0..Pin::COUNT));
        let doc = PinDoc { pin, game: target.game, lanes: target.lanes, expires_at_us };
        match edge.store.reserve_pin(&doc).await {
            Ok(true) => return Ok(pin),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "no PIN can be reserved");
                return Err(Problem::unavailable());
            }
        }
    }
    tracing::warn!("no free PIN was found");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_free_pin").retry_after(60))
}

async fn append(edge: &Edge, command: &CommandsRecord) -> Result<(), Problem> {
    match timeout(Duration::from_millis(APPEND_WAIT_MS), edge.producer.append(command)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(AppendError::Encode(EncodeError::TooLarge { .. }))) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large"))
        }
        Ok(Err(error)) => {
            telemetry::append_failed(error.reason());
            Err(Problem::unavailable())
        }
        Err(_) => {
            telemetry::append_failed("waited_too_long");
            Err(Problem::unavailable())
        }
    }
}

fn join_url(edge: &Edge, headers: &HeaderMap, pin: Pin) -> String {
    let base = edge.config.public_url.as_deref().map(|url| url.trim_end_matches('/').to_string());
    let base = base.unwrap_or_else(|| {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("http://{host}")
    });
    format!("{base}/?pin={pin}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_follow_the_capacity() {
        for (capacity, lanes) in [(1, 1), (2_000, 1), (2_001, 2), (100_000, 50), (CAPACITY_MAX, 100)] {
            let wanted = CreateSettings { capacity: Some(capacity), ..CreateSettings::default() };
            assert_eq!(settings(wanted).unwrap().lanes, lanes, "{capacity}");
        }
        for bad in [0, -1, CAPACITY_MAX + 1] {
            let wanted = CreateSettings { capacity: Some(bad), ..CreateSettings::default() };
            assert_eq!(settings(wanted).unwrap_err().code.as_ref(), "bad_settings");
        }
        let wanted = CreateSettings { auto_advance_ms: Some(-1), ..CreateSettings::default() };
        assert_eq!(settings(wanted).unwrap_err().code.as_ref(), "bad_settings");
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (text, count) in [("1", 0), ("[1,2]", 2), (r#"{"a":1,"b":[]}"#, 5), (r#"["[{,:","\\\",["]"#, 2)] {
            assert_eq!(values(text), count, "{text}");
        }
        let zeros = format!("[{}0]", "0,".repeat(1_000));
        assert_eq!(values(&zeros), 1_001);
    }

    #[test]
    fn the_form_of_a_quiz_is_seen() {
        let log = r#"{"id":"a","questions":[{"key":{"kind":"x","y":[1]}},{}]}"#;
        assert!(is_log_form(log));
        for author in
            [r#"{"questions":[{"type":"text"}]}"#, r#"{"questions":[{"key":"b"}]}"#, r#"{"questions":7}"#, "[]", "7"]
        {
            assert!(!is_log_form(author), "{author}");
        }
    }

    #[test]
    fn a_title_makes_an_id() {
        assert_eq!(slug("World capitals!"), "world-capitals");
        assert_eq!(slug("  ¡?  "), "quiz");
        assert_eq!(slug("Übung 1"), "übung-1");
    }
}
