//! Patterns of schemas and CEL's `matches`: RE2's syntax, which Kubernetes has, said to the regex crate.
//!
//! Both are automata without backtracking, so that a pattern takes time in proportion to the text. They differ in three things
//! that matter: `\d`, `\w`, `\s` and `\b` mean ASCII in RE2, and in its classes `[`, `&`, `~` and `-` stand for themselves.

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may take; one that takes more is refused.
const SIZE_LIMIT_BYTES: usize = 1 << 20;

/// Compiles a pattern.
///
/// # Errors
/// When it is no regular expression, or one that is too large.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Box<regex::Error>> {
    RegexBuilder::new(&translated(pattern))
        .size_limit(SIZE_LIMIT_BYTES)
        .nest_limit(100)
        .build()
        .map_err(Box::new)
}

fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(chars.next(), in_class, &mut out),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // The first bracket in a class stands for itself.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if chars.peek() == Some(&':') => out.push('['),
            ']' if in_class && out.ends_with(':') && has_open_name(&out) => out.push(']'),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Whether `[:name:` stands at the end.
fn has_open_name(out: &str) -> bool {
    let open = out.rfind("[:");
    open.is_some_and(|at| {
        let name = &out[at + 2..out.len() - 1];
        out.len() > at + 3 && name.chars().all(|c| c.is_ascii_lowercase() || c == '^')
    })
}

fn escape(escaped: Option<char>, in_class: bool, out: &mut String) {
    let plain = match (escaped, in_class) {
        (Some('d'), true) => "0-9",
        (Some('d'), false) => "[0-9]",
        (Some('D'), _) => "[^0-9]",
        (Some('w'), true) => "0-9A-Za-z_",
        (Some('w'), false) => "[0-9A-Za-z_]",
        (Some('W'), _) => "[^0-9A-Za-z_]",
        (Some('s'), true) => "\\t\\n\\f\\r ",
        (Some('s'), false) => "[\\t\\n\\f\\r ]",
        (Some('S'), _) => "[^\\t\\n\\f\\r ]",
        (Some('b'), false) => "(?-u:\\b)",
        // Not at a boundary: of ASCII words this can only be said bytewise, and of all words it is nearly the same.
        (Some('B'), false) => "\\B",
        (Some('Z'), false) => "\\z",
        (Some(other), _) => {
            out.push('\\');
            out.push(other);
            return;
        }
        (None, _) => "\\",
    };
    out.push_str(plain);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, text, matches) in [
            ("^[a-z]+$", "abc", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[[:alpha:]_]+$", "ab_", true),
            (r"^[a[&]+$", "a[&", true),
            (r"^[]a]+$", "]a", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^(?:(?:[0-9]|[1-9][0-9])\.){3}[0-9]$", "1.2.3.4", true),
        ] {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_refused() {
        for pattern in ["(", "[a", "a{1000}{1000}{1000}", &"(".repeat(10_000)] {
            assert!(compile(pattern).is_err(), "{pattern:.20}");
        }
    }
}
