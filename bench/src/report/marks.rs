//! The generated parts of a page that is otherwise written by hand.

/// The begin of a part.
fn begin(name: &str) -> String {
    format!("<!-- generated: {name} -->")
}

/// The end of any part.
const END: &str = "<!-- end -->";

/// The page with the named part replaced; none when the page has no such part, or it has no end.
pub fn replace(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = begin(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{}\n{END}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_part_changes() {
        let page =
            "# Title\nby hand\n<!-- generated: a -->\nold\n<!-- end -->\nmore\n<!-- generated: b -->\n<!-- end -->\n";
        let new = replace(page, "a", "new\n").expect("there is one");
        assert_eq!(
            new,
            "# Title\nby hand\n<!-- generated: a -->\nnew\n<!-- end -->\nmore\n<!-- generated: b -->\n<!-- end -->\n"
        );
        assert_eq!(replace(&new, "a", "new").as_deref(), Some(new.as_str()), "again changes nothing");
    }

    #[test]
    fn a_page_without_the_part_is_left_alone() {
        assert_eq!(replace("# Title\n", "a", "new"), None);
        assert_eq!(replace("<!-- generated: a -->\nno end", "a", "new"), None);
    }
}
