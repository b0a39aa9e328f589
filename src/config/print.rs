//! `config print` and `config check`: each value and where it came from.

use std::path::PathBuf;

use figment::error::Kind;
use figment::value::Value;

use super::{Config, figment};
use crate::exit::{Exit, Failure};

/// Keys whose values are not shown.
const SECRETS: &[&str] = &["edge.token_secret"];

/// Turns figment's error into a sentence and a hint.
pub fn explain(err: &::figment::Error) -> Failure {
    let path = err.path.join(".");
    match &err.kind {
        Kind::UnknownField(field, known) => {
            let nearest = known.iter().max_by(|a, b| similarity(a, field).total_cmp(&similarity(b, field)));
            let failure =
                Failure::new(Exit::Usage, format!("the configuration has an unknown key {field:?} in {path:?}"));
            match nearest {
                Some(nearest) => failure.hint(format!("did you mean {nearest:?}?")),
                None => failure,
            }
        }
        kind => Failure::new(Exit::Usage, format!("the configuration's {path:?} is wrong: {kind}")),
    }
}

/// The share of `b`'s letter pairs that `a` has too, 0 to 1.
fn similarity(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| text.as_bytes().windows(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (a, b) = (pairs(a), pairs(b));
    let shared = b.iter().filter(|pair| a.contains(pair)).count();
    shared as f64 / a.len().max(b.len()).max(1) as f64
}

fn leaves(prefix: &str, value: &Value, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Dict(_, dict) => {
            for (key, child) in dict {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                leaves(&path, child, out);
            }
        }
        leaf => out.push((prefix.to_string(), leaf.clone())),
    }
}

fn shown(key: &str, value: &Value, redact: bool) -> String {
    if redact && SECRETS.contains(&key) && value.as_str().is_some_and(|text| !text.is_empty()) {
        return "\"…\"".into();
    }
    match value {
        Value::String(_, text) => format!("{text:?}"),
        // A number is signed or not as its key is or, from the environment, as it looks.
        Value::Num(_, num) => {
            let signed = num.to_i128().map(|number| number.to_string());
            signed.or_else(|| num.to_u128().map(|number| number.to_string())).unwrap_or_else(|| "?".into())
        }
        Value::Bool(_, flag) => flag.to_string(),
        _ => "none".into(),
    }
}

/// Prints every key, its value and, with `sources`, where it came from.
///
/// # Errors
/// When the configuration cannot be read.
pub fn print(file: Option<&PathBuf>, redact: bool, sources: bool, json: bool) -> Result<(), Failure> {
    Config::load(file, &[])?;
    let figment = figment(file, &[]);
    let whole: Value = figment.extract().map_err(|err| explain(&err))?;
    let mut rows = Vec::new();
    leaves("", &whole, &mut rows);
    let mut object = serde_json::Map::new();
    for (key, value) in &rows {
        let source = figment.find_metadata(key).map_or_else(|| "default".to_string(), source_name);
        let text = shown(key, value, redact);
        if json {
            object.insert(key.clone(), serde_json::json!({ "value": text.trim_matches('"'), "source": source }));
        } else if sources {
            println!("{key} = {text}  # {source}");
        } else {
            println!("{key} = {text}");
        }
    }
    if json {
        println!("{}", serde_json::Value::Object(object));
    }
    Ok(())
}

fn source_name(metadata: &::figment::Metadata) -> String {
    match &metadata.source {
        Some(::figment::Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => "environment".into(),
        _ if metadata.name.contains("Config") || metadata.name.contains("config::") => "default".into(),
        _ => metadata.name.to_string(),
    }
}

/// Says whether the configuration can be used.
///
/// # Errors
/// When it cannot.
pub fn check(file: Option<&PathBuf>) -> Result<(), Failure> {
    let config = Config::load(file, &[])?;
    if let Err(failure) = config.token_secret() {
        eprintln!("note: {} (only edges need it)", failure.message);
    }
    println!("the configuration is right");
    Ok(())
}
