//! What the registry knows, and what may be added to it. No I/O.

use std::collections::BTreeMap;

use apache_avro::Schema;
use quiz_schemas::SchemaId;
use quiz_schemas::compatibility::{check_full_transitive, reads};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a new version must agree with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Level {
    None,
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    #[default]
    FullTransitive,
}

/// A record of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Change {
    /// A version of a subject.
    Schema { subject: String, version: u32, id: SchemaId, schema: String },
    /// The level of a subject, or of all that have none of their own.
    Level { subject: Option<String>, level: Level },
}

impl Change {
    /// The record's key: the newest record of a key is the one that holds.
    pub(super) fn key(&self) -> String {
        match self {
            Change::Schema { subject, version, .. } => format!("schema/{version}/{subject}"),
            Change::Level { subject: Some(subject), .. } => format!("level/{subject}"),
            Change::Level { subject: None, .. } => "level".to_string(),
        }
    }
}

/// Why a schema is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    Invalid(String),
    Incompatible(String),
}

/// A version of a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Version {
    pub version: u32,
    pub id: SchemaId,
}

struct Stored {
    text: String,
    json: Value,
}

/// All schemas and levels.
#[derive(Default)]
pub(super) struct Schemas {
    by_id: BTreeMap<SchemaId, Stored>,
    subjects: BTreeMap<String, Vec<Version>>,
    level: Level,
    levels: BTreeMap<String, Level>,
}

fn parse(text: &str) -> Result<Value, Refusal> {
    let schema = Schema::parse_str(text).map_err(|err| Refusal::Invalid(err.to_string()));
    schema.and_then(|_| serde_json::from_str(text).map_err(|err| Refusal::Invalid(err.to_string())))
}

impl Schemas {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Schema { subject, version, id, schema } => {
                let json = serde_json::from_str(&schema).unwrap_or(Value::Null);
                self.by_id.insert(id, Stored { text: schema, json });
                let versions = self.subjects.entry(subject).or_default();
                versions.retain(|other| other.version != version);
                versions.push(Version { version, id });
                versions.sort_by_key(|version| version.version);
            }
            Change::Level { subject: Some(subject), level } => {
                self.levels.insert(subject, level);
            }
            Change::Level { subject: None, level } => self.level = level,
        }
    }

    pub(super) fn subjects(&self) -> Vec<&str> {
        self.subjects.keys().map(String::as_str).collect()
    }

    pub(super) fn versions(&self, subject: &str) -> Option<&[Version]> {
        self.subjects.get(subject).map(Vec::as_slice)
    }

    pub(super) fn text(&self, id: SchemaId) -> Option<&str> {
        self.by_id.get(&id).map(|stored| stored.text.as_str())
    }

    /// The subjects and versions that have this schema.
    pub(super) fn uses(&self, id: SchemaId) -> Vec<(&str, u32)> {
        let all =
            self.subjects.iter().flat_map(|(subject, versions)| versions.iter().map(move |v| (subject.as_str(), v)));
        all.filter(|(_, version)| version.id == id).map(|(subject, version)| (subject, version.version)).collect()
    }

    pub(super) fn level(&self, subject: &str) -> Level {
        self.levels.get(subject).copied().unwrap_or(self.level)
    }

    pub(super) fn own_level(&self, subject: &str) -> Option<Level> {
        self.levels.get(subject).copied()
    }

    pub(super) fn global_level(&self) -> Level {
        self.level
    }

    /// The version of `subject` that has this schema. Two texts are one schema when they are the
    /// same JSON: spaces and the order of an object's members do not count, docs and defaults do.
    pub(super) fn find(&self, subject: &str, text: &str) -> Result<Option<Version>, Refusal> {
        let json = parse(text)?;
        let versions = self.subjects.get(subject).map(Vec::as_slice).unwrap_or_default();
        Ok(versions.iter().rev().find(|version| self.by_id.get(&version.id).is_some_and(|s| s.json == json)).copied())
    }

    /// The version that `text` has, or gets, under `subject`; and the change that gives it.
    pub(super) fn register(&self, subject: &str, text: &str) -> Result<(Version, Option<Change>), Refusal> {
        if let Some(version) = self.find(subject, text)? {
            return Ok((version, None));
        }
        self.check(subject, text)?;
        let json = parse(text)?;
        // The same schema under another subject has the same id.
        let known = self.by_id.iter().find(|(_, stored)| stored.json == json).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.by_id.last_key_value().map_or(1, |(id, _)| id + 1));
        let version = self.versions(subject).and_then(<[Version]>::last).map_or(1, |last| last.version + 1);
        let change = Change::Schema { subject: subject.to_string(), version, id, schema: text.to_string() };
        Ok((Version { version, id }, Some(change)))
    }

    /// Whether `text` may be the next version of `subject`.
    pub(super) fn check(&self, subject: &str, text: &str) -> Result<(), Refusal> {
        let ids: Vec<SchemaId> = self.versions(subject).unwrap_or_default().iter().map(|version| version.id).collect();
        self.check_against(self.level(subject), &ids, text)
    }

    /// Whether `text` goes with one version of `subject`.
    pub(super) fn check_version(&self, subject: &str, version: Version, text: &str) -> Result<(), Refusal> {
        self.check_against(self.level(subject), &[version.id], text)
    }

    fn check_against(&self, level: Level, ids: &[SchemaId], text: &str) -> Result<(), Refusal> {
        let next = Schema::parse_str(text).map_err(|err| Refusal::Invalid(err.to_string()))?;
        let latest_only = matches!(level, Level::Backward | Level::Forward | Level::Full);
        let ids = if latest_only { &ids[ids.len().saturating_sub(1)..] } else { ids };
        let earlier: Vec<String> = ids.iter().filter_map(|id| self.text(*id)).map(str::to_string).collect();
        let incompatible = |err: &dyn std::fmt::Display| Refusal::Incompatible(err.to_string());
        match level {
            Level::None => Ok(()),
            Level::Full | Level::FullTransitive => {
                check_full_transitive(&earlier, text).map_err(|err| incompatible(&err))
            }
            _ => earlier.iter().try_for_each(|text| {
                let old = Schema::parse_str(text).map_err(|err| incompatible(&err))?;
                let backward = matches!(level, Level::Backward | Level::BackwardTransitive);
                let (writer, reader) = if backward { (&old, &next) } else { (&next, &old) };
                reads(reader, writer).map_err(|err| incompatible(&err))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#;
    const V1_SPACED: &str = r#"{ "name": "A", "type": "record", "fields": [ {"type":"int","name":"x"} ] }"#;
    const V1_DOC: &str = r#"{"type":"record","name":"A","doc":"d","fields":[{"name":"x","type":"int"}]}"#;
    const PLUS_DEFAULT: &str =
        r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}"#;
    const PLUS_BARE: &str =
        r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"int"}]}"#;
    const MINUS: &str = r#"{"type":"record","name":"A","fields":[]}"#;

    fn with(level: Level, texts: &[&str]) -> Schemas {
        let mut schemas = Schemas::default();
        schemas.apply(Change::Level { subject: None, level: Level::None });
        for text in texts {
            let (_, change) = schemas.register("s", text).expect("taken");
            schemas.apply(change.expect("new"));
        }
        schemas.apply(Change::Level { subject: Some("s".into()), level });
        schemas
    }

    #[test]
    fn the_same_json_is_the_same_schema_and_docs_count() {
        let schemas = with(Level::FullTransitive, &[V1]);
        let (version, change) = schemas.register("s", V1_SPACED).expect("taken");
        assert_eq!((version, change), (Version { version: 1, id: 1 }, None));
        let (version, _) = schemas.register("s", V1_DOC).expect("taken");
        assert_eq!(version, Version { version: 2, id: 2 });
        let (version, _) = schemas.register("other", V1_SPACED).expect("taken");
        assert_eq!(version, Version { version: 1, id: 1 }, "one id for one schema");
    }

    /// Goal: each level asks for what it should. Method: the table of which level takes which change.
    #[test]
    fn each_level_takes_what_it_should() {
        use Level::*;
        let all = [None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive];
        let cases: [(&[&str], &str, &[Level]); 4] = [
            (&[V1], PLUS_DEFAULT, &all),
            (&[V1], PLUS_BARE, &[None, Forward, ForwardTransitive]),
            (&[V1], MINUS, &[None, Backward, BackwardTransitive]),
            // Fits the latest version and not the one before.
            (&[PLUS_BARE, PLUS_DEFAULT], V1, &[None, Backward, BackwardTransitive, Forward, Full]),
        ];
        for (earlier, next, takes) in cases {
            for level in all {
                let taken = with(level, earlier).check("s", next).is_ok();
                assert_eq!(taken, takes.contains(&level), "{level:?}: {next} after {earlier:?}");
            }
        }
    }

    #[test]
    fn what_is_no_schema_is_refused_and_nothing_changes() {
        let schemas = with(Level::FullTransitive, &[V1]);
        for text in ["", "{", r#"{"type":"rec"}"#, r#""nope""#] {
            assert!(matches!(schemas.register("s", text), Err(Refusal::Invalid(_))), "{text}");
        }
    }

    /// Goal: the log alone gives the state back. Method: replay what was applied, with some of it twice.
    #[test]
    fn replaying_the_log_gives_the_same_state() {
        let mut log = Vec::new();
        let mut schemas = Schemas::default();
        for (subject, text) in [("s", V1), ("t", V1), ("s", PLUS_DEFAULT), ("s", V1_DOC)] {
            let (_, change) = schemas.register(subject, text).expect("taken");
            let change = change.expect("new");
            schemas.apply(change.clone());
            log.push(change);
        }
        let mut again = Schemas::default();
        for change in log.iter().chain(&log[1..]) {
            let json = serde_json::to_string(change).expect("json");
            again.apply(serde_json::from_str(&json).expect("json"));
        }
        assert_eq!(again.subjects, schemas.subjects);
        for id in 1..=3 {
            assert_eq!(again.text(id), schemas.text(id));
        }
        assert_eq!(again.uses(1), [("s", 1), ("t", 1)]);
    }
}
