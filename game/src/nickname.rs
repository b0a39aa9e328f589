//! Nicknames: what a player may be called, and which two names are the same.
//!
//! A nickname is shown to a whole room, so a name may not hide (zero-width characters), turn the
//! text around it (bidi controls) or climb out of its line (stacks of combining marks).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The most characters of a nickname; combining marks and variation selectors do not count.
pub const NICKNAME_CHARS_MAX: usize = 24;

/// The most combining marks on one character.
pub const MARKS_MAX: usize = 3;

/// The most bytes of a raw nickname that are looked at.
pub const NICKNAME_BYTES_MAX: usize = 512;

/// Why a text is not a nickname.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NicknameError {
    /// Nothing is left of it after trimming.
    #[error("the nickname is empty")]
    Empty,
    /// It has more than [`NICKNAME_CHARS_MAX`] characters.
    #[error("the nickname has more than 24 characters")]
    TooLong,
    /// It holds a control, bidi, zero-width, private or unassigned-for-ever character.
    #[error("the nickname holds a character that cannot be shown")]
    Character,
    /// A combining mark stands alone, or more than [`MARKS_MAX`] are stacked.
    #[error("the nickname stacks combining marks")]
    Marks,
}

/// The nickname as it is shown: NFKC, trimmed, runs of white space made one space.
///
/// # Errors
/// See [`NicknameError`].
pub fn normalise(raw: &str) -> Result<String, NicknameError> {
    if raw.len() > NICKNAME_BYTES_MAX {
        return Err(NicknameError::TooLong);
    }
    if raw.chars().any(|c| is_forbidden(c) && !c.is_whitespace()) {
        return Err(NicknameError::Character);
    }
    let name = one_spaced(raw.nfkc());
    if name.chars().any(is_forbidden) {
        return Err(NicknameError::Character);
    }
    check_marks(&name)?;
    match name.chars().filter(|&c| !is_mark(c)).count() {
        0 => Err(NicknameError::Empty),
        1..=NICKNAME_CHARS_MAX => Ok(name),
        _ => Err(NicknameError::TooLong),
    }
}

/// What two spellings of the same name share: NFKC, case folded, white space made one space,
/// variation selectors gone, letters of other scripts that look like Latin ones made Latin: nobody may pass
/// for another on the board. Defined for every text, also one that is no nickname.
#[must_use]
pub fn key(name: &str) -> String {
    // Upper first: it spreads what has one lower-case form and several readings (ß, ς, ſ).
    let upper = name.nfkc().flat_map(char::to_uppercase);
    let lower = upper.flat_map(char::to_lowercase).filter(|&c| !is_variation_selector(c));
    one_spaced(lower.nfkc().map(latin_twin).nfkc())
}

/// The small Latin letter that a small letter of another script cannot be told from; else the letter itself.
fn latin_twin(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' => 'a',
        'ь' | 'в' | 'β' => 'b',
        'с' | 'ϲ' | 'ᴄ' => 'c',
        'ԁ' | 'ɗ' => 'd',
        'е' | 'ε' | 'ҽ' => 'e',
        'ɡ' => 'g',
        'н' | 'һ' | 'η' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' | 'ϳ' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' | 'ǀ' => 'l',
        'м' | 'μ' => 'm',
        'ո' => 'n',
        'о' | 'ο' | 'օ' | 'σ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' | 'գ' => 'q',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' | 'ѡ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'ү' | 'γ' => 'y',
        'ζ' => 'z',
        _ => c,
    }
}

fn one_spaced(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in chars {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.push(c);
    }
    out
}

fn check_marks(name: &str) -> Result<(), NicknameError> {
    // A mark at the start, or behind a space, has nothing to stand on.
    let mut stacked = MARKS_MAX;
    for c in name.chars() {
        stacked = match (is_mark(c), c) {
            (true, _) => stacked + 1,
            (false, ' ') => MARKS_MAX,
            (false, _) => 0,
        };
        if stacked > MARKS_MAX {
            return Err(NicknameError::Marks);
        }
    }
    Ok(())
}

fn is_mark(c: char) -> bool {
    is_combining_mark(c) || is_variation_selector(c)
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// Controls, bidi controls, zero-width and other invisible characters, private use, noncharacters.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_shown_in_one_form() {
        for (raw, shown) in [
            ("Ada", "Ada"),
            ("  Ada \t Lovelace\n", "Ada Lovelace"),
            ("Ａｄａ", "Ada"),
            ("Zoe\u{308}", "Zoë"),
            ("李雷", "李雷"),
            ("❤\u{fe0f}", "❤\u{fe0f}"),
            ("عمر", "عمر"),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(shown), "{raw:?}");
        }
    }

    #[test]
    fn names_that_hide_or_climb_are_refused() {
        let long = "x".repeat(NICKNAME_CHARS_MAX + 1);
        let longest = "x".repeat(NICKNAME_CHARS_MAX);
        assert_eq!(normalise(&longest), Ok(longest.clone()));
        for (raw, error) in [
            ("", NicknameError::Empty),
            (" \u{3000} ", NicknameError::Empty),
            (long.as_str(), NicknameError::TooLong),
            ("A\u{200b}da", NicknameError::Character),
            ("A\u{202e}da", NicknameError::Character),
            ("A\u{0}da", NicknameError::Character),
            ("\u{3164}", NicknameError::Character),
            ("\u{feff}Ada", NicknameError::Character),
            ("a\u{301}\u{302}\u{303}\u{304}\u{305}", NicknameError::Marks),
            ("\u{301}", NicknameError::Marks),
        ] {
            assert_eq!(normalise(raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn spellings_of_one_name_share_a_key() {
        for (left, right) in [
            ("Ada", "aDA"),
            ("STRASSE", "straße"),
            ("Ａda", "ada"),
            ("ΟΔΟΣ", "οδος"),
            ("Zoë", "zoe\u{308}"),
            ("❤", "❤\u{fe0f}"),
            ("a  b", "A B"),
            ("Ada", "А\u{501}\u{430}"),
            ("HOST", "НΟЅТ"),
            ("paypal", "раураӏ"),
        ] {
            assert_eq!(key(left), key(right), "{left:?} {right:?}");
        }
        assert_ne!(key("Ada"), key("Adam"));
        assert_ne!(key("Zoë"), key("Zoe"));
        // Names of other scripts stay apart from each other.
        assert_ne!(key("Соня"), key("Соф"));
        assert_ne!(key("Борис"), key("Бориш"));
    }

    proptest! {
        #[test]
        fn a_normalised_name_stays_as_it_is_and_keeps_its_key(raw in "\\PC{0,30}") {
            if let Ok(name) = normalise(&raw) {
                prop_assert_eq!(normalise(&name), Ok(name.clone()));
                prop_assert_eq!(key(&name), key(&raw));
                prop_assert_eq!(key(&key(&name)), key(&name));
                prop_assert!(name.trim() == name && !name.contains("  "));
            }
        }

        #[test]
        fn case_does_not_tell_names_apart(raw in "[a-zA-Zà-ÿÀ-ßα-ωΑ-Ωа-яА-Я ]{1,20}") {
            prop_assert_eq!(key(&raw.to_uppercase()), key(&raw));
            prop_assert_eq!(key(&raw.to_lowercase()), key(&raw));
        }
    }
}
