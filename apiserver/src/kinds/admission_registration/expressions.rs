//! Expressions are compiled when they are stored, against the names that they will be given: what is broken is refused then and
//! not with the first request.

use minik_api::field::{Error, Path};
use serde_json::Value;

use crate::cel::{Declaration, Kind, Program, Scalar, Typed};
use crate::kinds::read;

/// The names that everything sees that is asked about a request.
const ALWAYS: [&str; 3] = ["object", "oldObject", "request"];

/// What an expression may use.
#[derive(Debug, Default)]
pub(super) struct Scope {
    names: Vec<&'static str>,
    variables: Option<Variables>,
}

impl Scope {
    /// Of a webhook's conditions.
    pub(super) fn of_webhook() -> Self {
        let names = ALWAYS.into_iter().chain(["authorizer"]).collect();
        Self { names, variables: None }
    }

    /// Of a policy: `params` only if it has any, and the authorizer not for what is only told.
    pub(super) fn of_policy(spec: Option<&Value>, has_authorizer: bool) -> Self {
        let mut names = ALWAYS.to_vec();
        names.push("namespaceObject");
        if read::at(spec, "paramKind").is_some() {
            names.push("params");
        }
        if has_authorizer {
            names.push("authorizer");
        }
        Self { names, variables: None }
    }

    /// With these variables besides.
    pub(super) fn with_variables(mut self, variables: &[Value]) -> Self {
        let names = variables.iter().map(|one| read::text(one.get("name")).to_owned());
        self.variables = Some(Variables(names.collect()));
        self
    }

    /// Compiles an expression that there is; that it is missing is told elsewhere.
    pub(super) fn check(&self, source: &str, wanted: Kind, path: &Path, errors: &mut Vec<Error>) {
        let source = source.trim();
        if source.is_empty() {
            return;
        }
        let mut declared: Vec<_> = self.names.iter().map(|name| Declaration { name, of: None }).collect();
        if let Some(variables) = &self.variables {
            let of: Option<&dyn Typed> = Some(variables);
            declared.push(Declaration { name: "variables", of });
        }
        if let Err(why) = Program::compile(source, &declared, wanted) {
            errors.push(Error::invalid(path, source, format!("compilation failed: {why}")));
        }
    }
}

/// The names that are there, of values that nobody knows yet.
#[derive(Debug)]
struct Variables(Vec<String>);

impl Typed for Variables {
    fn field(&self, name: &str) -> Option<&dyn Typed> {
        self.0.iter().any(|one| one == name).then_some(&Anything as &dyn Typed)
    }

    fn items(&self) -> Option<&dyn Typed> {
        None
    }

    fn scalar(&self) -> Scalar {
        Scalar::Plain
    }

    fn kind(&self) -> Kind {
        Kind::Fields
    }
}

#[derive(Debug)]
struct Anything;

impl Typed for Anything {
    fn field(&self, _name: &str) -> Option<&dyn Typed> {
        None
    }

    fn items(&self) -> Option<&dyn Typed> {
        None
    }

    fn scalar(&self) -> Scalar {
        Scalar::Plain
    }

    fn kind(&self) -> Kind {
        Kind::Any
    }
}
