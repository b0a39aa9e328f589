//! Goal: no schema gets in that some reader of the log, old or new, cannot read. Method: the check
//! over every version ever committed; then the check itself, on schemas bent at every place where
//! they can be bent; then records from a future schema, read by today's structs.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::compatibility::{Incompatible, check_full_transitive};
use quiz_schemas::{AnyEvent, Codec, DecodeError, Topic};
use serde_json::{Map, Value, json};

#[path = "samples/mod.rs"]
mod samples;

type Object = Map<String, Value>;

fn present(topic: Topic) -> Value {
    serde_json::from_str(topic.spec().schema).expect("json")
}

fn versions(topic: Topic) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("avro-history").join(topic.name());
    (1..).map_while(|version| std::fs::read_to_string(folder.join(format!("v{version}.avsc"))).ok()).collect()
}

#[test]
fn every_version_of_every_schema_goes_with_every_other() {
    for topic in Topic::ALL {
        let mut versions = versions(topic);
        assert!(!versions.is_empty(), "{topic} has no history");
        versions.push(topic.spec().schema.to_string());
        for (index, next) in versions.iter().enumerate() {
            check_full_transitive(&versions[..index], next).unwrap_or_else(|err| panic!("{topic}: {err}"));
        }
    }
}

/// Every schema that `edit` makes of `schema` by changing one object in it; `edit` tells whether
/// the object is one to change.
fn bent(schema: &Value, edit: &dyn Fn(&mut Object) -> bool) -> Vec<Value> {
    fn at<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Object> {
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| at(item, index)),
            Value::Object(object) => {
                if *index == 0 {
                    return Some(object);
                }
                *index -= 1;
                object.values_mut().find_map(|value| at(value, index))
            }
            _ => None,
        }
    }
    let mut all = Vec::new();
    for index in 0.. {
        let mut copy = schema.clone();
        let Some(object) = at(&mut copy, &mut index.clone()) else { break };
        if edit(object) {
            all.push(copy);
        }
    }
    all
}

fn is(object: &Object, kind: &str) -> bool {
    object.get("type").and_then(Value::as_str) == Some(kind)
}

fn fields(object: &mut Object) -> &mut Vec<Value> {
    object.get_mut("fields").and_then(Value::as_array_mut).expect("a record has fields")
}

/// Checks the edit of every topic's schema; returns how many there were.
fn each(edit: &dyn Fn(&mut Object) -> bool, verdict: fn(&Result<(), Incompatible>) -> bool) -> usize {
    let mut count = 0;
    for topic in Topic::ALL {
        let present = present(topic);
        for next in bent(&present, edit) {
            if Schema::parse_str(&next.to_string()).is_err() {
                // The edit took the definition of a type that is used in a second place.
                continue;
            }
            let checked = check_full_transitive(&[present.to_string()], &next.to_string());
            assert!(verdict(&checked), "{topic}: {checked:?} for {next:#}");
            count += 1;
        }
    }
    count
}

fn refused(edit: &dyn Fn(&mut Object) -> bool) {
    let count =
        each(edit, |checked| matches!(checked, Err(Incompatible::Backward { .. } | Incompatible::Forward { .. })));
    assert!(count >= Topic::ALL.len(), "only {count} places were bent");
}

fn taken(edit: &dyn Fn(&mut Object) -> bool) {
    let count = each(edit, Result::is_ok);
    assert!(count >= Topic::ALL.len(), "only {count} places were bent");
}

#[test]
fn a_new_field_needs_a_default() {
    let add = |field: Value| {
        move |object: &mut Object| {
            let record = is(object, "record");
            if record {
                fields(object).push(field.clone());
            }
            record
        }
    };
    refused(&add(json!({"name": "added", "type": "int"})));
    refused(&add(json!({"name": "added", "type": ["null", "int"]})));
    taken(&add(json!({"name": "added", "type": "int", "default": 0})));
    taken(&add(json!({"name": "added", "type": ["null", "int"], "default": null})));
}

#[test]
fn a_field_without_a_default_cannot_go() {
    for position in 0..3 {
        let remove = |with_default: bool| {
            move |object: &mut Object| {
                if !is(object, "record") {
                    return false;
                }
                let fields = fields(object);
                let hit = fields.get(position).is_some_and(|field| field.get("default").is_some() == with_default);
                if hit {
                    fields.remove(position);
                }
                hit
            }
        };
        refused(&remove(false));
        each(&remove(true), Result::is_ok);
    }
}

#[test]
fn a_field_keeps_its_type() {
    let change = |from: &'static str, to: Value| {
        move |object: &mut Object| {
            let hit = object.contains_key("name") && is(object, from);
            if hit {
                object.insert("type".into(), to.clone());
                object.remove("default");
            }
            hit
        }
    };
    refused(&change("string", json!("int")));
    refused(&change("string", json!(["null", "string"])));
    refused(&change("int", json!("string")));
    // A wider number is read by the new readers and not by the old.
    refused(&change("int", json!("long")));
    each(&change("long", json!("int")), |checked| matches!(checked, Err(Incompatible::Backward { .. })));
}

#[test]
fn a_nullable_field_stays_nullable() {
    let narrow = |object: &mut Object| {
        let branches = object.get("type").and_then(Value::as_array);
        let only = branches.filter(|branches| branches.len() == 2 && branches[0] == "null").map(|b| b[1].clone());
        let hit = only.is_some();
        if let Some(only) = only {
            object.insert("type".into(), only);
            object.remove("default");
        }
        hit
    };
    each(&narrow, |checked| matches!(checked, Err(Incompatible::Backward { .. } | Incompatible::Forward { .. })));
    assert!(bent(&present(Topic::Joins), &narrow).len() >= 4);
}

#[test]
fn a_record_or_enum_keeps_its_name() {
    refused(&|object| {
        let named = is(object, "record") || is(object, "enum");
        if named {
            let name = object["name"].as_str().expect("a name").to_string();
            object.insert("name".into(), format!("{name}2").into());
        }
        named
    });
}

/// Every version with the same change to all enums: symbols as `edit` leaves them.
fn enums(schema: &Value, edit: &dyn Fn(&mut Object)) -> (Value, usize) {
    fn walk(value: &mut Value, edit: &dyn Fn(&mut Object), count: &mut usize) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, edit, count)),
            Value::Object(object) => {
                if is(object, "enum") {
                    edit(object);
                    *count += 1;
                }
                object.values_mut().for_each(|value| walk(value, edit, count));
            }
            _ => {}
        }
    }
    let (mut copy, mut count) = (schema.clone(), 0);
    walk(&mut copy, edit, &mut count);
    (copy, count)
}

fn symbols(object: &mut Object) -> &mut Vec<Value> {
    object.get_mut("symbols").and_then(Value::as_array_mut).expect("an enum has symbols")
}

#[test]
fn every_enum_has_a_default_and_without_one_symbols_are_fixed() {
    let mut seen = 0;
    for topic in Topic::ALL {
        let present = present(topic);
        let (bare, count) = enums(&present, &|object| {
            assert_eq!(object.get("default"), Some(&json!("unknown")), "{topic}: {}", object["name"]);
            object.remove("default");
        });
        seen += count;
        let edits: [fn(&mut Object); 2] =
            [|object| drop(symbols(object).pop()), |object| symbols(object).push("brand_new".into())];
        for edit in edits {
            let (with, _) = enums(&present, &edit);
            check_full_transitive(&[present.to_string()], &with.to_string()).unwrap_or_else(|e| panic!("{topic}: {e}"));
            if count > 0 {
                let (without, _) = enums(&bare, &edit);
                let checked = check_full_transitive(&[bare.to_string()], &without.to_string());
                assert!(checked.is_err(), "{topic}: symbols without a default");
            }
        }
    }
    assert!(seen >= 8, "only {seen} enums");
}

#[test]
fn the_check_goes_back_to_the_first_version() {
    let v1 = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#.to_string();
    let v2 = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int","default":0}]}"#.to_string();
    let v3 = r#"{"type":"record","name":"A","fields":[]}"#;
    check_full_transitive(std::slice::from_ref(&v2), v3).expect("each goes with its neighbour");
    let err = check_full_transitive(&[v1, v2], v3).expect_err("the third does not go with the first");
    assert!(matches!(err, Incompatible::Forward { version: 1, .. }), "{err}");
    assert!(matches!(check_full_transitive(&[], "{"), Err(Incompatible::Parse(_))));
}

/// Decodes `value`, written with a schema of the future, as today's build does.
fn read_today(topic: Topic, future: &Value, value: Avro) -> Result<AnyEvent, DecodeError> {
    let schema = Schema::parse_str(&future.to_string()).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let datum = writer.write_value_to_vec(value).expect("the value fits");
    let codec = Codec::new();
    codec.add(77, &future.to_string()).expect("a schema");
    let record = [&[0, 0, 0, 0, 77], datum.as_slice()].concat();
    codec.decode_any(topic, &record)
}

/// A sample as a value of `schema`, which extends today's.
fn as_value(event: &AnyEvent, schema: &Value) -> Avro {
    let bytes = Codec::with_fixed_ids().encode_any(event).expect("encoded");
    let today = Schema::parse_str(event.topic().spec().schema).expect("a schema");
    let future = Schema::parse_str(&schema.to_string()).expect("a schema");
    let reader = GenericDatumReader::builder(&today).reader_schema(&future).build().expect("a reader");
    reader.read_value(&mut &bytes[FRAME_BYTES..]).expect("resolves")
}

fn is_unknown(event: &AnyEvent) -> bool {
    format!("{event:?}").contains("body: Unknown")
}

#[test]
fn a_kind_of_event_from_the_future_is_read_as_unknown() {
    let mut kinds = 0;
    for (name, event) in samples::all() {
        let topic = event.topic();
        if topic == Topic::Quizzes {
            continue; // It has one kind and no body.
        }
        let kind = json!({"type": "record", "name": "FromTheFuture", "fields": [{"name": "note", "type": "string"}]});
        let field = json!({"name": "future", "type": ["null", kind], "default": null});
        let future = bent(&present(topic), &|object| {
            let body = is(object, "record") && object["name"].as_str().is_some_and(|name| name.ends_with("Body"));
            if body {
                fields(object).push(field.clone());
            }
            body
        });
        assert_eq!(future.len(), 1, "{topic} has one body");
        check_full_transitive(&[topic.spec().schema.to_string()], &future[0].to_string()).expect("it may come");

        // Today's kinds in tomorrow's schema are what they were.
        let mut value = as_value(&event, &future[0]);
        assert_eq!(read_today(topic, &future[0], value.clone()).expect(name), event, "{name}");

        let Avro::Record(envelope) = &mut value else { panic!("a record") };
        let body = envelope.iter_mut().find(|(name, _)| name == "body").expect("a body");
        let Avro::Record(kinds_of_body) = &mut body.1 else { panic!("a record") };
        for (name, kind) in kinds_of_body {
            let note = Avro::Record(vec![("note".into(), Avro::String("hi".into()))]);
            *kind = if name == "future" { Avro::Union(1, note.into()) } else { Avro::Union(0, Avro::Null.into()) };
        }
        let read = read_today(topic, &future[0], value).expect(name);
        assert!(is_unknown(&read), "{name}: {read:?}");
        assert!(!is_unknown(&event));
        kinds += 1;
    }
    assert!(kinds >= 28);
}

/// Every value made of `value` by giving one enum in it the last symbol.
fn with_last_symbol(value: &Avro, index: u32) -> Vec<Avro> {
    fn at<'a>(value: &'a mut Avro, left: &mut usize) -> Option<&'a mut Avro> {
        match value {
            Avro::Enum(..) if *left == 0 => Some(value),
            Avro::Enum(..) => {
                *left -= 1;
                None
            }
            Avro::Record(fields) => fields.iter_mut().find_map(|(_, value)| at(value, left)),
            Avro::Array(items) => items.iter_mut().find_map(|item| at(item, left)),
            Avro::Union(_, value) => at(value, left),
            _ => None,
        }
    }
    let mut all = Vec::new();
    for place in 0.. {
        let mut copy = value.clone();
        let Some(symbol) = at(&mut copy, &mut place.clone()) else { break };
        *symbol = Avro::Enum(index, "brand_new".into());
        all.push(copy);
    }
    all
}

#[test]
fn a_symbol_from_the_future_is_read_as_unknown() {
    // One place for the new symbol in every enum, so that one index fits all.
    const PLACE: usize = 20;
    let (mut read, mut keys) = (0, 0);
    for (name, event) in samples::all() {
        let topic = event.topic();
        let (future, _) = enums(&present(topic), &|object| {
            let symbols = symbols(object);
            for filler in symbols.len()..PLACE {
                symbols.push(format!("filler_{filler}").into());
            }
            symbols.push("brand_new".into());
        });
        for value in with_last_symbol(&as_value(&event, &future), PLACE as u32) {
            let today = match read_today(topic, &future, value) {
                Ok(today) => today,
                // An answer key of a kind that this build cannot judge is a bad record, on purpose.
                Err(DecodeError::Datum { source, .. }) if source.to_string().contains("answer key") => {
                    keys += 1;
                    continue;
                }
                Err(err) => panic!("{name}: {err:?}"),
            };
            assert_ne!(today, event, "{name}");
            assert!(format!("{today:?}").contains("Unknown"), "{name}: {today:?}");
            assert!(!is_unknown(&today), "{name}: only the symbol is unknown, not the event");
            read += 1;
        }
    }
    assert!(read >= 20 && keys >= 7, "only {read} symbols and {keys} answer keys");
}
