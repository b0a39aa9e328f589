//! What each collection takes: JSON schemas that the server checks on every write. They hold the
//! types of what the store's own rules rest on (keys, versions, positions) and the outer shape of
//! the rest, whose inner fields grow with the rules of the game.

use mongodb::bson::{Bson, Document, doc};

use crate::Collection;

/// An id's text.
const ID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{12}$";
/// A lane key's text.
const LANE: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{12}/[0-9]{1,5}$";

pub(super) fn validator(collection: Collection) -> Document {
    match collection {
        Collection::Answers => answers(),
        Collection::Lanes => lanes(),
        Collection::Views => views(),
        Collection::Boards => boards(),
        Collection::Standings => standings(),
        Collection::Pins => pins(),
        Collection::Ledgers => ledgers(),
    }
}

fn answers() -> Document {
    schema(vec![
        ("_id", text("^[0-7][0-9A-HJKMNP-TV-Z]{12}:[0-9]{1,5}:[0-7][0-9A-HJKMNP-TV-Z]{12}$")),
        ("lane", text(LANE)),
        ("game", text(ID)),
        ("question", question()),
        ("player", text(ID)),
        ("submission", text(ID)),
        ("response", doc! { "bsonType": "object", "minProperties": 1, "maxProperties": 1 }),
        ("verdict", doc! { "bsonType": "string" }),
        ("points", doc! { "bsonType": "int" }),
        ("elapsed_us", doc! { "bsonType": "long" }),
        ("received_at_us", doc! { "bsonType": "long" }),
        ("position", position()),
    ])
}

fn lanes() -> Document {
    schema(vec![
        ("_id", text(LANE)),
        ("lane", text(LANE)),
        ("offset", doc! { "bsonType": "long" }),
        ("position", position()),
        ("snapshot", doc! { "bsonType": "object" }),
    ])
}

fn views() -> Document {
    let mut cursor = position();
    cursor.insert("bsonType", vec!["object", "null"]);
    schema(vec![
        ("_id", text(ID)),
        ("game", text(ID)),
        ("version", doc! { "bsonType": "long" }),
        ("cursor", cursor),
        ("view", doc! { "bsonType": "object" }),
    ])
}

fn boards() -> Document {
    schema(vec![
        ("_id", text("^[0-7][0-9A-HJKMNP-TV-Z]{12}:[0-9]{1,5}$")),
        ("game", text(ID)),
        ("question", question()),
        ("players", doc! { "bsonType": "int" }),
        ("answered", doc! { "bsonType": "long" }),
        ("top", doc! { "bsonType": "array" }),
    ])
}

fn standings() -> Document {
    schema(vec![
        ("_id", text(LANE)),
        ("lane", text(LANE)),
        ("question", question()),
        ("outcomes", doc! { "bsonType": "array" }),
    ])
}

fn pins() -> Document {
    schema(vec![
        ("_id", text("^[0-9]{6}$")),
        ("game", text(ID)),
        ("lanes", doc! { "bsonType": "int", "minimum": 0 }),
        ("expires_at_us", doc! { "bsonType": "long" }),
        ("expires_at", doc! { "bsonType": "date" }),
    ])
}

fn ledgers() -> Document {
    schema(vec![
        ("_id", text("^[0-7][0-9A-HJKMNP-TV-Z]{12}:[0-9]{1,5}$")),
        ("game", text(ID)),
        ("question", question()),
        ("version", doc! { "bsonType": "int" }),
        ("ledger", doc! { "bsonType": "object" }),
    ])
}

/// All `fields` are required; others may be there, so that a newer build can write beside an older.
fn schema(fields: Vec<(&str, Document)>) -> Document {
    let required: Vec<Bson> = fields.iter().map(|(name, _)| Bson::from(*name)).collect();
    let properties: Document = fields.into_iter().map(|(name, field)| (name.to_owned(), Bson::from(field))).collect();
    doc! { "$jsonSchema": { "bsonType": "object", "required": required, "properties": properties } }
}

fn text(pattern: &str) -> Document {
    doc! { "bsonType": "string", "pattern": pattern }
}

fn question() -> Document {
    doc! { "bsonType": "int", "minimum": 0, "maximum": i32::from(u16::MAX) }
}

fn position() -> Document {
    doc! {
        "bsonType": "object",
        "required": ["partition", "offset"],
        "properties": { "partition": { "bsonType": "int" }, "offset": { "bsonType": "long" } },
    }
}
