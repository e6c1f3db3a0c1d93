//! Label and field selectors; a parsed selector only decides, it reads nothing itself.

mod fields;
mod labels;

pub use fields::{FieldRequirement, Fields};
pub use labels::{Labels, Operator, Requirement};

/// The text or structure is no selector; the sentences are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// The grammar is broken.
    #[error("{0}")]
    Syntax(String),
    /// A key or value that no label can have.
    #[error("{at}: Invalid value: {text:?}: {rule}")]
    Value {
        /// `<nil>` for a key, `values[0]`.
        at: String,
        /// As it stands there.
        text: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// An operator that isn't known, or has too many or too few values.
    #[error("{0:?} is not a valid label selector operator with these values")]
    Operator(String),
    /// One of several requirements is broken.
    #[error("unable to parse requirement: {0}")]
    Requirement(Box<InvalidSelector>),
}

impl InvalidSelector {
    fn value(at: &str, text: &str, rule: String) -> Self {
        Self::Value {
            at: at.to_owned(),
            text: text.to_owned(),
            rule,
        }
    }

    fn in_requirement(self) -> Self {
        Self::Requirement(Box::new(self))
    }
}
