//! The REST API.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use quiz_schemas::SchemaId;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::error;

use super::schemas::{Change, Level, Refusal, Schemas, Version};
use super::{Registry, ServerError};

/// The largest request body, bytes.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// The longest subject, bytes.
const SUBJECT_BYTES_MAX: usize = 255;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

type Shared = State<Arc<Registry>>;
type Answer = Result<Reply, Problem>;

/// A good answer.
struct Reply(Value);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.0.to_string()).into_response()
    }
}

/// A bad one: a status, the API's own code (which begins with the status), and words.
struct Problem {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Problem {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn subject(subject: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 40_401, format!("Subject '{subject}' not found."))
    }

    fn version(version: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 40_402, format!("Version {version} not found."))
    }

    fn schema() -> Self {
        Self::new(StatusCode::NOT_FOUND, 40_403, "Schema not found")
    }

    fn invalid(reason: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, 42_201, format!("Invalid schema: {reason}"))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(reason) => Self::invalid(&reason),
            Refusal::Incompatible(reason) => Self::new(
                StatusCode::CONFLICT,
                409,
                format!("Schema being registered is incompatible with an earlier schema: {reason}"),
            ),
        }
    }
}

impl From<ServerError> for Problem {
    fn from(err: ServerError) -> Self {
        error!(%err, "the registry could not write");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 50_001, "Error in the backend data store")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "message": self.message});
        (self.status, Reply(body)).into_response()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Supplied {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Value>,
}

fn body<'a, T: Deserialize<'a>>(bytes: &'a Bytes) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|err| Problem::new(StatusCode::BAD_REQUEST, 400, err.to_string()))
}

fn supplied(bytes: &Bytes) -> Result<String, Problem> {
    let supplied: Supplied = body(bytes)?;
    match supplied.schema_type.as_deref() {
        None | Some("AVRO") => {}
        Some(other) => return Err(Problem::invalid(&format!("type {other} is not served here"))),
    }
    if !supplied.references.is_empty() {
        return Err(Problem::invalid("references are not served here"));
    }
    Ok(supplied.schema)
}

pub(super) fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/", get(|| async { Reply(json!({})) }))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/schemas/types", get(|| async { Reply(json!(["AVRO"])) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_text))
        .route("/schemas/ids/{id}/versions", get(schema_uses))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible))
        .route("/config", get(level).put(set_level))
        .route("/config/{subject}", get(subject_level).put(set_subject_level))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, 404, "HTTP 404 Not Found") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(registry)
}

fn known<'a>(schemas: &'a Schemas, subject: &str) -> Result<&'a [Version], Problem> {
    schemas.versions(subject).ok_or_else(|| Problem::subject(subject))
}

fn find_version(schemas: &Schemas, subject: &str, version: &str) -> Result<Version, Problem> {
    let versions = known(schemas, subject)?;
    let found = match version.parse::<u32>() {
        Ok(number @ 1..) => versions.iter().find(|version| version.version == number),
        // Clients write "latest" as -1, too.
        _ if matches!(version, "latest" | "-1") => versions.last(),
        _ => {
            let message = format!("The specified version '{version}' is not a valid version id.");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, 42_202, message));
        }
    };
    found.copied().ok_or_else(|| Problem::version(version))
}

fn text_of(schemas: &Schemas, id: &str) -> Result<String, Problem> {
    let id = id.parse::<SchemaId>().map_err(|_| Problem::new(StatusCode::NOT_FOUND, 404, "HTTP 404 Not Found"))?;
    schemas.text(id).map(str::to_string).ok_or_else(Problem::schema)
}

fn described(schemas: &Schemas, subject: &str, version: Version) -> Value {
    let text = schemas.text(version.id).unwrap_or_default();
    json!({"subject": subject, "version": version.version, "id": version.id, "schema": text})
}

async fn subjects(State(registry): Shared) -> Answer {
    Ok(Reply(json!(registry.schemas.read().await.subjects())))
}

async fn lookup(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Answer {
    let text = supplied(&bytes)?;
    let schemas = registry.schemas.read().await;
    known(&schemas, &subject)?;
    let found = schemas.find(&subject, &text)?.ok_or_else(Problem::schema)?;
    Ok(Reply(described(&schemas, &subject, found)))
}

async fn versions(State(registry): Shared, Path(subject): Path<String>) -> Answer {
    let schemas = registry.schemas.read().await;
    let versions: Vec<u32> = known(&schemas, &subject)?.iter().map(|version| version.version).collect();
    Ok(Reply(json!(versions)))
}

async fn register(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Answer {
    let text = supplied(&bytes)?;
    if subject.len() > SUBJECT_BYTES_MAX {
        let message = format!("a subject has at most {SUBJECT_BYTES_MAX} bytes");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, 42_208, message));
    }
    let version = registry
        .change::<_, Problem>(|schemas| {
            let (version, change) = schemas.register(&subject, &text)?;
            Ok((version, change))
        })
        .await?;
    Ok(Reply(json!({"id": version.id})))
}

async fn version(State(registry): Shared, Path((subject, version)): Path<(String, String)>) -> Answer {
    let schemas = registry.schemas.read().await;
    let found = find_version(&schemas, &subject, &version)?;
    Ok(Reply(described(&schemas, &subject, found)))
}

async fn version_text(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
) -> Result<String, Problem> {
    let schemas = registry.schemas.read().await;
    let found = find_version(&schemas, &subject, &version)?;
    text_of(&schemas, &found.id.to_string())
}

async fn schema(State(registry): Shared, Path(id): Path<String>) -> Answer {
    let text = text_of(&*registry.schemas.read().await, &id)?;
    Ok(Reply(json!({"schema": text})))
}

async fn schema_text(State(registry): Shared, Path(id): Path<String>) -> Result<String, Problem> {
    text_of(&*registry.schemas.read().await, &id)
}

async fn schema_uses(State(registry): Shared, Path(id): Path<String>) -> Answer {
    let schemas = registry.schemas.read().await;
    text_of(&schemas, &id)?;
    let uses = schemas.uses(id.parse().unwrap_or_default());
    let uses: Vec<Value> =
        uses.into_iter().map(|(subject, version)| json!({"subject": subject, "version": version})).collect();
    Ok(Reply(json!(uses)))
}

fn compatibility(checked: Result<(), Refusal>) -> Answer {
    match checked {
        Ok(()) => Ok(Reply(json!({"is_compatible": true}))),
        Err(Refusal::Incompatible(reason)) => Ok(Reply(json!({"is_compatible": false, "messages": [reason]}))),
        Err(invalid) => Err(invalid.into()),
    }
}

async fn compatible_all(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Answer {
    let text = supplied(&bytes)?;
    compatibility(registry.schemas.read().await.check(&subject, &text))
}

async fn compatible(State(registry): Shared, Path((subject, version)): Path<(String, String)>, bytes: Bytes) -> Answer {
    let text = supplied(&bytes)?;
    let schemas = registry.schemas.read().await;
    let found = find_version(&schemas, &subject, &version)?;
    compatibility(schemas.check_version(&subject, found, &text))
}

#[derive(Deserialize)]
struct Wanted {
    compatibility: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelQuery {
    #[serde(default)]
    default_to_global: bool,
}

async fn put_level(registry: &Registry, subject: Option<String>, bytes: &Bytes) -> Answer {
    let wanted: Wanted = body(bytes)?;
    let level: Level = serde_json::from_value(json!(wanted.compatibility))
        .map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, 42_203, "Invalid compatibility level."))?;
    let change = Change::Level { subject, level };
    registry.change::<_, Problem>(|_| Ok(((), Some(change)))).await?;
    Ok(Reply(json!({"compatibility": level})))
}

async fn level(State(registry): Shared) -> Answer {
    Ok(Reply(json!({"compatibilityLevel": registry.schemas.read().await.global_level()})))
}

async fn set_level(State(registry): Shared, bytes: Bytes) -> Answer {
    put_level(&registry, None, &bytes).await
}

async fn subject_level(
    State(registry): Shared,
    Path(subject): Path<String>,
    Query(query): Query<LevelQuery>,
) -> Answer {
    let schemas = registry.schemas.read().await;
    let level = schemas.own_level(&subject).or_else(|| query.default_to_global.then(|| schemas.global_level()));
    let missing = || {
        let message = format!("Subject '{subject}' does not have subject-level compatibility configured");
        Problem::new(StatusCode::NOT_FOUND, 40_408, message)
    };
    Ok(Reply(json!({"compatibilityLevel": level.ok_or_else(missing)?})))
}

async fn set_subject_level(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Answer {
    put_level(&registry, Some(subject), &bytes).await
}
