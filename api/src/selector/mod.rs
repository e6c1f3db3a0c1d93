//! Label and field selectors; a parsed selector only decides, it reads nothing itself.

mod fields;
mod labels;

pub use fields::{FieldRequirement, Fields};
pub use labels::{Labels, Operator, Requirement};

/// The text or structure is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// The grammar is broken.
    #[error("unable to parse requirement: found '{found}', expected: {expected}")]
    Syntax {
        /// What stands there.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// A key or value that no label can have.
    #[error("unable to parse requirement: {what} {text:?}: {rule}")]
    Label {
        /// `key` or `values`
        what: &'static str,
        /// As it stands there.
        text: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// An operator that isn't known, or has too many or too few values.
    #[error("{0:?} is not a valid label selector operator with these values")]
    Operator(String),
}
