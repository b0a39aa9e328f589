//! Reading and rewriting encoded BSON in place of decoding it: a batch of thousands of documents passes
//! through the router as bytes, and only the names at the top of a command are looked at.

use crate::error::{Result, RouterError};

/// Fields of a session that a cluster command must not carry: a mongod aborts on a retryable-write
/// number there, and outside a transaction the session itself means nothing to the shards.
const SESSION_FIELDS: [&[u8]; 2] = [b"lsid", b"txnNumber"];

/// BSON type of an embedded document.
pub const KIND_DOCUMENT: u8 = 0x03;
const KIND_ARRAY: u8 = 0x04;
const KIND_DOUBLE: u8 = 0x01;
const KIND_STRING: u8 = 0x02;
const KIND_BOOL: u8 = 0x08;
const KIND_INT32: u8 = 0x10;
const KIND_INT64: u8 = 0x12;

/// One element of an encoded document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element<'a> {
    /// BSON type byte.
    pub kind: u8,
    /// Field name, without its terminator.
    pub name: &'a [u8],
    /// Encoded value.
    pub value: &'a [u8],
    /// The whole element: type, name and value.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The value as a number, when it is one (a double is cut off).
    pub fn as_i64(&self) -> Option<i64> {
        match self.kind {
            KIND_INT32 => Some(i64::from(i32::from_le_bytes(self.value.try_into().ok()?))),
            KIND_INT64 => Some(i64::from_le_bytes(self.value.try_into().ok()?)),
            KIND_DOUBLE => Some(f64::from_le_bytes(self.value.try_into().ok()?) as i64),
            KIND_BOOL => Some(i64::from(*self.value.first()? != 0)),
            _ => None,
        }
    }
}

/// Walks the elements of one encoded document; ends after the first malformed one.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let element = split_element(self.rest).ok_or(RouterError::Malformed { reason: "broken BSON element" });
        self.rest = element.as_ref().map_or(&[], |element| &self.rest[element.whole.len()..]);
        Some(element)
    }
}

/// The elements of an encoded document.
pub fn elements(document: &[u8]) -> Result<Elements<'_>> {
    let length = document_length(document)?;
    if length != document.len() || document[length - 1] != 0 {
        return Err(RouterError::Malformed { reason: "document length does not fit" });
    }
    Ok(Elements { rest: &document[4..length - 1] })
}

/// Length of the encoded document at the start of `bytes`, checked to lie within them.
pub fn document_length(bytes: &[u8]) -> Result<usize> {
    let length = read_i32(bytes).and_then(|length| usize::try_from(length).ok());
    length
        .filter(|length| (5..=bytes.len()).contains(length))
        .ok_or(RouterError::Malformed { reason: "document length out of bounds" })
}

/// The first top-level element of that name.
pub fn find<'a>(document: &'a [u8], name: &str) -> Result<Option<Element<'a>>> {
    for element in elements(document)? {
        let element = element?;
        if element.name == name.as_bytes() {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

/// The first element: its name is the command's name.
pub fn first(document: &[u8]) -> Result<Element<'_>> {
    elements(document)?.next().unwrap_or(Err(RouterError::Malformed { reason: "empty command" }))
}

/// Whether a command leaves a cursor open for what is yet to come: a tailable find or a change stream.
pub fn opens_tailable_cursor(command: &[u8]) -> Result<bool> {
    if let Some(tailable) = find(command, "tailable")? {
        return Ok(tailable.as_i64() != Some(0));
    }
    let Some(pipeline) = find(command, "pipeline")?.filter(|pipeline| pipeline.kind == KIND_ARRAY) else {
        return Ok(false);
    };
    // A change stream is always the first stage.
    let Some(stage) = elements(pipeline.value)?.next().transpose()? else { return Ok(false) };
    Ok(stage.kind == KIND_DOCUMENT && first(stage.value).is_ok_and(|stage| stage.name == b"$changeStream"))
}

/// Appends `document` to `out` with its first field renamed to `name` and the session fields left out.
pub fn rewrite_command(document: &[u8], name: &str, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut fields = elements(document)?;
    let command = fields.next().unwrap_or(Err(RouterError::Malformed { reason: "empty command" }))?;
    append_renamed(&command, name, out);
    append_without_session(fields, out)?;
    close_document(start, out)
}

/// Appends `explain` to `out` with the first field of the explained command renamed to `name`.
pub fn rewrite_explain(document: &[u8], name: &str, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut fields = elements(document)?;
    let explain = fields.next().unwrap_or(Err(RouterError::Malformed { reason: "empty command" }))?;
    out.push(explain.kind);
    out.extend_from_slice(explain.name);
    out.push(0);
    rewrite_command(explain.value, name, out)?;
    append_without_session(fields, out)?;
    close_document(start, out)
}

/// Appends `document` to `out` with the session fields left out and nothing renamed.
pub fn strip_session(document: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    append_without_session(elements(document)?, out)?;
    close_document(start, out)
}

fn append_renamed(element: &Element<'_>, name: &str, out: &mut Vec<u8>) {
    out.push(element.kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(element.value);
}

fn append_without_session(fields: Elements<'_>, out: &mut Vec<u8>) -> Result<()> {
    for element in fields {
        let element = element?;
        if !SESSION_FIELDS.contains(&element.name) {
            out.extend_from_slice(element.whole);
        }
    }
    Ok(())
}

fn close_document(start: usize, out: &mut Vec<u8>) -> Result<()> {
    out.push(0);
    let length =
        i32::try_from(out.len() - start).map_err(|_| RouterError::Malformed { reason: "document too large" })?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn split_element(bytes: &[u8]) -> Option<Element<'_>> {
    let kind = *bytes.first()?;
    let name_length = bytes[1..].iter().position(|byte| *byte == 0)?;
    let value_at = 1 + name_length + 1;
    let value_length = value_length(kind, &bytes[value_at..])?;
    let value = bytes.get(value_at..value_at.checked_add(value_length)?)?;
    Some(Element { kind, name: &bytes[1..1 + name_length], value, whole: &bytes[..value_at + value_length] })
}

fn value_length(kind: u8, bytes: &[u8]) -> Option<usize> {
    let counted = || usize::try_from(read_i32(bytes)?).ok();
    match kind {
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        KIND_BOOL => Some(1),
        KIND_INT32 => Some(4),
        KIND_DOUBLE | 0x09 | 0x11 | KIND_INT64 => Some(8),
        0x07 => Some(12),
        0x13 => Some(16),
        KIND_STRING | 0x0D | 0x0E => counted()?.checked_add(4),
        0x05 => counted()?.checked_add(5),
        0x0C => counted()?.checked_add(16),
        KIND_DOCUMENT | KIND_ARRAY | 0x0F => counted().filter(|length| *length >= 5),
        0x0B => {
            let pattern = bytes.iter().position(|byte| *byte == 0)? + 1;
            let options = bytes[pattern..].iter().position(|byte| *byte == 0)? + 1;
            Some(pattern + options)
        }
        _ => None,
    }
}

fn read_i32(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, doc, spec::BinarySubtype};

    use super::*;

    fn encode(document: &Document) -> Vec<u8> {
        bson::to_vec(document).unwrap()
    }

    fn decode(bytes: &[u8]) -> Document {
        bson::from_slice(bytes).unwrap()
    }

    fn every_kind() -> Document {
        doc! {
            "double": 1.5, "string": "é\u{1F600}", "document": {"a": 1}, "array": [1, "x"],
            "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
            "undefined": Bson::Undefined, "oid": bson::oid::ObjectId::from_bytes([7; 12]), "bool": true,
            "date": bson::DateTime::from_millis(12), "null": Bson::Null,
            "regex": bson::Regex { pattern: "^a".into(), options: "i".into() },
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "scoped": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! {"b": 2} },
            "int": 7_i32, "timestamp": bson::Timestamp { time: 1, increment: 2 }, "long": 8_i64,
            "decimal": "1.25".parse::<bson::Decimal128>().unwrap(), "min": Bson::MinKey, "max": Bson::MaxKey,
        }
    }

    /// Every BSON type is skipped by its right length: the walk meets each field and the bytes add up.
    #[test]
    fn walks_every_type() {
        let document = every_kind();
        let bytes = encode(&document);
        let names: Vec<String> = elements(&bytes)
            .unwrap()
            .map(|element| String::from_utf8(element.unwrap().name.to_vec()).unwrap())
            .collect();
        assert_eq!(names, document.keys().cloned().collect::<Vec<_>>());
    }

    /// A command keeps all fields and their order but for its name and the session.
    #[test]
    fn rewrites_only_the_name_and_the_session() {
        let mut command = doc! {"insert": "answers", "lsid": {"id": "s"}, "txnNumber": 4_i64, "ordered": false};
        command.extend(every_kind());
        let mut out = vec![0xAA];
        rewrite_command(&encode(&command), "clusterInsert", &mut out).unwrap();

        let mut expected = doc! {"clusterInsert": "answers", "ordered": false};
        expected.extend(every_kind());
        assert_eq!(out[0], 0xAA);
        assert_eq!(decode(&out[1..]), expected);
    }

    /// `lsid` inside a stored document belongs to the user and stays.
    #[test]
    fn leaves_nested_session_fields_alone() {
        let command = doc! {"insert": "c", "documents": [{"lsid": 1, "txnNumber": 2}]};
        let mut out = Vec::new();
        rewrite_command(&encode(&command), "clusterInsert", &mut out).unwrap();
        assert_eq!(decode(&out), doc! {"clusterInsert": "c", "documents": [{"lsid": 1, "txnNumber": 2}]});
    }

    #[test]
    fn rewrites_the_explained_command() {
        let command = doc! {"explain": {"find": "c", "filter": {"a": 1}}, "verbosity": "x", "lsid": {"id": 1}};
        let mut out = Vec::new();
        rewrite_explain(&encode(&command), "clusterFind", &mut out).unwrap();
        assert_eq!(decode(&out), doc! {"explain": {"clusterFind": "c", "filter": {"a": 1}}, "verbosity": "x"});
    }

    #[test]
    fn strips_the_session_of_a_plain_command() {
        let mut out = Vec::new();
        strip_session(&encode(&doc! {"listIndexes": "c", "lsid": {"id": 1}, "$db": "q"}), &mut out).unwrap();
        assert_eq!(decode(&out), doc! {"listIndexes": "c", "$db": "q"});
    }

    #[test]
    fn knows_tailable_cursors() {
        let tailable = |command: Document| opens_tailable_cursor(&encode(&command)).unwrap();
        assert!(tailable(doc! {"aggregate": 1, "pipeline": [{"$changeStream": {}}, {"$match": {}}]}));
        assert!(tailable(doc! {"find": "c", "tailable": true}));
        assert!(!tailable(doc! {"find": "c", "tailable": false, "filter": {"tailable": true}}));
        assert!(!tailable(doc! {"aggregate": "c", "pipeline": [{"$match": {"$changeStream": 1}}]}));
        assert!(!tailable(doc! {"aggregate": "c", "pipeline": []}));
    }

    #[test]
    fn reads_numbers() {
        let bytes = encode(&doc! {"a": 3_i32, "b": 4_i64, "c": 1.0, "d": true, "e": "text", "f": Bson::Null});
        let number = |name| find(&bytes, name).unwrap().unwrap().as_i64();
        assert_eq!(
            [number("a"), number("b"), number("c"), number("d"), number("e"), number("f")],
            [Some(3), Some(4), Some(1), Some(1), None, None]
        );
        assert_eq!(find(&bytes, "missing").unwrap(), None);
    }

    /// Whatever a client sends, the walk ends with an error and never panics: every cut and every
    /// changed byte of a document with all types.
    #[test]
    fn survives_broken_documents() {
        let bytes = encode(&every_kind());
        let walk = |bytes: &[u8]| {
            let mut out = Vec::new();
            let _ = rewrite_command(bytes, "x", &mut out);
            let _ = rewrite_explain(bytes, "x", &mut out);
            let _ = find(bytes, "missing");
        };
        for cut in 0..bytes.len() {
            assert!(elements(&bytes[..cut]).is_err(), "cut at {cut}");
            walk(&bytes[..cut]);
        }
        for at in 0..bytes.len() {
            for value in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
                let mut broken = bytes.clone();
                broken[at] = value;
                walk(&broken);
            }
        }
    }
}
