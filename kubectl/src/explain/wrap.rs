//! Wrapping text at words, as kubectl's descriptions are.

/// Breaks lines before the word that would go beyond `width`; a word that is longer than that stays whole, on a line of its own, and the
/// blanks where a line is broken go.
#[must_use]
pub(super) fn wrap(width: usize, text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| wrap_line(width, line)).collect();
    lines.join("\n")
}

fn wrap_line(width: usize, line: &str) -> String {
    let mut wrapped = String::with_capacity(line.len() + line.len() / width.max(1));
    let (mut at, mut rest) = (0, line);
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start().len();
        let (blanks, behind) = rest.split_at(blank);
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        let (word, behind) = behind.split_at(end);
        rest = behind;
        let (gap, length) = (blanks.chars().count(), word.chars().count());
        if length > 0 && at + gap + length > width && (length < width || at + gap > 1) {
            wrapped.push('\n');
            wrapped.push_str(word);
            at = length;
        } else if length > 0 || at + gap <= width {
            wrapped.push_str(blanks);
            wrapped.push_str(word);
            at += gap + length;
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrap(9, "one two three"), "one two\nthree");
        assert_eq!(wrap(7, "one two\nthree"), "one two\nthree");
        assert_eq!(wrap(3, "ab abcdefgh cd"), "ab\nabcdefgh\ncd");
        assert_eq!(wrap(10, "a\n\nb\n"), "a\n\nb\n");
    }
}
