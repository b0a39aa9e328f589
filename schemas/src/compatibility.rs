//! The FULL_TRANSITIVE rule: every version of a schema reads, and is read by, every other.

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;

/// Why a schema may not follow another.
#[derive(Debug, thiserror::Error)]
pub enum Incompatible {
    /// The text is not an Avro schema.
    #[error("not an Avro schema: {0}")]
    Parse(String),
    /// The new schema cannot read what the old one wrote.
    #[error("the new schema cannot read version {version}: {reason}")]
    Backward {
        /// The earlier version, from 1.
        version: usize,
        /// What does not fit.
        reason: String,
    },
    /// The old schema cannot read what the new one writes.
    #[error("version {version} cannot read the new schema: {reason}")]
    Forward {
        /// The earlier version, from 1.
        version: usize,
        /// What does not fit.
        reason: String,
    },
}

fn parse(text: &str) -> Result<Schema, Incompatible> {
    Schema::parse_str(text).map_err(|err| Incompatible::Parse(err.to_string()))
}

/// Whether `next` may follow `earlier`, the versions in order.
///
/// # Errors
/// Names the first version and direction that does not fit.
pub fn check_full_transitive(earlier: &[String], next: &str) -> Result<(), Incompatible> {
    let next = parse(next)?;
    for (index, text) in earlier.iter().enumerate() {
        let old = parse(text)?;
        let version = index + 1;
        SchemaCompatibility::can_read(&old, &next)
            .map_err(|err| Incompatible::Backward { version, reason: err.to_string() })?;
        SchemaCompatibility::can_read(&next, &old)
            .map_err(|err| Incompatible::Forward { version, reason: err.to_string() })?;
    }
    Ok(())
}
