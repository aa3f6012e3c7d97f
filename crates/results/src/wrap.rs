//! Text in lines of a given width.

/// The text in lines of at most `width` columns, with `indent` spaces before all lines but the first; a word that is longer
/// has a line of its own. An interval (`0.90 .. 0.94`) and a number with its unit (`3 %`, `51 MiB`) count as a word. Without a width, and for a text without words, it is one line.
pub fn wrap(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let first_indent = text.len() - text.trim_start_matches(' ').len();
    let mut wrapped = " ".repeat(first_indent);
    let (mut column, mut begins_line) = (first_indent, true);
    for word in words(text) {
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
        wrapped.push_str(&word);
        (column, begins_line) = (column + length, false);
    }
    wrapped
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let is_number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit());
    for word in text.split_whitespace() {
        let belongs = |last: &String| {
            let is_unit = ["%", "KiB", "MiB", "GiB", "ms", "s"]
                .iter()
                .any(|unit| word.trim_end_matches(['.', ';', ':', ',', ')']) == *unit);
            word == ".." || last.ends_with(" ..") || is_unit && is_number(last)
        };
        match words.last_mut() {
            Some(last) if belongs(last) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.into()),
        }
    }
    words
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
            ("a (1 .. 2)", "a\n  (1 .. 2)"),
            ("under 51 MiB", "under\n  51 MiB"),
        ] {
            assert_eq!(wrap(text, 2, Some(8)), expected, "{text}");
        }
        assert_eq!(wrap("one two three", 2, None), "one two three");
    }
}
