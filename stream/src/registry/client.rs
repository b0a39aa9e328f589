use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use quiz_schemas::{AnyEvent, Codec, DecodeError, SchemaId, Topic};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};

/// How long one call to the registry may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The registry's code for a schema that it does not have.
const SCHEMA_NOT_FOUND: u32 = 40_403;
/// The registry's code for a schema that does not fit its subject's earlier ones.
const INCOMPATIBLE: u32 = 409;
/// The registry's code for a text that is not a schema.
const INVALID_SCHEMA: u32 = 42_201;

/// Why a schema id could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry answers, and has no such id: the record that names it is bad.
    #[error("no schema has id {0}")]
    NotFound(SchemaId),
    /// The registry has it, but it is not an Avro schema: the record that names it is bad.
    #[error("schema id {id} is not usable: {reason}")]
    Unusable {
        /// The id.
        id: SchemaId,
        /// Why.
        reason: String,
    },
    /// The registry does not answer as it should. Wait: that is not the record's fault (I11).
    #[error("the schema registry is unavailable: {0}")]
    Unavailable(String),
}

/// Why the schemas of this build could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// This build's schema does not fit those already registered: it must not run.
    #[error("the registry refuses the schema of {topic}: {reason}")]
    Refused {
        /// The topic.
        topic: Topic,
        /// What the registry said.
        reason: String,
    },
    /// The registry does not answer as it should; try again.
    #[error("the schema registry is unavailable: {0}")]
    Unavailable(String),
}

#[derive(Clone)]
enum Source {
    Fixed,
    Registry(Arc<SrSettings>),
}

/// Where schema ids come from.
#[derive(Clone)]
pub struct SchemaSource(Source);

impl SchemaSource {
    /// No registry: the ids of [`Codec::with_fixed_ids`]. For tests, benches and tools.
    #[must_use]
    pub fn fixed() -> Self {
        Self(Source::Fixed)
    }

    /// A registry with the Confluent REST API, under any of `urls` (`http://host:port`), which are
    /// tried in order.
    ///
    /// # Errors
    /// When there is no URL or no HTTP client can be made.
    pub fn registry(urls: &[String]) -> Result<Self, RegisterError> {
        let (first, others) = urls.split_first().ok_or_else(|| RegisterError::Unavailable("no url is given".into()))?;
        let trimmed = |url: &String| url.trim_end_matches('/').to_string();
        let mut builder = SrSettings::new_builder(trimmed(first));
        for url in others {
            builder.add_url(trimmed(url));
        }
        let settings = builder.no_proxy().set_timeout(REQUEST_TIMEOUT).build();
        let settings = settings.map_err(|err| RegisterError::Unavailable(err.to_string()))?;
        Ok(Self(Source::Registry(Arc::new(settings))))
    }

    /// Registers the schema of every topic under its subject and tells `codec` the ids. Registering
    /// what is already there changes nothing.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub async fn register_all(&self, codec: &Codec) -> Result<(), RegisterError> {
        for topic in Topic::ALL {
            let id = match &self.0 {
                Source::Fixed => topic.index() as SchemaId + 1,
                Source::Registry(settings) => register(settings, topic).await?,
            };
            codec.set_written(topic, id);
        }
        Ok(())
    }

    /// The text of the schema that has `id`.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, id: SchemaId) -> Result<String, ResolveError> {
        let settings = match &self.0 {
            Source::Fixed => return fixed(id),
            Source::Registry(settings) => settings,
        };
        let schema = get_schema_by_id(id, settings).await.map_err(|err| match raw(&err) {
            Some(raw) if raw.error_code == SCHEMA_NOT_FOUND => ResolveError::NotFound(id),
            _ => ResolveError::Unavailable(err.to_string()),
        })?;
        match schema.schema_type {
            SchemaType::Avro => Ok(schema.schema),
            other => Err(ResolveError::Unusable { id, reason: format!("its type is {other:?}") }),
        }
    }

    /// Asks for the schema that has `id` and tells it to `codec`.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn learn(&self, codec: &Codec, id: SchemaId) -> Result<(), ResolveError> {
        let text = self.resolve(id).await?;
        codec.add(id, &text).map_err(|err| ResolveError::Unusable { id, reason: err.to_string() })
    }

    /// Decodes a value, learning its writer's schema when `codec` does not know it yet.
    ///
    /// # Errors
    /// `Ok(Err(_))` is the record's own fault; `Err(_)` is an outage: wait and try again.
    pub async fn decode(
        &self,
        codec: &Codec,
        topic: Topic,
        value: &[u8],
    ) -> Result<Result<AnyEvent, DecodeError>, ResolveError> {
        match codec.decode_any(topic, value) {
            Err(DecodeError::UnknownSchema(id)) => match self.learn(codec, id).await {
                Ok(()) => Ok(codec.decode_any(topic, value)),
                Err(err @ ResolveError::Unavailable(_)) => Err(err),
                Err(ResolveError::NotFound(_) | ResolveError::Unusable { .. }) => {
                    Ok(Err(DecodeError::UnknownSchema(id)))
                }
            },
            decoded => Ok(decoded),
        }
    }
}

fn fixed(id: SchemaId) -> Result<String, ResolveError> {
    let topic = Topic::ALL.into_iter().find(|topic| topic.index() as SchemaId + 1 == id);
    topic.map(|topic| topic.spec().schema.to_string()).ok_or(ResolveError::NotFound(id))
}

/// What the registry answered, when it answered at all.
fn raw(err: &SRCError) -> Option<&RawError> {
    err.source().and_then(|source| source.downcast_ref::<RawError>())
}

async fn register(settings: &SrSettings, topic: Topic) -> Result<SchemaId, RegisterError> {
    let spec = topic.spec();
    let supplied = SuppliedSchema::new(None, SchemaType::Avro, spec.schema.to_string());
    match post_schema(settings, spec.subject.to_string(), supplied).await {
        Ok(registered) => Ok(registered.id),
        Err(err) => Err(match raw(&err) {
            Some(raw) if matches!(raw.error_code, INCOMPATIBLE | INVALID_SCHEMA) => {
                RegisterError::Refused { topic, reason: raw.message.clone() }
            }
            _ => RegisterError::Unavailable(err.to_string()),
        }),
    }
}
