//! Kubernetes' named formats: `!format.dns1123Label().validate(self.name).hasValue()`.

use minik_api::names;

use super::Maybe;
use crate::cel::value::Value;
use crate::customs::schema::has_format;

/// A named format, and what it says is wrong with a text.
#[derive(Debug)]
pub(crate) struct Format {
    pub(in crate::cel) name: &'static str,
    check: fn(&str) -> Vec<String>,
}

/// What is generated ends in a letter or digit, so a prefix may end in a dash.
fn prefix(text: &str, rule: fn(&str) -> Vec<String>) -> Vec<String> {
    rule(
        &text
            .strip_suffix('-')
            .map_or_else(|| text.to_owned(), |head| format!("{head}a")),
    )
}

fn checked(format: &'static str, text: &str, said: &str) -> Vec<String> {
    if has_format(format, text) {
        Vec::new()
    } else {
        vec![said.to_owned()]
    }
}

static FORMATS: [Format; 12] = [
    Format {
        name: "dns1123Label",
        check: names::label,
    },
    Format {
        name: "dns1123Subdomain",
        check: names::subdomain,
    },
    Format {
        name: "dns1035Label",
        check: names::label_1035,
    },
    Format {
        name: "qualifiedName",
        check: names::qualified,
    },
    Format {
        name: "labelValue",
        check: names::label_value,
    },
    Format {
        name: "dns1123LabelPrefix",
        check: |text| prefix(text, names::label),
    },
    Format {
        name: "dns1123SubdomainPrefix",
        check: |text| prefix(text, names::subdomain),
    },
    Format {
        name: "dns1035LabelPrefix",
        check: |text| prefix(text, names::label_1035),
    },
    Format {
        name: "uri",
        check: |text| checked("uri", text, "invalid URI"),
    },
    Format {
        name: "uuid",
        check: |text| checked("uuid", text, "does not match the UUID format"),
    },
    Format {
        name: "byte",
        check: |text| checked("byte", text, "invalid base64"),
    },
    Format {
        name: "datetime",
        check: |text| checked("datetime", text, "invalid datetime"),
    },
];

/// The format of this name.
pub(super) fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// `format.dns1123Label()`, `format.named("dns1123Label")`
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    Ok(match (name, values) {
        ("named", [Value::Text(text)]) => Some(match named(text) {
            Some(format) => Value::some(Value::Format(format)),
            None => Value::Optional(None),
        }),
        (name, []) => named(name).map(Value::Format),
        _ => None,
    })
}

/// What is wrong with a text, or nothing.
pub(super) fn validate<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let ("validate", [Value::Format(format), Value::Text(text)]) = (name, values) else {
        return Ok(None);
    };
    let broken = (format.check)(text);
    Ok(Some(match broken.is_empty() {
        true => Value::Optional(None),
        false => Value::some(Value::list(
            broken.iter().map(|sentence| Value::text(sentence)).collect(),
        )),
    }))
}
