//! Messages of the MongoDB wire protocol: reading them within a size bound, finding the parts of one,
//! and building new ones.

use std::ops::Range;

use bson::Document;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Result, RouterError};
use crate::raw;

/// Largest message that is read, the limit servers announce as `maxMessageSizeBytes`.
pub const MESSAGE_BYTES_MAX: usize = 48_000_000;
/// A message from a server behind the router may be larger by what MongoDB allows for its own fields.
const UPSTREAM_SLACK_BYTES: usize = 1024 * 1024;
const HEADER_BYTES: usize = 16;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

const FLAG_CHECKSUM: u32 = 1;
const FLAG_MORE_TO_COME: u32 = 1 << 1;
const CHECKSUM_BYTES: usize = 4;

/// Who sent a message, which decides how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client of the router.
    Client,
    /// A server behind the router.
    Server,
}

/// Reads one whole message, header included, into `buffer`. `false` when the stream ended before it.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>, sender: Sender) -> Result<bool> {
    let mut header = [0_u8; HEADER_BYTES];
    let got = stream.read(&mut header).await?;
    if got == 0 {
        return Ok(false);
    }
    stream.read_exact(&mut header[got..]).await?;
    let max = MESSAGE_BYTES_MAX + if sender == Sender::Server { UPSTREAM_SLACK_BYTES } else { 0 };
    let size = usize::try_from(i32_at(&header, 0)?).unwrap_or(0);
    if !(HEADER_BYTES..=max).contains(&size) {
        return Err(RouterError::Malformed { reason: "message size out of bounds" });
    }
    buffer.clear();
    buffer.extend_from_slice(&header);
    // Reading grows the buffer as bytes arrive, so a header alone cannot claim 48 MB of memory.
    let rest = (size - HEADER_BYTES) as u64;
    if stream.take(rest).read_to_end(buffer).await? as u64 != rest {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(true)
}

/// How a request came, which is how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `OP_MSG`, answered by another.
    Message,
    /// `OP_MSG` of which the client waits for no answer.
    MessageUnacknowledged,
    /// The old `OP_QUERY`, which drivers use for their first hello.
    Query,
}

/// A client's request: the message and where its parts lie in it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Request id, which the reply repeats.
    pub id: i32,
    /// How it came.
    pub form: Form,
    bytes: &'a [u8],
    body: Range<usize>,
    sequences: Vec<Range<usize>>,
}

impl<'a> Request<'a> {
    /// Finds the parts of a message that [`read_message`] gave.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let id = i32_at(bytes, 4)?;
        match i32_at(bytes, 12)? {
            OP_MSG => Self::parse_message(bytes, id),
            OP_QUERY => Self::parse_query(bytes, id),
            _ => Err(RouterError::Malformed { reason: "operation code is neither OP_MSG nor OP_QUERY" }),
        }
    }

    /// The command document.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.body.clone()]
    }

    /// Whether documents come beside the command document.
    pub fn has_sequences(&self) -> bool {
        !self.sequences.is_empty()
    }

    /// The message to a server: a body that `rewrite` writes, and the document sequences untouched.
    pub fn forward(&self, out: &mut Vec<u8>, rewrite: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<()>) -> Result<()> {
        out.clear();
        start_message(out, self.id, 0, OP_MSG);
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.push(0);
        rewrite(self.body(), out)?;
        for sequence in &self.sequences {
            out.extend_from_slice(&self.bytes[sequence.clone()]);
        }
        finish_message(out)
    }

    fn parse_message(bytes: &'a [u8], id: i32) -> Result<Self> {
        let flags = i32_at(bytes, HEADER_BYTES)? as u32;
        let checksum = if flags & FLAG_CHECKSUM == 0 { 0 } else { CHECKSUM_BYTES };
        let end = bytes.len().checked_sub(checksum).ok_or(RouterError::Malformed { reason: "no checksum" })?;
        let (mut at, mut body, mut sequences) = (HEADER_BYTES + 4, None, Vec::new());
        while at < end {
            let content = &bytes[at + 1..end];
            let length = raw::document_length(content)?;
            let next = at + 1 + length;
            match bytes[at] {
                0 if body.is_none() => body = Some(at + 1..next),
                1 => sequences.push(at..next),
                _ => return Err(RouterError::Malformed { reason: "unknown section of OP_MSG" }),
            }
            at = next;
        }
        let body = body.ok_or(RouterError::Malformed { reason: "OP_MSG without a command" })?;
        let unacknowledged = flags & FLAG_MORE_TO_COME != 0;
        let form = if unacknowledged { Form::MessageUnacknowledged } else { Form::Message };
        Ok(Self { id, form, bytes, body, sequences })
    }

    fn parse_query(bytes: &'a [u8], id: i32) -> Result<Self> {
        // Flags, the namespace as a terminated string, two counts, the query.
        let name_at = HEADER_BYTES + 4;
        let name = bytes.get(name_at..).and_then(|rest| rest.iter().position(|byte| *byte == 0));
        let at = name_at + name.ok_or(RouterError::Malformed { reason: "OP_QUERY without a namespace" })? + 1 + 8;
        let query = bytes.get(at..).ok_or(RouterError::Malformed { reason: "OP_QUERY without a query" })?;
        let body = at..at + raw::document_length(query)?;
        Ok(Self { id, form: Form::Query, bytes, body, sequences: Vec::new() })
    }
}

/// A command to a server as one `OP_MSG`.
pub fn command_message(command: &Document, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    start_message(out, 1, 0, OP_MSG);
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.push(0);
    command.to_writer(&mut *out)?;
    finish_message(out)
}

/// The reply to a request, in the form that its client understands.
pub fn reply_message(reply: &Document, request_id: i32, form: Form, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    if form == Form::Query {
        start_message(out, 0, request_id, OP_REPLY);
        // Flags (await capable), cursor id, starting from, number of documents.
        out.extend_from_slice(&8_i32.to_le_bytes());
        out.extend_from_slice(&0_i64.to_le_bytes());
        out.extend_from_slice(&0_i32.to_le_bytes());
        out.extend_from_slice(&1_i32.to_le_bytes());
    } else {
        start_message(out, 0, request_id, OP_MSG);
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.push(0);
    }
    reply.to_writer(&mut *out)?;
    finish_message(out)
}

/// The document of a server's reply.
pub fn reply_body(bytes: &[u8]) -> Result<&[u8]> {
    let body_at = HEADER_BYTES + 4 + 1;
    if i32_at(bytes, 12)? != OP_MSG || bytes.get(body_at - 1) != Some(&0) {
        return Err(RouterError::Malformed { reason: "reply is not an OP_MSG" });
    }
    let body = &bytes[body_at..];
    Ok(&body[..raw::document_length(body)?])
}

fn start_message(out: &mut Vec<u8>, id: i32, response_to: i32, code: i32) {
    for field in [0, id, response_to, code] {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

fn finish_message(out: &mut [u8]) -> Result<()> {
    let length = i32::try_from(out.len()).map_err(|_| RouterError::Malformed { reason: "message too large" })?;
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32> {
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
    field.map(i32::from_le_bytes).ok_or(RouterError::Malformed { reason: "message too short" })
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn message(flags: u32, sections: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        start_message(&mut out, 7, 0, OP_MSG);
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(sections);
        finish_message(&mut out).unwrap();
        out
    }

    fn body_section(document: &Document) -> Vec<u8> {
        [vec![0], bson::to_vec(document).unwrap()].concat()
    }

    fn sequence_section(name: &str, documents: &[Document]) -> Vec<u8> {
        let mut content = [name.as_bytes(), &[0]].concat();
        documents.iter().for_each(|document| content.extend(bson::to_vec(document).unwrap()));
        let length = i32::try_from(content.len() + 4).unwrap();
        [&[1][..], &length.to_le_bytes(), &content].concat()
    }

    /// The sequences reach the server byte for byte, wherever they stand, and the checksum does not.
    #[test]
    fn forwards_sequences_untouched() {
        let command = doc! {"insert": "c", "txnNumber": 1_i64, "$db": "q"};
        let sequence = sequence_section("documents", &[doc! {"a": 1}, doc! {"a": 2}]);
        let sections = [sequence.clone(), body_section(&command), vec![1, 2, 3, 4]].concat();
        let bytes = message(FLAG_CHECKSUM, &sections);
        let request = Request::parse(&bytes).unwrap();
        let mut out = Vec::new();
        request.forward(&mut out, |body, out| raw::rewrite_command(body, "clusterInsert", out)).unwrap();

        let renamed = doc! {"clusterInsert": "c", "$db": "q"};
        assert_eq!(out, message(0, &[body_section(&renamed), sequence].concat()));
        assert_eq!((request.id, request.form, request.has_sequences()), (7, Form::Message, true));
    }

    #[test]
    fn knows_unacknowledged_messages() {
        let bytes = message(FLAG_MORE_TO_COME, &body_section(&doc! {"insert": "c"}));
        assert_eq!(Request::parse(&bytes).unwrap().form, Form::MessageUnacknowledged);
    }

    #[test]
    fn reads_a_legacy_hello() {
        let mut bytes = Vec::new();
        start_message(&mut bytes, 9, 0, OP_QUERY);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(b"admin.$cmd\0");
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend(bson::to_vec(&doc! {"isMaster": 1}).unwrap());
        finish_message(&mut bytes).unwrap();
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(raw::first(request.body()).unwrap().name, b"isMaster");
        assert_eq!((request.id, request.form), (9, Form::Query));
    }

    /// Every cut of a message is an error, not a panic.
    #[test]
    fn survives_cut_messages() {
        let bytes = message(0, &[body_section(&doc! {"a": 1}), sequence_section("d", &[doc! {}])].concat());
        for cut in 0..bytes.len() {
            if let Ok(request) = Request::parse(&bytes[..cut]) {
                assert!(!request.has_sequences(), "cut at {cut}");
            }
        }
    }

    /// A size beyond the bound ends the read before any of the message is taken into memory.
    #[tokio::test]
    async fn bounds_the_message_size() {
        for size in [-1, 15, i32::try_from(MESSAGE_BYTES_MAX).unwrap() + 1] {
            let mut header = [0_u8; HEADER_BYTES];
            header[..4].copy_from_slice(&size.to_le_bytes());
            let read = read_message(&mut &header[..], &mut Vec::new(), Sender::Client).await;
            assert!(matches!(read, Err(RouterError::Malformed { .. })), "size {size}");
        }
        assert!(!read_message(&mut &[][..], &mut Vec::new(), Sender::Client).await.unwrap());
    }
}
