//! JSON text to tree. A parser of our own, since problems are told with their places.

use super::Mark;
use super::node::{Builder, Parsed};
use std::iter::Peekable;
use std::str::Chars;

pub(super) fn parse(text: &str) -> Parsed {
    let mut reader = Reader { chars: text.chars().peekable(), line: 1, column: 1 };
    let mut builder = Builder::default();
    let error = document(&mut reader, &mut builder).err().map(|bad| (bad.0, format!("not JSON: {}", bad.1)));
    builder.finish(error)
}

type Bad = (Mark, String);

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn mark(&self) -> Mark {
        Mark { line: self.line, column: Some(self.column) }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    /// The next character that is no white space, not taken.
    fn peek_solid(&mut self) -> Option<char> {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.next();
        }
        self.peek()
    }

    fn unexpected<T>(&mut self, wanted: &str) -> Result<T, Bad> {
        let mark = self.mark();
        let found = self.peek().map_or("the end of the text".to_owned(), |c| format!("{c:?}"));
        Err((mark, format!("{wanted} is expected, not {found}")))
    }
}

/// Where in a value the text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    List,
    Map,
}

fn document(reader: &mut Reader<'_>, builder: &mut Builder) -> Result<(), Bad> {
    let mut inside: Vec<Inside> = Vec::new();
    loop {
        // A value, or the end of an empty list or map, which a `value` that opens one has seen.
        value(reader, builder, &mut inside)?;
        loop {
            let Some(&now) = inside.last() else {
                return if reader.peek_solid().is_none() { Ok(()) } else { reader.unexpected("the end") };
            };
            let end = if now == Inside::List { ']' } else { '}' };
            match reader.peek_solid() {
                Some(',') => {
                    reader.next();
                    if now == Inside::Map {
                        key(reader, builder)?;
                    }
                    break;
                }
                Some(c) if c == end => {
                    reader.next();
                    builder.close();
                    inside.pop();
                }
                _ => return reader.unexpected(&format!("a comma or {end:?}")),
            }
        }
    }
}

/// Reads one value; goes into lists and maps until it has read a scalar or an empty one.
fn value(reader: &mut Reader<'_>, builder: &mut Builder, inside: &mut Vec<Inside>) -> Result<(), Bad> {
    loop {
        let first = reader.peek_solid();
        let mark = reader.mark();
        match first {
            Some('[') => {
                reader.next();
                builder.open_list(mark).map_err(|reason| (mark, reason))?;
                if reader.peek_solid() == Some(']') {
                    reader.next();
                    builder.close();
                    return Ok(());
                }
                inside.push(Inside::List);
            }
            Some('{') => {
                reader.next();
                builder.open_map(mark).map_err(|reason| (mark, reason))?;
                if reader.peek_solid() == Some('}') {
                    reader.next();
                    builder.close();
                    return Ok(());
                }
                inside.push(Inside::Map);
                key(reader, builder)?;
            }
            Some('"') => {
                let text = string(reader)?;
                return builder.scalar(mark, text, true).map_err(|reason| (mark, reason));
            }
            _ => {
                let word = word(reader)?;
                return builder.scalar(mark, word, false).map_err(|reason| (mark, reason));
            }
        }
    }
}

fn key(reader: &mut Reader<'_>, builder: &mut Builder) -> Result<(), Bad> {
    if reader.peek_solid() != Some('"') {
        return reader.unexpected("a key in double quotes");
    }
    let mark = reader.mark();
    let text = string(reader)?;
    builder.scalar(mark, text, true).map_err(|reason| (mark, reason))?;
    if reader.peek_solid() != Some(':') {
        return reader.unexpected("a colon");
    }
    reader.next();
    Ok(())
}

/// `true`, `false`, `null` or a number.
fn word(reader: &mut Reader<'_>) -> Result<String, Bad> {
    let mark = reader.mark();
    let mut word = String::new();
    while let Some(c) = reader.peek().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        word.push(c);
        reader.next();
    }
    let digit_first = word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    let known = matches!(word.as_str(), "true" | "false" | "null") || (digit_first && word.parse::<f64>().is_ok());
    if known {
        return Ok(word);
    }
    if word.is_empty() { reader.unexpected("a value") } else { Err((mark, format!("{word:?} is not a value"))) }
}

fn string(reader: &mut Reader<'_>) -> Result<String, Bad> {
    reader.next();
    let mut text = String::new();
    loop {
        let mark = reader.mark();
        match reader.next() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escape(reader, mark)?),
            Some(c) if u32::from(c) < 0x20 => {
                return Err((mark, "a text goes on over the end of the line, or holds a control character".to_owned()));
            }
            Some(c) => text.push(c),
            None => return Err((mark, "a text is not closed".to_owned())),
        }
    }
}

fn escape(reader: &mut Reader<'_>, mark: Mark) -> Result<char, Bad> {
    match reader.next() {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('r') => Ok('\r'),
        Some('b') => Ok('\u{8}'),
        Some('f') => Ok('\u{c}'),
        Some(c @ ('"' | '\\' | '/')) => Ok(c),
        Some('u') => unicode(reader).ok_or((mark, "a bad \\u escape".to_owned())),
        _ => Err((mark, "a bad escape".to_owned())),
    }
}

/// The code point behind `\u`, of one escape or of two that make a surrogate pair.
fn unicode(reader: &mut Reader<'_>) -> Option<char> {
    let high = hex(reader)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    if reader.next() != Some('\\') || reader.next() != Some('u') {
        return None;
    }
    let low = hex(reader).filter(|low| (0xdc00..0xe000).contains(low))?;
    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

fn hex(reader: &mut Reader<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + reader.next()?.to_digit(16)?;
    }
    Some(value)
}
