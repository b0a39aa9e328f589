//! Which format a text is in.

use super::Format;

impl Format {
    /// The format that a file's name says, or else what the text looks like; none when neither tells.
    #[must_use]
    pub fn from_path_and_text(path: &str, text: &str) -> Option<Format> {
        let path = path.to_ascii_lowercase();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        match name.rsplit('.').next() {
            Some("yaml" | "yml") => Some(Format::Yaml),
            Some("json") => Some(Format::Json),
            Some("gift") => Some(Format::Gift),
            _ if name.ends_with(".gift.txt") => Some(Format::Gift),
            _ => Format::from_text(text),
        }
    }

    fn from_text(text: &str) -> Option<Format> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let is_key =
            |line: &str, key: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
        if text.lines().any(|line| is_key(line, "questions")) || text.starts_with("- type:") {
            return Some(Format::Yaml);
        }
        if text.starts_with(['{', '[']) && text.contains("\"prompt\"") {
            return Some(Format::Json);
        }
        let answers = text.split_once('{').map(|(_, rest)| rest.trim_start());
        let gift = |answers: &str| {
            answers.starts_with(['=', '~', '#']) || answers.to_ascii_uppercase().starts_with(['T', 'F'])
        };
        answers.is_some_and(gift).then_some(Format::Gift)
    }
}
