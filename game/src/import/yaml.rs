//! YAML text to tree.

use std::cell::Cell;
use std::str::Chars;

use super::Mark;
use super::node::{Builder, Parsed};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// How many characters the parser may read before it says what stands there. It takes all of a list or map
/// in brackets for a key that may still get its colon, and holds a hundred times their text meanwhile.
const AHEAD_CHARS_MAX: usize = 64 * 1024;

/// How far the parser has read since it last said something.
struct Ahead {
    left: Cell<usize>,
    is_cut: Cell<bool>,
}

/// The characters of a text, which ends early when the parser reads too far ahead.
struct Watched<'a> {
    chars: Chars<'a>,
    ahead: &'a Ahead,
}

impl Iterator for Watched<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        let left = self.ahead.left.get();
        if left == 0 {
            self.ahead.is_cut.set(true);
            return None;
        }
        self.ahead.left.set(left - 1);
        Some(c)
    }
}

pub(super) fn parse(text: &str) -> Parsed {
    // The parser may place what it misses at the end on the line behind the last.
    let lines = text.chars().filter(|c| matches!(c, '\n' | '\r')).count() + 1;
    let mark_of = |marker: Marker| Mark { line: marker.line().min(lines), column: Some(marker.col() + 1) };
    let mut builder = Builder::default();
    let mut error = None;
    let mut last = Mark { line: 1, column: None };
    let ahead = Ahead { left: Cell::new(AHEAD_CHARS_MAX), is_cut: Cell::new(false) };
    for event in Parser::new_from_iter(Watched { chars: text.chars(), ahead: &ahead }) {
        ahead.left.set(AHEAD_CHARS_MAX);
        let (event, mark) = match event {
            Err(bad) if ahead.is_cut.get() => {
                last = mark_of(*bad.marker());
                break;
            }
            Ok((event, span)) => (event, mark_of(span.start)),
            Err(bad) => {
                error = Some((mark_of(*bad.marker()), format!("not YAML: {}", bad.info())));
                break;
            }
        };
        last = mark;
        let taken = match event {
            Event::DocumentStart(_) if builder.is_complete() => Err("only one document is read".to_owned()),
            Event::Alias(_) => builder.alias(mark),
            Event::Scalar(text, style, _, _) => builder.scalar(mark, text.into_owned(), style != ScalarStyle::Plain),
            Event::SequenceStart(..) => builder.open_list(mark),
            Event::MappingStart(..) => builder.open_map(mark),
            Event::SequenceEnd | Event::MappingEnd => {
                builder.close();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        };
        if let Err(reason) = taken {
            error = Some((mark, reason));
            break;
        }
    }
    if error.is_none() && ahead.is_cut.get() {
        let reason = format!("more than {AHEAD_CHARS_MAX} characters of one text, comment or value in brackets");
        error = Some((last, reason));
    }
    builder.finish(error)
}
