//! The fields of one map: what is there, what is missing, what is misspelt.

use super::shown;
use crate::import::Mark;
use crate::import::node::{Key, Node, Value};

/// The longest key that a suggestion is made for, characters.
const SUGGESTED_CHARS_MAX: usize = 32;
/// How many letters a misspelling may be away.
const MISSPELT_MAX: usize = 2;

/// How many wrong keys of one map are told.
const WRONG_KEYS_MAX: usize = 50;

/// Words that other formats use for ours.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("question", "prompt"),
    ("text", "prompt"),
    ("name", "title"),
    ("kind", "type"),
    ("choices", "options"),
    ("answers", "answer"),
    ("correct", "answer"),
    ("solution", "answer"),
    ("time", "seconds"),
    ("time_limit", "seconds"),
    ("limit", "seconds"),
    ("score", "points"),
    ("feedback", "explanation"),
    ("margin", "tolerance"),
];

/// A map's fields and what is wrong with them.
pub(super) struct Fields<'a> {
    mark: Mark,
    fields: Vec<(&'a Key, &'a Node)>,
    wrong: Vec<(Mark, String)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(mark: Mark, pairs: &'a [(Key, Node)], known: &[&str]) -> Self {
        let mut fields = Self { mark, fields: Vec::new(), wrong: Vec::new() };
        for (key, node) in pairs {
            if fields.wrong.len() == WRONG_KEYS_MAX {
                fields.wrong(key.mark, "this and the following keys are not looked at".to_owned());
                break;
            }
            if !known.contains(&key.text.as_str()) {
                let guess = suggestion(&key.text, known);
                fields.wrong(key.mark, format!("the key {:?} is not known{guess}", key.text));
            } else if let Some((first, _)) = fields.fields.iter().find(|(first, _)| first.text == key.text) {
                let line = first.mark.line;
                fields.wrong(key.mark, format!("the key {:?} is there twice, first on line {line}", key.text));
            } else {
                fields.fields.push((key, node));
            }
        }
        fields
    }

    pub(super) fn wrong(&mut self, mark: Mark, reason: String) {
        self.wrong.push((mark, reason));
    }

    pub(super) fn finish(self) -> Vec<(Mark, String)> {
        self.wrong
    }

    /// A field's value; none when it is missing or says `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        let node = self.fields.iter().find(|(key, _)| key.text == name).map(|&(_, node)| node)?;
        let is_null = matches!(&node.value, Value::Scalar { text, quoted: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"));
        (!is_null).then_some(node)
    }

    pub(super) fn required(&mut self, name: &str) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            self.wrong(self.mark, format!("the key {name:?} is missing"));
        }
        node
    }

    /// A field that the kind of question does not have.
    pub(super) fn unexpected(&mut self, name: &str, reason: &str) {
        if let Some(node) = self.get(name) {
            self.wrong(node.mark, reason.to_owned());
        }
    }

    pub(super) fn scalar(&mut self, node: &Node) -> Option<String> {
        let text = shown(node);
        if text.is_none() {
            let found = match node.value {
                Value::Alias => "an alias, which is not followed",
                Value::List(_) => "a list",
                _ => "a map",
            };
            self.wrong(node.mark, format!("one value is expected here, not {found}"));
        }
        text
    }

    pub(super) fn text(&mut self, name: &str) -> Option<(Mark, String)> {
        let node = self.get(name)?;
        self.scalar(node).map(|text| (node.mark, text))
    }

    pub(super) fn required_text(&mut self, name: &str) -> Option<String> {
        let node = self.required(name)?;
        self.scalar(node)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<(Mark, f64)> {
        let (mark, text) = self.text(name)?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            self.wrong(mark, format!("{name} must be a number, not {text:?}"));
        }
        number.map(|number| (mark, number))
    }

    /// A list of values, or one value by itself.
    pub(super) fn scalars(&mut self, node: &'a Node) -> Option<Vec<(&'a Node, String)>> {
        let items = if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
        items.iter().map(|item| self.scalar(item).map(|text| (item, text))).collect()
    }
}

/// `; did you mean "…"?` when one of `known` is close to `word`, else nothing.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let word = word.to_lowercase();
    if word.chars().count() > SUGGESTED_CHARS_MAX {
        return String::new();
    }
    let other = OTHER_WORDS.iter().find(|(other, ours)| *other == word && known.contains(ours)).map(|(_, ours)| *ours);
    let close = || {
        let near = known.iter().map(|&candidate| (distance(&word, candidate), candidate)).min()?;
        (near.0 <= MISSPELT_MAX && near.0 < near.1.len()).then_some(near.1)
    };
    other.or_else(close).map_or_else(String::new, |guess| format!("; did you mean {guess:?}?"))
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (r, letter) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *letter);
            diagonal = row[r + 1];
            row[r + 1] = replaced.min(diagonal + 1).min(row[r] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_suggested() {
        let known = ["type", "prompt", "options", "answer", "seconds"];
        for (word, guess) in [
            ("promt", "prompt"),
            ("Option", "options"),
            ("question", "prompt"),
            ("correct", "answer"),
            ("time_limit", "seconds"),
            ("tpye", "type"),
        ] {
            assert_eq!(suggestion(word, &known), format!("; did you mean {guess:?}?"), "{word}");
        }
        for word in ["colour", "", "xy", "points"] {
            assert_eq!(suggestion(word, &known), "", "{word}");
        }
        assert_eq!(suggestion(&"t".repeat(40), &known), "");
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("a", "a")), (3, 3, 0));
    }
}
