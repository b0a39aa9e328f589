//! YAML text to tree.

use super::Mark;
use super::node::{Builder, Parsed};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

fn mark_of(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: Some(marker.col() + 1) }
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    let mut error = None;
    for event in Parser::new_from_str(text) {
        let (event, mark) = match event {
            Ok((event, span)) => (event, mark_of(span.start)),
            Err(bad) => {
                error = Some((mark_of(*bad.marker()), format!("not YAML: {}", bad.info())));
                break;
            }
        };
        let taken = match event {
            Event::DocumentStart(_) if builder.is_complete() => Err("only one document is read".to_owned()),
            Event::Alias(_) => builder.alias(mark),
            Event::Scalar(text, style, _, _) => {
                builder.scalar(mark, text.into_owned(), style != ScalarStyle::Plain);
                Ok(())
            }
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
    builder.finish(error)
}
