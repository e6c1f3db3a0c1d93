//! Field errors: what is wrong at which place of an object, in the words that kubectl's users know.
//!
//! The shapes follow apimachinery's `validation/field`: `spec.containers[0].image: Required value`. All errors of an object
//! are gathered and sent together as the causes of one `Status` ([`crate::status::Status::invalid`]).

use std::fmt;

use serde_json::Value;

/// A place inside an object: `spec.containers[0].ports[1].name`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(String);

impl Path {
    /// The place named `name` at the top of the object.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            return Self::new(name);
        }
        Self(format!("{}.{name}", self.0))
    }

    /// The element at `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The entry `key` of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What is wrong; decides the cause's `reason` and the sentence's beginning.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// A value must be there.
    Required,
    /// The value is malformed or out of range.
    Invalid(Value),
    /// The same, when the value says less than the rule.
    InvalidWhole,
    /// The value is none of those supported.
    NotSupported(Value, Vec<String>),
    /// The value stands twice where it has to be unique.
    Duplicate(Value),
    /// A value may not be there, or not be changed.
    Forbidden,
    /// What the value refers to isn't there.
    NotFound(Value),
    /// Longer than the given number of bytes.
    TooLong(usize),
    /// More than the given number of items; the first is how many there are.
    TooMany(usize, usize),
    /// The value has the wrong type.
    TypeInvalid(Value),
}

impl Problem {
    /// The machine-readable `reason` of the cause (metav1.CauseType).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid(_) | Self::InvalidWhole => "FieldValueInvalid",
            Self::NotSupported(..) => "FieldValueNotSupported",
            Self::Duplicate(_) => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound(_) => "FieldValueNotFound",
            Self::TooLong(_) => "FieldValueTooLong",
            Self::TooMany(..) => "FieldValueTooMany",
            Self::TypeInvalid(_) => "FieldValueTypeInvalid",
        }
    }
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Where.
    pub path: Path,
    /// What.
    pub problem: Problem,
    /// The rule that was broken, for people; may be empty.
    pub detail: String,
}

impl Error {
    /// A value must be there.
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, Problem::Required, detail)
    }

    /// The value is malformed or out of range.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, Problem::Invalid(value.into()), detail)
    }

    /// The value is none of `supported`.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let supported = supported.iter().map(|&name| name.to_owned()).collect();
        Self::new(path, Problem::NotSupported(value.into(), supported), "")
    }

    /// The value stands twice where it has to be unique.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(path, Problem::Duplicate(value.into()), "")
    }

    /// A value may not be there, or not be changed.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, Problem::Forbidden, detail)
    }

    /// What the value refers to isn't there.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(path, Problem::NotFound(value.into()), "")
    }

    /// Longer than `limit` bytes.
    #[must_use]
    pub fn too_long(path: &Path, limit: usize) -> Self {
        Self::new(path, Problem::TooLong(limit), "")
    }

    /// More than `limit` items.
    #[must_use]
    pub fn too_many(path: &Path, count: usize, limit: usize) -> Self {
        Self::new(path, Problem::TooMany(count, limit), "")
    }

    /// Any problem at `path`.
    pub fn new(path: &Path, problem: Problem, detail: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            problem,
            detail: detail.into(),
        }
    }

    /// The sentence without the path, as it stands in `Status.details.causes[].message`.
    #[must_use]
    pub fn body(&self) -> String {
        let head = match &self.problem {
            Problem::Required => "Required value".to_owned(),
            Problem::Invalid(value) => format!("Invalid value: {}", shown(value)),
            Problem::InvalidWhole => "Invalid value".to_owned(),
            Problem::NotSupported(value, supported) => {
                let names: Vec<String> = supported.iter().map(|name| format!("\"{name}\"")).collect();
                format!(
                    "Unsupported value: {}: supported values: {}",
                    shown(value),
                    names.join(", ")
                )
            }
            Problem::Duplicate(value) => format!("Duplicate value: {}", shown(value)),
            Problem::Forbidden => "Forbidden".to_owned(),
            Problem::NotFound(value) => format!("Not found: {}", shown(value)),
            Problem::TooLong(limit) => format!("Too long: may not be more than {limit} bytes"),
            Problem::TooMany(count, limit) => format!("Too many: {count}: must have at most {limit} items"),
            Problem::TypeInvalid(value) => format!("Invalid value: {}", shown(value)),
        };
        if self.detail.is_empty() {
            head
        } else {
            format!("{head}: {}", self.detail)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// As Go's `%q` writes a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\x07'..='\x0d' => quoted.extend(['\\', char::from(b"abtnvfr"[letter as usize - 7])]),
            '\0'..='\x1f' | '\x7f' => quoted += &format!("\\x{:02x}", u32::from(letter)),
            _ if letter.is_control() => quoted += &format!("\\u{:04x}", u32::from(letter)),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_those_of_kubernetes() {
        let containers = Path::new("spec").child("containers");
        let image = containers.index(0).child("image");
        for (error, sentence) in [
            (Error::required(&image, ""), "spec.containers[0].image: Required value"),
            (
                Error::invalid(&Path::new("metadata").child("name"), "A", "must be lower case"),
                "metadata.name: Invalid value: \"A\": must be lower case",
            ),
            (
                Error::not_supported(
                    &Path::new("spec").child("restartPolicy"),
                    "Sometimes",
                    &["Always", "Never"],
                ),
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\"",
            ),
            (
                Error::invalid(&Path::new("data"), "a\"\\\n\u{7}\u{1}\u{85}ü", "no"),
                r#"data: Invalid value: "a\"\\\n\a\x01\u0085ü": no"#,
            ),
            (
                Error::duplicate(&containers.index(1).child("name"), "a"),
                "spec.containers[1].name: Duplicate value: \"a\"",
            ),
            (
                Error::invalid(
                    &containers.index(0).child("ports").index(0).child("containerPort"),
                    0,
                    "must be between 1 and 65535, inclusive",
                ),
                "spec.containers[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
        ] {
            assert_eq!(error.to_string(), sentence);
        }
    }
}
