//! The FULL_TRANSITIVE rule: every version of a schema reads, and is read by, every other.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

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

/// The longest reason given, bytes; some name whole schemas.
const REASON_BYTES_MAX: usize = 400;

fn parse(text: &str) -> Result<Schema, Incompatible> {
    Schema::parse_str(text).map_err(|err| Incompatible::Parse(err.to_string()))
}

/// Whether a reader with the schema `reader` reads every value that `writer` can describe.
///
/// # Errors
/// Why it does not.
pub fn reads(reader: &Schema, writer: &Schema) -> Result<(), String> {
    let mut reason = match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => return Ok(()),
        // Some values are read and some are not: a record that is not is a dead letter.
        Ok(Compatibility::Partial) => "an enum symbol or a branch of a union has no counterpart".to_string(),
        Err(err) => err.to_string(),
    };
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    Err(reason)
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
        reads(&next, &old).map_err(|reason| Incompatible::Backward { version, reason })?;
        reads(&old, &next).map_err(|reason| Incompatible::Forward { version, reason })?;
    }
    Ok(())
}
