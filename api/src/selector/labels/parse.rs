//! The grammar of label selectors, and what is said about a text that breaks it: both are apimachinery's `labels.Parse`,
//! since clients show the sentence.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = key | "!" key | key ("=" | "==" | "!=" | ">" | "<") [ value ] | key ("in" | "notin") "(" values ")"
//! ```

use std::collections::BTreeSet;

use super::{Operator, Requirement};
use crate::names;
use crate::selector::InvalidSelector;

/// What makes an operator or bracket; everything else that isn't space is part of a word.
const SPECIAL: &str = "=!(),><";
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Reads all requirements.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, InvalidSelector> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            "" => return Ok(requirements),
            token if token == "!" || is_word(token) => {}
            token => {
                let expected = "!, identifier, or 'end of string'";
                return Err(syntax(token, expected));
            }
        }
        requirements.push(parser.requirement().map_err(InvalidSelector::in_requirement)?);
        match parser.next() {
            "" => return Ok(requirements),
            "," => {
                let after = parser.peek();
                if after != "!" && !is_word(after) {
                    return Err(syntax(after, "identifier after ','"));
                }
            }
            other => return Err(syntax(other, "',' or 'end of string'")),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// The next token; empty at the end.
    fn next(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = token_end(rest);
        self.rest = &rest[end..];
        &rest[..end]
    }

    fn peek(&self) -> &'a str {
        let rest = self.rest.trim_start();
        &rest[..token_end(rest)]
    }

    fn requirement(&mut self) -> Result<Requirement, InvalidSelector> {
        let mut key = self.next();
        let negated = key == "!";
        if negated {
            key = self.next();
        }
        if !is_word(key) {
            return Err(syntax(key, "identifier"));
        }
        if let Some(rule) = joined(names::qualified(key)) {
            return Err(InvalidSelector::value("<nil>", key, rule));
        }
        let operator = match self.peek() {
            "" | "," if negated => Operator::DoesNotExist,
            "" | "," => Operator::Exists,
            _ => self.operator(key)?,
        };
        Ok(Requirement {
            key: key.to_owned(),
            operator,
        })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, InvalidSelector> {
        let sign = self.next();
        let values = match sign {
            "in" | "notin" => self.values()?,
            "=" | "==" | "!=" | ">" | "<" => self.value()?,
            other => return Err(syntax(other, OPERATORS)),
        };
        if [">", "<"].contains(&sign) {
            let bound = values[0].parse().map_err(|_| {
                let rule = "for 'Gt', 'Lt' operators, the value must be an integer".to_owned();
                InvalidSelector::value("values[0]", &values[0], rule)
            })?;
            return Ok(if sign == ">" {
                Operator::Gt(bound)
            } else {
                Operator::Lt(bound)
            });
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(rule) = joined(names::label_value(value)) {
                return Err(InvalidSelector::value(&format!("values[{index}][{key}]"), value, rule));
            }
        }
        let is_in = ["in", "=", "=="].contains(&sign);
        Ok(if is_in {
            Operator::In(values)
        } else {
            Operator::NotIn(values)
        })
    }

    fn value(&mut self) -> Result<Vec<String>, InvalidSelector> {
        match self.peek() {
            "" | "," => Ok(vec![String::new()]),
            token if is_word(token) => Ok(vec![self.next().to_owned()]),
            token => Err(syntax(token, "identifier")),
        }
    }

    /// `(a, b)`; nothing between commas is the empty value.
    fn values(&mut self) -> Result<Vec<String>, InvalidSelector> {
        let open = self.next();
        if open != "(" {
            return Err(InvalidSelector::Syntax(format!("found '{open}' expected: '('")));
        }
        let mut values = BTreeSet::new();
        let mut value = "";
        loop {
            match self.next() {
                ")" => {
                    values.insert(value.to_owned());
                    return Ok(values.into_iter().collect());
                }
                "," => {
                    values.insert(std::mem::take(&mut value).to_owned());
                }
                token if is_word(token) && value.is_empty() => value = token,
                token if values.is_empty() && value.is_empty() => {
                    return Err(syntax(token, "',', ')' or identifier"));
                }
                token => return Err(syntax(token, "',' or ')'")),
            }
        }
    }
}

/// Where the token ends that a text without leading space begins with. Signs are as long as they can be: `==`, not `=` twice.
fn token_end(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    if !SPECIAL.contains(first) {
        return rest
            .find(|c: char| c.is_whitespace() || SPECIAL.contains(c))
            .unwrap_or(rest.len());
    }
    let signs = ["==", "!="];
    if signs.iter().any(|sign| rest.starts_with(sign)) {
        2
    } else {
        1
    }
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|first| !SPECIAL.contains(first))
}

fn syntax(found: &str, expected: &str) -> InvalidSelector {
    InvalidSelector::Syntax(format!("found '{found}', expected: {expected}"))
}

fn joined(rules: Vec<String>) -> Option<String> {
    (!rules.is_empty()).then(|| rules.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_texts_are_explained_in_upstreams_words() {
        let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
            alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
            '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        for (text, sentence) in [
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            (
                "a~b c",
                &*format!("unable to parse requirement: <nil>: Invalid value: \"a~b\": {name}"),
            ),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("!=a", "found '!=', expected: !, identifier, or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be \
                 an integer",
            ),
        ] {
            assert_eq!(requirements(text).expect_err(text).to_string(), sentence, "{text}");
        }
    }
}
