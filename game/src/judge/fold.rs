//! How texts are compared: as a kind quizmaster would.

use unicode_normalization::UnicodeNormalization;

/// The text without what does not make it another answer: case, accents, the form of its characters
/// (`ﬁ` is `fi`, `ß` is `ss`, a curly apostrophe is a straight one), invisible characters, and white
/// space but for one blank between words.
///
/// Marks that make another word are kept: the vowel signs of Indic scripts, the voicing of kana.
/// Folding a folded text changes nothing.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return collapse(text, |word, out| out.extend(word.chars().map(|c| straighten(c.to_ascii_lowercase()))));
    }
    // Upper case on the way to lower case makes one of `ß` and `ss`, and of the two small sigmas;
    // lower case before it, of the capital `ẞ` and the small one. A case mapping may bring marks
    // back, so they are taken off after it.
    let lower = text.nfkd().flat_map(char::to_lowercase);
    let cased: String = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    let plain: String = cased.nfkd().filter(|c| !is_dropped(*c)).map(straighten).nfc().collect();
    collapse(&plain, |word, out| out.push_str(word))
}

fn collapse(text: &str, push: impl Fn(&str, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        push(word, &mut out);
    }
    out
}

/// Marks that readers of their script leave out, and characters that nobody sees.
fn is_dropped(c: char) -> bool {
    matches!(c,
        // Accents of Latin, Greek and Cyrillic, and marks for symbols.
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        // Points of Hebrew.
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        // Vowels and signs over Arabic.
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        // Soft hyphen, joiners, direction marks, variation selectors, byte order mark.
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// What phones type in place of the plain character.
fn straighten(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' | '\u{b4}' | '`' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_a_quizmaster_takes_for_the_same_fold_to_the_same() {
        for (typed, folded) in [
            ("  New\t York \n", "new york"),
            ("Zürich", "zurich"),
            ("Zu\u{308}rich", "zurich"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσευσ"),
            ("Οδυσσεύς", "οδυσσευσ"),
            ("ﬁnal", "final"),
            ("İstanbul", "istanbul"),
            ("Ｔｏｋｙｏ", "tokyo"),
            ("𝐇𝟐𝐎", "h2o"),
            ("H₂O", "h2o"),
            ("it\u{2019}s", "it's"),
            ("Jean\u{2010}Paul", "jean-paul"),
            ("naïve\u{a0}Bayes", "naive bayes"),
            ("co\u{ad}operate", "cooperate"),
            ("שָׁלוֹם", "שלום"),
            ("서울", "서울"),
            ("", ""),
            (" \u{301}", ""),
        ] {
            assert_eq!(fold(typed), folded, "{typed:?}");
        }
    }

    #[test]
    fn marks_that_make_another_word_are_kept() {
        assert_ne!(fold("कि"), fold("की"));
        assert_ne!(fold("が"), fold("か"));
    }
}
