//! Characters of a GIFT text, which know whether they were escaped and on which line they stand.

use crate::import::collect::clean;

/// The most characters between the percent signs of a weight.
const WEIGHT_CHARS_MAX: usize = 12;

#[derive(Clone, Copy, Debug)]
pub(super) struct Ch {
    pub(super) c: char,
    /// An escaped character means only itself.
    pub(super) escaped: bool,
    pub(super) line: usize,
}

/// How the texts of a question are marked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Markup {
    Plain,
    Html,
}

/// Adds a line to a block, which takes at most `chars_max` characters.
pub(super) fn push_line(block: &mut Vec<Ch>, text: &str, line: usize, chars_max: usize) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if block.len() == chars_max {
            return;
        }
        let escaped = if c == '\\' { chars.peek().and_then(|&next| unescaped(next)) } else { None };
        if escaped.is_some() {
            chars.next();
        }
        block.push(Ch { c: escaped.unwrap_or(c), escaped: escaped.is_some(), line });
    }
    block.push(Ch { c: '\n', escaped: false, line });
}

fn unescaped(c: char) -> Option<char> {
    match c {
        '~' | '=' | '#' | '{' | '}' | ':' | '\\' => Some(c),
        'n' => Some('\n'),
        _ => None,
    }
}

fn is_space(ch: &Ch) -> bool {
    ch.c.is_whitespace() && !ch.escaped
}

pub(super) fn trim(text: &[Ch]) -> &[Ch] {
    let start = text.iter().position(|ch| !is_space(ch)).unwrap_or(text.len());
    let end = text.iter().rposition(|ch| !is_space(ch)).map_or(start, |last| last + 1);
    &text[start..end]
}

pub(super) fn starts_with(text: &[Ch], what: &str) -> bool {
    let mut chars = text.iter();
    what.chars().all(|c| chars.next().is_some_and(|ch| ch.c == c && !ch.escaped))
}

/// Where `what` stands, with none of it escaped.
pub(super) fn find(text: &[Ch], what: &str) -> Option<usize> {
    (0..text.len()).find(|&at| starts_with(&text[at..], what))
}

/// The text up to `what`, or all of it.
pub(super) fn until<'a>(text: &'a [Ch], what: &str) -> &'a [Ch] {
    find(text, what).map_or(text, |end| &text[..end])
}

/// The markup that a `[html]` and the like says, and the rest.
pub(super) fn markup(text: &[Ch]) -> (Markup, &[Ch]) {
    let text = trim(text);
    for (word, markup) in [
        ("[html]", Markup::Html),
        ("[moodle]", Markup::Plain),
        ("[plain]", Markup::Plain),
        ("[markdown]", Markup::Plain),
    ] {
        if starts_with(text, word) {
            return (markup, &text[word.len()..]);
        }
    }
    (Markup::Plain, text)
}

/// The weight in percent signs at the start, and the rest.
pub(super) fn weight(text: &[Ch]) -> (Option<f64>, &[Ch]) {
    let text = trim(text);
    if !starts_with(text, "%") {
        return (None, text);
    }
    let inner = &text[1..];
    let end = inner.iter().take(WEIGHT_CHARS_MAX).position(|ch| ch.c == '%');
    let number = end.and_then(|end| {
        let digits: String = inner[..end].iter().map(|ch| ch.c).collect();
        digits.trim().parse::<f64>().ok().filter(|weight| weight.is_finite())
    });
    match (number, end) {
        (Some(weight), Some(end)) => (Some(weight), &inner[end + 1..]),
        _ => (None, text),
    }
}

/// The text as players see it: line ends are spaces but for those written as `\n`, markup is gone.
pub(super) fn shown(text: &[Ch], markup: Markup) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text {
        if is_space(ch) {
            if !out.ends_with([' ', '\n']) {
                out.push(' ');
            }
        } else {
            out.push(ch.c);
        }
    }
    match markup {
        Markup::Plain => clean(&out),
        Markup::Html => clean(&without_tags(&out)),
    }
}

/// Tags dropped, and the entities that editors write decoded. For reading, not for safety: pages
/// escape what they show.
fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match rest.find('>').filter(|_| is_tag) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    // The ampersand last, so that nothing is decoded twice.
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (entity, plain)| text.replace(entity, plain))
}
