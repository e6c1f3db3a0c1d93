//! What admission reads again and again, kept ready: configurations by their revisions, and expressions compiled once.
//!
//! An expression compiles to the same program whoever wrote it and whenever, so programs are found by their text.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minik_api::object::Object;

use crate::cel::{Declaration, Kind, Program};
use crate::storage::{Revision, Store};

/// Every name that an expression of admission may use, where it is given to it. Which may be used where is checked when the
/// expression is stored.
pub(super) const NAMES: [&str; 7] = [
    "object",
    "oldObject",
    "request",
    "params",
    "namespaceObject",
    "authorizer",
    "variables",
];
/// Beyond this many programs all are forgotten: who changes policies all the time doesn't fill the memory.
const PROGRAMS_MAX: usize = 10_000;

/// An expression that compiles, or why it doesn't.
pub(super) type Compiled = Result<Program, String>;

type Programs = HashMap<Box<str>, Arc<Compiled>>;
type Decoded = BTreeMap<String, (Revision, Arc<Object>)>;

/// What is kept.
#[derive(Default)]
pub(crate) struct Expressions {
    programs: Mutex<HashMap<Kind, Programs>>,
    objects: Mutex<HashMap<&'static str, Decoded>>,
}

impl Expressions {
    /// The program of an expression whose value is to be of this kind.
    pub(super) fn program(&self, source: &str, wanted: Kind) -> Arc<Compiled> {
        if let Some(known) = locked(&self.programs).get(&wanted).and_then(|known| known.get(source)) {
            return Arc::clone(known);
        }
        // Not under the lock: compiling takes its time, and to do it twice does no harm.
        let declared = NAMES.map(|name| Declaration { name, of: None });
        let compiled = Arc::new(Program::compile(source, &declared, wanted));
        let mut programs = locked(&self.programs);
        let known = programs.entry(wanted).or_default();
        if known.len() >= PROGRAMS_MAX {
            known.clear();
        }
        known.insert(source.into(), Arc::clone(&compiled));
        compiled
    }

    /// All objects of a cluster's resource in the order of their names, decoded once for each revision.
    pub(super) fn objects(&self, store: &Store, resource: &'static str) -> Vec<Arc<Object>> {
        let snapshot = store.snapshot(resource);
        let mut stored = snapshot.objects(resource, "", None).peekable();
        if stored.peek().is_none() {
            return Vec::new();
        }
        let mut all = locked(&self.objects);
        let known = all.entry(resource).or_default();
        let mut now = Decoded::new();
        let mut objects = Vec::new();
        for stored in stored {
            let name = stored.key.name();
            let decoded = match known.remove(name) {
                Some((revision, object)) if revision == stored.revision => object,
                _ => Arc::new(stored.object()),
            };
            objects.push(Arc::clone(&decoded));
            now.insert(name.to_owned(), (stored.revision, decoded));
        }
        *known = now;
        objects
    }
}

/// Nothing in here is left half done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_compiled_once() {
        let expressions = Expressions::default();
        let program = |source: &str| expressions.program(source, Kind::Bool);
        assert!(Arc::ptr_eq(&program("object.a == 1"), &program("object.a == 1")));
        assert!(!Arc::ptr_eq(&program("object.a == 1"), &program("object.a == 2")));
        assert!(program("other.a == 1").is_err());
        assert!(program("size(object.a)").is_err());
        assert!(expressions.program("size(object.a)", Kind::Any).is_ok());
    }
}
