//! Goal: bytes that a released build wrote are read for ever, and today's build still writes them.
//! Method: `avro-history/<topic>/v<n>.avsc` keeps every version of every schema, and
//! `golden/<sample>.v<n>.hex` the datum of every sample in it, with the value it stands for in
//! `golden/<sample>.v<n>.json`. Nothing there is ever changed; what is missing is written by
//! `QUIZ_WRITE_GOLDEN=1 cargo test -p quiz-schemas --test golden`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::{AnyEvent, Codec, SchemaId, Topic};
use serde_json::Value;

#[path = "samples/mod.rs"]
mod samples;

const WRITE: &str = "QUIZ_WRITE_GOLDEN=1 cargo test -p quiz-schemas --test golden";

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn may_write() -> bool {
    std::env::var("QUIZ_WRITE_GOLDEN").is_ok_and(|value| value == "1")
}

/// Writes a file that must not exist yet.
fn write_new(path: &PathBuf, text: &str) {
    fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
    assert!(!path.exists(), "{} is never changed", path.display());
    fs::write(path, text).expect("written");
}

/// The text, or what the test fails with.
fn kept(path: &PathBuf, text: impl FnOnce() -> String) -> String {
    if !path.exists() && may_write() {
        write_new(path, &text());
    }
    fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}; write it with: {WRITE}", path.display()))
}

/// Every version of a topic's schema, from 1 on; the last is the present one.
fn history(topic: Topic) -> Vec<String> {
    let folder = folder("avro-history").join(topic.name());
    let file = |version: usize| folder.join(format!("v{version}.avsc"));
    let read = |version: usize| fs::read_to_string(file(version)).ok();
    let mut versions: Vec<String> = (1..).map_while(read).collect();
    let entries = fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(versions.len(), entries, "{} holds v1.avsc, v2.avsc, … without holes", folder.display());
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("json");
    let present = topic.spec().schema;
    if versions.last().is_none_or(|last| json(last) != json(present)) {
        versions.push(kept(&file(versions.len() + 1), || present.to_string()));
    }
    versions
}

/// The topic of a sample, by the first word of its name.
fn topic_of(sample: &str) -> Topic {
    let word = sample.split('.').next().expect("a word");
    Topic::from_name(&format!("quiz.{word}.v1")).unwrap_or_else(|| panic!("{sample}: no topic quiz.{word}.v1"))
}

fn json(event: &AnyEvent) -> Value {
    let value = match event {
        AnyEvent::Commands(record) => serde_json::to_value(record),
        AnyEvent::Joins(record) => serde_json::to_value(record),
        AnyEvent::Sessions(record) => serde_json::to_value(record),
        AnyEvent::Answers(record) => serde_json::to_value(record),
        AnyEvent::Scores(record) => serde_json::to_value(record),
        AnyEvent::Results(record) => serde_json::to_value(record),
        AnyEvent::Quizzes(record) => serde_json::to_value(record),
        AnyEvent::Tallies(record) => serde_json::to_value(record),
        AnyEvent::Ledger(record) => serde_json::to_value(record),
    };
    value.expect("json")
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = digits.as_bytes().chunks(100).map(|line| std::str::from_utf8(line).expect("hex")).collect();
    lines.join("\n") + "\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// Whether `found` says all that `expected` says. A newer build may say more: fields that the old
/// one did not have. What is null or missing says nothing.
fn says(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (_, Value::Null) => true,
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| says(found.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| says(found, expected))
        }
        _ => found == expected,
    }
}

/// A datum as a record with the framing of schema `id`.
fn framed(id: SchemaId, datum: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), datum].concat()
}

#[test]
fn every_sample_has_its_bytes_and_is_still_written_as_them() {
    let codec = Codec::with_fixed_ids();
    for (name, event) in samples::all() {
        assert_eq!(topic_of(name), event.topic(), "{name} is named after another topic");
        let version = history(event.topic()).len();
        let bytes = codec.encode_any(&event).expect(name);
        let datum = &bytes[FRAME_BYTES..];
        let golden = kept(&folder("golden").join(format!("{name}.v{version}.hex")), || hex(datum));
        assert_eq!(hex(datum), golden, "{name}: today's bytes are not those of version {version}");
        let expected = kept(&folder("golden").join(format!("{name}.v{version}.json")), || {
            serde_json::to_string_pretty(&json(&event)).expect("json") + "\n"
        });
        assert_eq!(json(&event), serde_json::from_str::<Value>(&expected).expect("json"), "{name}: the sample changed");
    }
}

#[test]
fn every_version_ever_written_is_read() {
    let mut read = BTreeMap::new();
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder("golden")).expect("the golden folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            files.insert(path);
        }
    }
    for path in files {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_string();
        let (name, version) = stem.rsplit_once(".v").expect("<sample>.v<version>.hex");
        let (topic, version): (Topic, usize) = (topic_of(name), version.parse().expect("a version"));
        let versions = history(topic);
        let datum = unhex(&fs::read_to_string(&path).expect("read"));
        let expected = fs::read_to_string(path.with_extension("json")).expect("the value beside the bytes");
        let expected: Value = serde_json::from_str(&expected).expect("json");

        let id = 1_000 + version as SchemaId;
        let codec = Codec::new();
        codec.add(id, &versions[version - 1]).expect("a schema");
        let event = codec.decode_any(topic, &framed(id, &datum)).unwrap_or_else(|err| panic!("{stem}: {err:?}"));
        assert!(says(&json(&event), &expected), "{stem}: {:#} is not {expected:#}", json(&event));

        // The reference implementation resolves it to every other version, older and newer.
        let writer = Schema::parse_str(&versions[version - 1]).expect("a schema");
        for (reader, text) in versions.iter().enumerate() {
            let reader_schema = Schema::parse_str(text).expect("a schema");
            let reading = GenericDatumReader::builder(&writer).reader_schema(&reader_schema).build();
            let resolved = reading.and_then(|reading| reading.read_value(&mut datum.as_slice()));
            resolved.unwrap_or_else(|err| panic!("{stem} read as version {}: {err}", reader + 1));
        }
        *read.entry(topic).or_insert(0) += 1;
    }
    for topic in Topic::ALL {
        assert!(read.contains_key(&topic), "{topic} has no golden bytes; write them with: {WRITE}");
    }
}

/// Goal: the comparison above can fail. Method: bend values.
#[test]
fn the_comparison_tells_a_wrong_value() {
    let expected = serde_json::json!({"a": 1, "b": null, "c": [{"d": "x"}]});
    assert!(says(&serde_json::json!({"a": 1, "c": [{"d": "x", "new": 2}], "new": 3}), &expected));
    assert!(!says(&serde_json::json!({"a": 2, "c": [{"d": "x"}]}), &expected));
    assert!(!says(&serde_json::json!({"a": 1, "c": []}), &expected));
    assert!(!says(&serde_json::json!({"a": 1, "c": [{"d": null}]}), &expected));
    assert!(!says(&serde_json::json!({"c": [{"d": "x"}]}), &expected));
}
