//! The rules of a schema (`x-kubernetes-validations`): CEL that has to be true of an object, or of its change.
//!
//! A rule sees the value that its schema is of as `self`, and what that was before as `oldSelf`, if it can be found again. All
//! rules of an object share one budget. The sentences are those of apiextensions' CEL validation.

use minik_api::field::{Error, Path, Problem};
use serde_json::Value;

use super::schema::{Additional, Items, Schema, Type};
use crate::cel::{self, Declaration, Failure, Kind, Program, Scalar, Typed};
use crate::decode::Place;

/// The longest message that an expression may make.
const MESSAGE_MAX_BYTES: usize = 5 * 1024;

/// A rule as it is written; it is compiled when its schema is complete.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) source: String,
    message: String,
    message_source: String,
    reason: String,
    /// Where below the value the error is told, without the leading dot.
    field_path: String,
    optional_old: bool,
    program: Option<Program>,
    message_program: Option<Program>,
    uses_old: bool,
}

/// The names of an expression.
const SELF: &str = "self";
const OLD: &str = "oldSelf";

impl Rule {
    /// As in a definition.
    pub(crate) fn read(rule: &Value) -> Self {
        let text = |name: &str| rule[name].as_str().unwrap_or_default().trim().to_owned();
        Self {
            source: text("rule"),
            message: text("message"),
            message_source: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath").trim_start_matches('.').to_owned(),
            optional_old: rule["optionalOldSelf"] == true,
            ..Self::default()
        }
    }

    /// Compiles the rule for values of this schema.
    ///
    /// # Errors
    /// What is wrong with the rule, and with its message expression.
    pub(crate) fn compile(&mut self, schema: &dyn Typed) -> Result<(), [Option<String>; 2]> {
        // What may be missing is asked for in other ways than what is there.
        let old = Some(schema).filter(|_| !self.optional_old);
        let declared = [
            Declaration {
                name: SELF,
                of: Some(schema),
            },
            Declaration { name: OLD, of: old },
        ];
        let program = Program::compile(&self.source, &declared, Kind::Bool);
        let message = match self.message_source.as_str() {
            "" => Ok(None),
            source => Program::compile(source, &declared, Kind::Text).map(Some),
        };
        match (program, message) {
            (Ok(program), Ok(message)) => {
                self.uses_old = program.uses(OLD);
                self.program = Some(program);
                self.message_program = message;
                Ok(())
            }
            (program, message) => Err([program.err(), message.err()]),
        }
    }

    /// Whether it is about a change.
    pub(crate) fn uses_old(&self) -> bool {
        self.uses_old
    }

    /// Whether it says that it can do without a value from before.
    pub(crate) fn has_optional_old(&self) -> bool {
        self.optional_old
    }
}

/// What the rules of a schema say to a value at `place`, in the place of `old`.
pub(super) fn judge(schema: &Schema, value: &Value, old: Option<&Value>, place: &Place<'_>) -> Vec<Error> {
    let mut judge = Judge {
        budget: cel::OBJECT_BUDGET,
        errors: Vec::new(),
    };
    judge.node(schema, value, old, place);
    judge.errors
}

struct Judge {
    /// 0: no rule is asked any more.
    budget: u64,
    errors: Vec<Error>,
}

impl Judge {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, place: &Place<'_>) {
        if !schema.has_rules || value.is_null() || self.budget == 0 {
            return;
        }
        for rule in &schema.rules {
            self.rule(schema, rule, value, old, place);
            if self.budget == 0 {
                return;
            }
        }
        match value {
            Value::Array(list) => {
                let Some(items) = &schema.items else { return };
                let before = Items::of(&schema.list, old);
                for (index, item) in list.iter().enumerate() {
                    self.node(items, item, before.find(item), &place.index(index));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let old = old.and_then(|old| old.get(name));
                    // A map that has one owner is replaced as a whole: its fields have no past of their own.
                    let old = old.filter(|_| !schema.atomic);
                    match (schema.properties.get(name), &schema.additional) {
                        (Some(field), _) => self.node(field, value, old, &place.field(name)),
                        (None, Additional::Each(each)) => self.node(each, value, old, &place.bracket(name)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, schema: &Schema, rule: &Rule, value: &Value, old: Option<&Value>, place: &Place<'_>) {
        let Some(program) = &rule.program else { return };
        if rule.uses_old && old.is_none() && !rule.optional_old {
            return;
        }
        let kind = schema.kind.map_or("", Type::name);
        let outcome = self.evaluate(schema, rule, program, value, old);
        let path = path(place);
        match outcome {
            Ok(cel::Value::Bool(true)) => {}
            Ok(_) => {
                // What an update leaves alone stays good.
                if !rule.uses_old && old == Some(value) {
                    return;
                }
                let message = self.message(schema, rule, value, old);
                self.errors.push(said(rule, &path, value, message));
            }
            Err(Failure::CostExceeded) if self.budget == 0 => {
                let said =
                    "validation failed due to running out of cost budget, no further validation rules will be run";
                self.errors.push(Error::invalid(&path, kind, said));
            }
            Err(failure @ Failure::CostExceeded) => {
                self.budget = 0;
                let said = format!(
                    "'{failure}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                    rule.source
                );
                self.errors.push(Error::invalid(&path, kind, said));
            }
            Err(failure) if failure.is_overload() => {
                let said = format!(
                    "'{failure}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                    rule.source
                );
                self.errors.push(Error::invalid(&path, kind, said));
            }
            Err(failure) => {
                let said = format!("{failure} evaluating rule: {}", rule.source);
                self.errors.push(Error::invalid(&path, kind, said));
            }
        }
    }

    fn evaluate<'a>(
        &mut self,
        schema: &'a Schema,
        rule: &'a Rule,
        program: &'a Program,
        value: &'a Value,
        old: Option<&'a Value>,
    ) -> Result<cel::Value<'a>, Failure> {
        let of: Option<&dyn Typed> = Some(schema);
        let mut variables = vec![(SELF, cel::Value::of(value, of))];
        match (rule.optional_old, old) {
            (true, Some(old)) => variables.push((OLD, cel::Value::some(cel::Value::of(old, of)))),
            (true, None) => variables.push((OLD, cel::Value::Optional(None))),
            (false, Some(old)) => variables.push((OLD, cel::Value::of(old, of))),
            (false, None) => {}
        }
        let evaluated = program.evaluate(variables, self.budget.min(cel::CALL_LIMIT));
        self.budget -= evaluated.cost;
        evaluated.outcome
    }

    /// What the rule says when it isn't kept: the message that it makes, that it has, or itself.
    fn message(&mut self, schema: &Schema, rule: &Rule, value: &Value, old: Option<&Value>) -> String {
        let made =
            rule.message_program
                .as_ref()
                .and_then(|program| match self.evaluate(schema, rule, program, value, old) {
                    Ok(cel::Value::Text(text)) => Some(text.trim().to_owned()),
                    _ => None,
                });
        let usable = |text: &String| !text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_MAX_BYTES;
        match made.filter(usable) {
            Some(made) => made,
            None if rule.message.is_empty() => format!("failed rule: {}", rule.source),
            None => rule.message.clone(),
        }
    }
}

fn said(rule: &Rule, path: &Path, value: &Value, message: String) -> Error {
    let path = match rule.field_path.as_str() {
        "" => path.clone(),
        below => path.child(below),
    };
    let problem = match rule.reason.as_str() {
        "FieldValueForbidden" => Problem::Forbidden,
        "FieldValueRequired" => Problem::Required,
        "FieldValueDuplicate" => Problem::Duplicate(value.clone()),
        // Objects and lists aren't told in full.
        _ if value.is_object() || value.is_array() => Problem::InvalidWhole,
        _ => Problem::Invalid(value.clone()),
    };
    Error::new(&path, problem, message)
}

fn path(place: &Place<'_>) -> Path {
    Path::new(&place.to_string())
}

/// The schema of a whole object, which has a name and a kind whether the schema says so or not.
#[derive(Debug)]
pub(crate) struct Root<'a>(pub(crate) &'a Schema);

impl Typed for Root<'_> {
    fn field(&self, name: &str) -> Option<&dyn Typed> {
        match name {
            "metadata" => Some(&Meta::Names),
            "apiVersion" | "kind" => Some(&Meta::Text),
            _ => Typed::field(self.0, name),
        }
    }

    fn items(&self) -> Option<&dyn Typed> {
        None
    }

    fn scalar(&self) -> Scalar {
        Scalar::Plain
    }

    fn kind(&self) -> Kind {
        Typed::kind(self.0)
    }
}

/// As much of metadata as rules may ask about.
#[derive(Debug)]
enum Meta {
    Names,
    Text,
}

impl Typed for Meta {
    fn field(&self, name: &str) -> Option<&dyn Typed> {
        let is_name = matches!(self, Self::Names) && ["name", "generateName"].contains(&name);
        is_name.then_some(&Self::Text as &dyn Typed)
    }

    fn items(&self) -> Option<&dyn Typed> {
        None
    }

    fn scalar(&self) -> Scalar {
        Scalar::Plain
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Names => Kind::Fields,
            Self::Text => Kind::Text,
        }
    }
}

impl Typed for Schema {
    fn field(&self, name: &str) -> Option<&dyn Typed> {
        let field = Schema::field(self, name);
        field.map(|field| -> &dyn Typed { field })
    }

    fn items(&self) -> Option<&dyn Typed> {
        self.items.as_deref().map(|items| -> &dyn Typed { items })
    }

    fn scalar(&self) -> Scalar {
        match (self.kind, self.checks.format.as_deref()) {
            (Some(Type::Number), _) => Scalar::Double,
            (Some(Type::String), Some("date-time" | "datetime")) => Scalar::Timestamp,
            (Some(Type::String), Some("date")) => Scalar::Date,
            (Some(Type::String), Some("duration")) => Scalar::Duration,
            (Some(Type::String), Some("byte")) => Scalar::Bytes,
            _ => Scalar::Plain,
        }
    }

    fn kind(&self) -> Kind {
        if self.int_or_string || self.nullable {
            return Kind::Any;
        }
        match (self.kind, self.scalar()) {
            (Some(Type::Object), _) => match &self.additional {
                Additional::None if !self.preserve_unknown && !self.embedded => Kind::Fields,
                _ => Kind::Map,
            },
            (Some(Type::Array), _) => Kind::List,
            (_, Scalar::Timestamp | Scalar::Date) => Kind::Timestamp,
            (_, Scalar::Duration) => Kind::Duration,
            (_, Scalar::Bytes) => Kind::Bytes,
            (Some(Type::String), _) => Kind::Text,
            (Some(Type::Integer), _) => Kind::Int,
            (Some(Type::Number), _) => Kind::Double,
            (Some(Type::Boolean), _) => Kind::Bool,
            (None, _) => Kind::Any,
        }
    }
}

#[cfg(test)]
mod tests;
