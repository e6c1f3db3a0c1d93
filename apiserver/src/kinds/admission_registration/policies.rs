//! Policies written as expressions: `ValidatingAdmissionPolicy`, `MutatingAdmissionPolicy`.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::expressions::Scope;
use super::matching::{self, FAILURE_POLICIES};
use crate::cel::Kind;
use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
const AUDIT_MAX: usize = 20;
const AUDIT_EXPRESSION_MAX: usize = 5 * 1024;
const ONE_AT_LEAST: &str = "validations or auditAnnotations must contain at least one item";
/// Words of the expression language that can't be names.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

pub(in crate::kinds) struct ValidatingPolicies;

impl Rules for ValidatingPolicies {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        fill_policy(object);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        check_policy(object, &path, &mut errors);
        let part = |name: &str| read::list(read::at(object.body.get("spec"), name));
        let (validations, audits) = (part("validations"), part("auditAnnotations"));
        if validations.is_empty() && audits.is_empty() {
            errors.push(Error::required(&path.child("validations"), ONE_AT_LEAST));
            errors.push(Error::required(&path.child("auditAnnotations"), ONE_AT_LEAST));
        }
        let spec = object.body.get("spec");
        let scope = |has_authorizer| Scope::of_policy(spec, has_authorizer).with_variables(part("variables"));
        let scopes = Scopes {
            decided: scope(true),
            told: scope(false),
        };
        for (index, validation) in validations.iter().enumerate() {
            check_validation(
                validation,
                &scopes,
                &path.child("validations").index(index),
                &mut errors,
            );
        }
        for (index, audit) in audits.iter().enumerate() {
            let path = path.child("auditAnnotations").index(index).child("valueExpression");
            scopes
                .told
                .check(read::text(audit.get("valueExpression")), Kind::Any, &path, &mut errors);
        }
        check_audits(object.name(), audits, &path.child("auditAnnotations"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Validations", "How many expressions have to hold.").number(),
            Column::text("ParamKind", "Of which kind its parameters are."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(object, "spec.validations", now)
    }
}

pub(in crate::kinds) struct MutatingPolicies;

impl Rules for MutatingPolicies {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        fill_policy(object);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        check_policy(object, &path, &mut errors);
        let mutations = read::list(object.at("spec.mutations"));
        if mutations.is_empty() {
            let detail = "mutations must contain at least one item";
            errors.push(Error::required(&path.child("mutations"), detail));
        }
        for (index, mutation) in mutations.iter().enumerate() {
            check_mutation(mutation, &path.child("mutations").index(index), &mut errors);
        }
        let policy = object.at("spec.reinvocationPolicy").and_then(Value::as_str);
        let known = ["IfNeeded", "Never"];
        checks::one_of(policy, &known, &path.child("reinvocationPolicy"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Mutations", "How many changes it makes.").number(),
            Column::text("ParamKind", "Of which kind its parameters are."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(object, "spec.mutations", now)
    }
}

fn cells(object: &Object, list: &str, now: Timestamp) -> Vec<Value> {
    let kind = object.at("spec.paramKind").map_or("<unset>".to_owned(), |kind| {
        format!(
            "{}/{}",
            read::text(kind.get("apiVersion")),
            read::text(kind.get("kind"))
        )
    });
    vec![
        object.name().into(),
        read::list(object.at(list)).len().into(),
        kind.into(),
        age(object, now).into(),
    ]
}

fn fill_policy(object: &mut Object) {
    let Some(spec) = fill::object(&mut object.body, "spec") else {
        return;
    };
    fill::absent(spec, "failurePolicy", "Fail");
    if let Some(constraints) = fill::object(spec, "matchConstraints") {
        matching::fill_selection(constraints);
        matching::fill_rules(constraints, "resourceRules");
        matching::fill_rules(constraints, "excludeResourceRules");
    }
}

/// What all policies have.
fn check_policy(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let part = |name: &str| read::at(object.body.get("spec"), name);
    let policy = part("failurePolicy").and_then(Value::as_str);
    checks::one_of(policy, FAILURE_POLICIES, &path.child("failurePolicy"), errors);
    if let Some(kind) = part("paramKind") {
        check_param_kind(kind, &path.child("paramKind"), errors);
    }
    let constraints_path = path.child("matchConstraints");
    match part("matchConstraints") {
        None => errors.push(Error::required(&constraints_path, "")),
        Some(constraints) => {
            matching::check_match_resources(constraints, &constraints_path, errors);
            if read::is_empty(constraints.get("resourceRules")) {
                errors.push(Error::required(&constraints_path.child("resourceRules"), ""));
            }
        }
    }
    let conditions = read::list(part("matchConditions"));
    let spec = object.body.get("spec");
    let scope = Scope::of_policy(spec, true);
    matching::check_conditions(conditions, &scope, &path.child("matchConditions"), errors);
    let variables = read::list(part("variables"));
    for (index, variable) in variables.iter().enumerate() {
        let path = path.child("variables").index(index);
        check_variable(variable, &path, errors);
        // Each sees those before it.
        let scope = Scope::of_policy(spec, true).with_variables(&variables[..index]);
        let source = read::text(variable.get("expression"));
        scope.check(source, Kind::Any, &path.child("expression"), errors);
    }
}

fn check_param_kind(kind: &Value, path: &Path, errors: &mut Vec<Error>) {
    let text = read::text(kind.get("apiVersion"));
    let version_path = path.child("apiVersion");
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    if text.is_empty() {
        errors.push(Error::required(&version_path, ""));
    } else if version.contains('/') {
        let detail = format!("unexpected GroupVersion string: {text}");
        errors.push(Error::invalid(&version_path, text, detail));
    } else {
        let broken = if group.is_empty() {
            Vec::new()
        } else {
            names::subdomain(group)
        };
        if !broken.is_empty() {
            errors.push(Error::invalid(&version_path, group, broken.join(",")));
        }
        let broken = names::label_1035(version);
        if version.is_empty() {
            errors.push(Error::invalid(&version_path, text, "version must be specified"));
        } else if !broken.is_empty() {
            errors.push(Error::invalid(&version_path, version, broken.join(",")));
        }
    }
    let name = read::text(kind.get("kind"));
    let broken = names::label_1035(&name.to_lowercase());
    if name.is_empty() {
        errors.push(Error::required(&path.child("kind"), ""));
    } else if !broken.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", broken.join(","));
        errors.push(Error::invalid(&path.child("kind"), name, detail));
    }
}

fn check_variable(variable: &Value, path: &Path, errors: &mut Vec<Error>) {
    let (name, expression) = (read::text(variable.get("name")), read::text(variable.get("expression")));
    if name.trim().is_empty() {
        errors.push(Error::required(&path.child("name"), "name is not specified"));
    } else if !is_identifier(name) {
        let detail = "name is not a valid CEL identifier";
        errors.push(Error::invalid(&path.child("name"), name, detail));
    }
    if expression.trim().is_empty() {
        errors.push(Error::required(
            &path.child("expression"),
            "expression is not specified",
        ));
    }
}

fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    name.bytes().all(word) && !name.starts_with(|first: char| first.is_ascii_digit()) && !RESERVED.contains(&name)
}

/// What the expressions of a validation may use: those that decide, and those that only tell.
struct Scopes {
    decided: Scope,
    told: Scope,
}

fn check_validation(validation: &Value, scopes: &Scopes, path: &Path, errors: &mut Vec<Error>) {
    let text = |field: &str| read::text(validation.get(field));
    let (expression, message) = (path.child("expression"), path.child("messageExpression"));
    scopes
        .decided
        .check(text("expression"), Kind::Bool, &expression, errors);
    scopes
        .told
        .check(text("messageExpression"), Kind::Text, &message, errors);
    if text("expression").trim().is_empty() {
        errors.push(Error::required(
            &path.child("expression"),
            "expression is not specified",
        ));
    }
    let message = text("messageExpression");
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(Error::invalid(&path.child("messageExpression"), message, detail));
    }
    let message = text("message");
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "message must be non-empty if specified";
        errors.push(Error::invalid(&path.child("message"), message, detail));
    } else if message.trim().contains(['\n', '\r']) {
        let detail = "message must not contain line breaks";
        errors.push(Error::invalid(&path.child("message"), message, detail));
    }
    if let Some(reason) = validation.get("reason").and_then(Value::as_str)
        && !REASONS.contains(&reason)
    {
        errors.push(Error::not_supported(&path.child("reason"), reason, REASONS));
    }
}

fn check_audits(policy: &str, audits: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if audits.len() > AUDIT_MAX {
        let detail = format!("must not have more than {AUDIT_MAX} auditAnnotations");
        errors.push(Error::invalid(path, audits.to_vec(), detail));
    }
    for (index, audit) in audits.iter().enumerate() {
        let path = path.index(index);
        let (key, expression) = (
            read::text(audit.get("key")),
            read::text(audit.get("valueExpression")).trim(),
        );
        checks::name(names::qualified, &format!("{policy}/{key}"), &path.child("key"), errors);
        let expression_path = path.child("valueExpression");
        if expression.is_empty() {
            errors.push(Error::required(&expression_path, "valueExpression is not specified"));
        } else if expression.len() > AUDIT_EXPRESSION_MAX {
            let detail = format!("must not exceed {AUDIT_EXPRESSION_MAX} bytes in length");
            errors.push(Error::required(&expression_path, detail));
        }
        if audits[..index].iter().any(|other| read::text(other.get("key")) == key) {
            errors.push(Error::duplicate(&path.child("key"), key));
        }
    }
}

/// A change is of one type and says what that type needs.
fn check_mutation(mutation: &Value, path: &Path, errors: &mut Vec<Error>) {
    let (own, other) = match mutation.get("patchType").and_then(Value::as_str) {
        Some("ApplyConfiguration") => ("applyConfiguration", "jsonPatch"),
        Some("JSONPatch") => ("jsonPatch", "applyConfiguration"),
        given => {
            let known = ["ApplyConfiguration", "JSONPatch"];
            checks::one_of(given, &known, &path.child("patchType"), errors);
            return;
        }
    };
    let kind = read::text(mutation.get("patchType"));
    if mutation.get(other).is_some() {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.push(Error::invalid(&path.child(other), "{}", detail));
    }
    match mutation.get(own) {
        None => {
            let detail = format!("must be specified when patchType is {kind}");
            errors.push(Error::required(&path.child(own), detail));
        }
        Some(change) if read::text(change.get("expression")).trim().is_empty() => {
            let detail = "expression is not specified";
            errors.push(Error::required(&path.child(own).child("expression"), detail));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn policy() -> Value {
        json!({"metadata": {"name": "p"}, "spec": {
            "matchConstraints": {"resourceRules": [
                {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}]},
            "validations": [{"expression": "object.spec.replicas <= 5"}]}})
    }

    #[test]
    fn policies_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("ValidatingAdmissionPolicy", policy()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/matchConstraints",
                Value::Null,
                "spec.matchConstraints: Required value",
            ),
            (
                "/spec/matchConstraints/resourceRules",
                json!([]),
                "spec.matchConstraints.resourceRules: Required value",
            ),
            (
                "/spec/failurePolicy",
                json!("Never"),
                "spec.failurePolicy: Unsupported value: \"Never\": supported values: \"Fail\", \"Ignore\"",
            ),
            (
                "/spec/validations/0/expression",
                json!(" "),
                "spec.validations[0].expression: Required value: expression is not specified",
            ),
            (
                "/spec/validations/0/message",
                json!("a\nb"),
                "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
            ),
            (
                "/spec/paramKind",
                json!({"apiVersion": "a/b/c", "kind": "K"}),
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            ),
            (
                "/spec/variables",
                json!([{"name": "in", "expression": "1"}]),
                "spec.variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
            ),
            (
                "/spec/auditAnnotations",
                json!([{"key": "k", "valueExpression": ""}]),
                "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
            ),
            (
                "/spec/validations/0/expression",
                json!("params.x == 1"),
                "spec.validations[0].expression: Invalid value: \"params.x == 1\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^",
            ),
            (
                "/spec/matchConditions",
                json!([{"name": "n", "expression": "object.x + 'a' == variables.y"}]),
                "spec.matchConditions[0].expression: Invalid value: \"object.x + 'a' == variables.y\": compilation failed: ERROR: <input>:1:19: undeclared reference to 'variables' (in container '')\n | object.x + 'a' == variables.y\n | ..................^",
            ),
            (
                "/spec/variables",
                json!([{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]),
                "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: ERROR: <input>:1:10: undefined field 'b'\n | variables.b\n | .........^",
            ),
            (
                "/spec/validations/0/messageExpression",
                json!("string(authorizer)"),
                "spec.validations[0].messageExpression: Invalid value: \"string(authorizer)\": compilation failed: ERROR: <input>:1:8: undeclared reference to 'authorizer' (in container '')\n | string(authorizer)\n | .......^",
            ),
        ] {
            assert_eq!(
                created("ValidatingAdmissionPolicy", with(policy(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = ValidatingPolicies.cells(&decoded("ValidatingAdmissionPolicy", policy()), now);
        assert_eq!(cells[1..3], [json!(1), json!("<unset>")]);
    }

    #[test]
    fn changes_say_what_their_type_needs() {
        let mut policy = policy();
        policy["spec"]["validations"] = Value::Null;
        policy["spec"]["reinvocationPolicy"] = "Never".into();
        let with_mutation = |mutation: Value| {
            let mut policy = policy.clone();
            policy["spec"]["mutations"] = json!([mutation]);
            policy["spec"].as_object_mut().expect("an object").remove("validations");
            created("MutatingAdmissionPolicy", policy)
        };
        let good = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}});
        assert_eq!(with_mutation(good), Vec::<String>::new());
        assert_eq!(
            with_mutation(json!({"patchType": "Magic"})),
            [
                "spec.mutations[0].patchType: Unsupported value: \"Magic\": supported values: \"ApplyConfiguration\", \"JSONPatch\""
            ]
        );
        assert_eq!(
            with_mutation(json!({"patchType": "ApplyConfiguration"})),
            [
                "spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration"
            ]
        );
    }
}
