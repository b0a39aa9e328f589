//! Holds what a running edge says against `docs/asyncapi.yaml`.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

static VALIDATORS: OnceLock<HashMap<String, jsonschema::Validator>> = OnceLock::new();

fn validators() -> HashMap<String, jsonschema::Validator> {
    let text = include_str!("../../../docs/asyncapi.yaml");
    let document: Value = serde_yaml_ng::from_str(text).expect("YAML");
    let messages = document["components"]["messages"].as_object().expect("a map");
    let compile = |name: &String| {
        let reference = format!("#/components/messages/{name}/payload");
        let schema = json!({ "$ref": reference, "components": document["components"] });
        (name.clone(), jsonschema::draft202012::new(&schema).expect("a schema"))
    };
    messages.keys().map(compile).collect()
}

/// Panics when the frame is not as described.
pub fn check(text: &str) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let name = value["type"].as_str().expect("a type");
    let validator = VALIDATORS.get_or_init(validators).get(name).unwrap_or_else(|| panic!("{name} is not described"));
    let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{text}: {errors:?}");
}
