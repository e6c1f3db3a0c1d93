//! The rules of a schema (`x-kubernetes-validations`): each is an expression that compiles for the schema that it stands in.
//! The sentences are those of apiextensions' validation.

use minik_api::field::{Error, Path};
use serde_json::Value;

use super::schema::Fields;
use crate::cel::Typed;
use crate::customs::rule::{Root, Rule};
use crate::customs::schema::{read, read_below};

const REASONS: &[&str] = &[
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];
/// More rules on one value than anybody has.
const RULES_MAX: usize = 500;

/// Where a schema with rules stands.
pub(super) struct Site<'a> {
    pub(super) path: &'a Path,
    pub(super) is_root: bool,
    /// What is above whose items can't be found again after an update.
    pub(super) without_past: Option<&'a Path>,
}

/// What is wrong with the rules of a schema.
pub(super) fn validate(schema: &Fields, site: &Site<'_>, errors: &mut Vec<Error>) {
    let path = site.path.child("x-kubernetes-validations");
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    let rules = rules.map_or(&[][..], Vec::as_slice);
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
        return;
    }
    let before = errors.len();
    for (index, rule) in rules.iter().enumerate() {
        validate_texts(schema, rule, &path.index(index), errors);
    }
    if errors.len() > before {
        return;
    }
    let mut bare = schema.clone();
    bare.remove("x-kubernetes-validations");
    let bare = Value::Object(bare);
    let compiled = if site.is_root { read(&bare) } else { read_below(&bare) };
    let root = Root(&compiled);
    let typed: &dyn Typed = if site.is_root { &root } else { &compiled };
    for (index, rule) in rules.iter().enumerate() {
        validate_rule(rule, typed, site, &path.index(index), errors);
    }
}

fn validate_rule(rule: &Value, typed: &dyn Typed, site: &Site<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mut compiled = Rule::read(rule);
    let at = path.child("rule");
    match compiled.compile(typed) {
        Err([wrong_rule, wrong_message]) => {
            for (name, why) in [("rule", wrong_rule), ("messageExpression", wrong_message)] {
                if let Some(why) = why {
                    let value = rule[name].clone();
                    errors.push(Error::invalid(
                        &path.child(name),
                        value,
                        format!("compilation failed: {why}"),
                    ));
                }
            }
        }
        Ok(()) => match (compiled.uses_old(), site.without_past) {
            (true, Some(above)) => {
                let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
                errors.push(Error::invalid(&at, compiled.source.clone(), why));
            }
            (false, _) if compiled.has_optional_old() => {
                let why = "may not be set if oldSelf is not used in rule";
                errors.push(Error::invalid(&path.child("optionalOldSelf"), true, why));
            }
            _ => {}
        },
    }
}

fn validate_texts(schema: &Fields, rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let text = |name: &str| rule[name].as_str().unwrap_or_default();
    let (source, message) = (text("rule"), text("message"));
    let spans_lines = |text: &str| text.trim().contains('\n');
    if source.trim().is_empty() {
        errors.push(Error::required(&path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(
            &path.child("message"),
            message,
            "must be non-empty if specified",
        ));
    } else if spans_lines(message) {
        errors.push(Error::invalid(
            &path.child("message"),
            message,
            "must not contain line breaks",
        ));
    } else if spans_lines(source) && message.trim().is_empty() {
        let why = "message must be specified if rule contains line breaks";
        errors.push(Error::required(&path.child("message"), why));
    }
    let made = text("messageExpression");
    if !made.is_empty() && made.trim().is_empty() {
        let why = "messageExpression must be non-empty if specified";
        errors.push(Error::required(&path.child("messageExpression"), why));
    }
    if let Some(reason) = rule.get("reason").and_then(Value::as_str)
        && !REASONS.contains(&reason)
    {
        errors.push(Error::not_supported(&path.child("reason"), reason, REASONS));
    }
    let below = text("fieldPath");
    let at = path.child("fieldPath");
    if below.is_empty() {
        return;
    }
    if below.trim().is_empty() {
        errors.push(Error::invalid(&at, below, "must be non-empty if specified"));
    } else if below.contains('\n') {
        errors.push(Error::invalid(&at, below, "must not contain line breaks"));
    } else if !leads_somewhere(schema, below) {
        errors.push(Error::invalid(&at, below, "must be a valid path"));
    }
}

/// Whether a path of fields (`.a.b`, `.labels['x.y']`) is one of the schema.
fn leads_somewhere(schema: &Fields, path: &str) -> bool {
    let mut rest = path.trim();
    let mut here = schema;
    while !rest.is_empty() {
        let (name, behind) = if let Some(quoted) = rest.strip_prefix("['") {
            match quoted.split_once("']") {
                Some(parts) => parts,
                None => return false,
            }
        } else if let Some(plain) = rest.strip_prefix('.') {
            plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()))
        } else {
            return false;
        };
        let properties = here.get("properties").and_then(|properties| properties.get(name));
        let Some(Value::Object(next)) = properties.or_else(|| here.get("additionalProperties")) else {
            return false;
        };
        (here, rest) = (next, behind);
    }
    true
}
