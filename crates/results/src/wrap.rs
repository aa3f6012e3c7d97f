//! Text in lines of a given width.

/// The text in lines of at most `width` columns, with `indent` spaces before all lines but the first; a word that is longer
/// has a line of its own. Without a width, and for a text without words, it is one line.
pub fn wrap(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let first_indent = text.len() - text.trim_start_matches(' ').len();
    let mut wrapped = " ".repeat(first_indent);
    let (mut column, mut begins_line) = (first_indent, true);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !begins_line && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            (column, begins_line) = (indent, true);
        }
        if !begins_line {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        (column, begins_line) = (column + length, false);
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        for (text, expected) in [
            ("", ""),
            ("short", "short"),
            ("one two three", "one two\n  three"),
            ("  one two", "  one\n  two"),
            ("a-word-that-is-too-long b", "a-word-that-is-too-long\n  b"),
            ("10µs 20µs", "10µs\n  20µs"),
        ] {
            assert_eq!(wrap(text, 2, Some(8)), expected, "{text}");
        }
        assert_eq!(wrap("one two three", 2, None), "one two three");
    }
}
