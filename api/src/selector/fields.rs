//! Field selectors: `spec.nodeName=n1,status.phase!=Running`.
//!
//! The grammar is apimachinery's `fields.ParseSelector`.

use std::borrow::Cow;

use super::InvalidSelector;

/// Which fields an object must have; which fields can be asked for is each kind's own matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<FieldRequirement>);

/// One requirement on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// `spec.nodeName`
    pub path: String,
    /// The value that it has to have, or may not have.
    pub value: String,
    /// It has to have the value; otherwise it may not.
    pub equal: bool,
}

impl Fields {
    /// Reads `a=b,c!=d`; `\,`, `\=` and `\\` stand for themselves.
    ///
    /// # Errors
    /// When a part has no `=`, `==` or `!=`, or an escape that isn't one.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        let mut requirements = Vec::new();
        for part in split_unescaped(text).into_iter().filter(|part| !part.is_empty()) {
            let Some((path, value, equal)) = term(part) else {
                let message = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(InvalidSelector::Syntax(message));
            };
            requirements.push(FieldRequirement {
                path: path.to_owned(),
                value: unescape(value)?,
                equal,
            });
        }
        Ok(Self(requirements))
    }

    /// Whether an object is taken; `field` gives the text of a field, empty when it is absent.
    #[must_use]
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.0
            .iter()
            .all(|requirement| (field(&requirement.path) == requirement.value) == requirement.equal)
    }

    /// The same, of an object in which the fields have other names; `name` gives the other name of a field that has one.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(&str) -> Option<&'static str>) -> Self {
        for requirement in &mut self.0 {
            if let Some(other) = name(&requirement.path) {
                other.clone_into(&mut requirement.path);
            }
        }
        self
    }

    /// The same, and this field has to have this value.
    #[must_use]
    pub fn and(mut self, path: &str, value: &str) -> Self {
        self.0.push(FieldRequirement {
            path: path.to_owned(),
            value: value.to_owned(),
            equal: true,
        });
        self
    }

    /// The requirements, for those who check which fields are asked for, or use an index.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// Takes everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in text.char_indices() {
        if c == ',' && !escaped {
            parts.push(&text[start..index]);
            start = index + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Parts a term at its first `!=`, `==` or `=`.
fn term(part: &str) -> Option<(&str, &str, bool)> {
    let sign = part.char_indices().find_map(|(index, _)| {
        let signs = [("!=", false), ("==", true), ("=", true)];
        let (sign, equal) = signs.into_iter().find(|(sign, _)| part[index..].starts_with(sign))?;
        Some((index, sign, equal))
    });
    let (index, sign, equal) = sign?;
    Some((&part[..index], &part[index + sign.len()..], equal))
}

fn unescape(value: &str) -> Result<String, InvalidSelector> {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        out.push(match c {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => escaped,
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    let message = format!("invalid field selector: invalid escape sequence: {sequence}");
                    return Err(InvalidSelector::Syntax(message));
                }
            },
            // Upstream says which by its number.
            ',' | '=' => {
                let message = format!("invalid field selector: unescaped character in value: {}", u32::from(c));
                return Err(InvalidSelector::Syntax(message));
            }
            c => c,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn field_selectors_compare_text() {
        let field = |path: &str| {
            if path == "spec.nodeName" {
                Cow::Borrowed("n,1")
            } else {
                Cow::Borrowed("")
            }
        };
        for (text, taken) in [
            ("", true),
            ("spec.nodeName=n\\,1", true),
            ("spec.nodeName!=n2,status.phase=", true),
            ("status.phase==x", false),
        ] {
            assert_eq!(Fields::parse(text).expect(text).matches(field), taken, "{text}");
        }
        for (text, sentence) in [
            (
                "spec.nodeName",
                "invalid selector: 'spec.nodeName'; can't understand 'spec.nodeName'",
            ),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
        ] {
            assert_eq!(Fields::parse(text).expect_err(text).to_string(), sentence);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Fields::parse(&text);
        }
    }
}
