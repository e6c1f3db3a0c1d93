//! A place inside a body while it is walked: frames on the stack, made into text only when something is wrong there.

use std::fmt;

/// One step of the way, pointing back at those before it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Bracket(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(crate) const ROOT: Place<'static> = Place {
        parent: None,
        step: Step::Root,
    };

    pub(crate) fn field(&'a self, name: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// The entry of a map; Go's decoder doesn't tell it.
    pub(crate) fn key(&'a self, key: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// The same, as rules tell it: `labels[app]`.
    pub(crate) fn bracket(&'a self, key: &'a str) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Bracket(key),
        }
    }

    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        Place {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    /// The names alone, as Go's decoder tells a place: `spec.containers.ports`.
    pub(super) fn names(&self) -> String {
        let mut names = Vec::new();
        let mut place = Some(self);
        while let Some(here) = place {
            if let Step::Field(name) = here.step {
                names.push(name);
            }
            place = here.parent;
        }
        names.reverse();
        names.join(".")
    }
}

/// With indices: `spec.containers[0].ports`.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        write!(f, "{parent}")?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if matches!(parent.step, Step::Root) => f.write_str(name),
            Step::Field(name) | Step::Key(name) => write!(f, ".{name}"),
            Step::Bracket(key) => write!(f, "[{key}]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
