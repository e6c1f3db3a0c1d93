//! Policies written as expressions: a `ValidatingAdmissionPolicy` says what has to hold, its bindings where, with which
//! parameters, and what is done when it doesn't. Annotations for an audit log go nowhere, since there is none; an expression
//! can't ask the `authorizer`.

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::selector::Labels;
use minik_api::status::{Cause, Status};
use serde_json::Value;

use super::matching::{is_free, matches as is_meant};
use super::webhooks::request;
use super::{Attributes, conditions};
use crate::cel::{self, Declaration, Kind, Map, Program};
use crate::kinds::read;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// The names of expressions, in the order of their values.
const NAMES: [&str; 5] = ["object", "oldObject", "request", "params", "namespaceObject"];
const VARIABLES: &str = "variables";

/// Asks every policy that is bound.
pub(super) fn validate(attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    if !is_free(attributes) {
        return Ok(());
    }
    let bindings = attributes.objects(BINDINGS, "");
    if bindings.is_empty() {
        return Ok(());
    }
    let mut request = request(attributes, object, "");
    let taken = |value: Option<&mut Value>| value.map(Value::take).unwrap_or_default();
    let (new, old) = (taken(request.get_mut("object")), taken(request.get_mut("oldObject")));
    let namespace = match attributes.kind.namespaced {
        true => attributes
            .object("namespaces", "", attributes.namespace)
            .map(|one| one.to_value()),
        false => None,
    };
    let namespace = namespace.unwrap_or_default();
    for binding in &bindings {
        let name = read::text(binding.at("spec.policyName"));
        let Some(policy) = attributes.object(POLICIES, "", name) else {
            continue;
        };
        let bound = Bound {
            policy: &policy,
            binding,
        };
        if !bound.is_meant(attributes, object) {
            continue;
        }
        for params in bound.params(attributes) {
            let complaints = match params {
                Ok(params) => bound.judge([&new, &old, &request, &params, &namespace]),
                Err(why) => vec![bound.broken(why)],
            };
            complaints
                .into_iter()
                .flatten()
                .try_for_each(|complaint| bound.act(attributes, complaint))?;
        }
    }
    Ok(())
}

/// A policy where it is bound.
struct Bound<'a> {
    policy: &'a Object,
    binding: &'a Object,
}

/// What doesn't hold.
struct Complaint {
    message: String,
    reason: String,
}

impl Bound<'_> {
    fn is_meant(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> bool {
        let constraints = self.policy.at("spec.matchConstraints");
        if !constraints.is_some_and(|asked| is_meant(asked, "resourceRules", attributes, object)) {
            return false;
        }
        let Some(narrowed) = self.binding.at("spec.matchResources") else {
            return true;
        };
        let mut narrowed = narrowed.clone();
        if read::is_empty(narrowed.get("resourceRules")) {
            narrowed["resourceRules"] = constraints
                .map(|asked| asked["resourceRules"].clone())
                .unwrap_or_default();
        }
        is_meant(&narrowed, "resourceRules", attributes, object)
    }

    /// The parameters with which the policy is asked, once each.
    fn params(&self, attributes: &Attributes<'_>) -> Vec<Result<Value, String>> {
        let (Some(kind), Some(wanted)) = (self.policy.at("spec.paramKind"), self.binding.at("spec.paramRef")) else {
            return vec![Ok(Value::Null)];
        };
        let Some((resource, namespaced)) = resource_of(attributes, kind) else {
            let kind = read::text(kind.get("kind"));
            return vec![Err(format!("failed to find resource referenced by paramKind: {kind}"))];
        };
        let namespace = match (namespaced, read::text(wanted.get("namespace"))) {
            (false, _) => "",
            (true, "") => attributes.namespace,
            (true, namespace) => namespace,
        };
        let found: Vec<Value> = match read::text(wanted.get("name")) {
            "" => {
                let labels = read::typed(wanted.get("selector")).and_then(|spec| Labels::from_spec(&spec).ok());
                let all = attributes.objects(&resource, namespace);
                let none = std::collections::BTreeMap::new();
                let chosen = all.iter().filter(|one| {
                    let own = one.metadata.labels.as_ref().unwrap_or(&none);
                    labels.as_ref().is_none_or(|labels| labels.matches(own))
                });
                chosen.map(Object::to_value).collect()
            }
            name => attributes
                .object(&resource, namespace, name)
                .iter()
                .map(Object::to_value)
                .collect(),
        };
        if found.is_empty() && wanted["parameterNotFoundAction"] == "Deny" {
            return vec![Err(
                "no params found for policy binding with `Deny` parameterNotFoundAction".to_owned(),
            )];
        }
        found.into_iter().map(Ok).collect()
    }

    /// What doesn't hold, of values in the order of their names.
    fn judge(&self, values: [&Value; 5]) -> Vec<Option<Complaint>> {
        let named: Vec<(&str, &Value)> = NAMES.into_iter().zip(values).collect();
        match conditions::hold(read::list(self.policy.at("spec.matchConditions")), &named) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return vec![self.broken(why)],
        }
        let mut declared: Vec<Declaration<'_>> = NAMES.iter().map(|name| Declaration { name, of: None }).collect();
        declared.push(Declaration {
            name: VARIABLES,
            of: None,
        });
        let all = read::list(self.policy.at("spec.variables"));
        let programs: Vec<(&str, Result<Program, String>)> = all
            .iter()
            .map(|one| {
                let program = Program::compile(read::text(one.get("expression")), &declared, Kind::Any);
                (read::text(one.get("name")), program)
            })
            .collect();
        let mut variables: Vec<(cel::Value<'_>, cel::Value<'_>)> = Vec::new();
        for (name, program) in &programs {
            // One that comes to nothing isn't there for whoever asks for it.
            let Ok(program) = program else { continue };
            let outcome = program
                .evaluate(given(&named, variables.clone()), cel::CALL_LIMIT)
                .outcome;
            variables.extend(outcome.ok().map(|value| (cel::Value::text(name), value)));
        }
        let validations = read::list(self.policy.at("spec.validations"));
        validations
            .iter()
            .map(|validation| {
                let evaluated = |source: &str, kind| {
                    let program = Program::compile(source, &declared, kind)?;
                    let outcome = program
                        .evaluate(given(&named, variables.clone()), cel::CALL_LIMIT)
                        .outcome;
                    match outcome {
                        Ok(cel::Value::Bool(truth)) => Ok(Said::Truth(truth)),
                        Ok(cel::Value::Text(text)) => Ok(Said::Text(text.trim().to_owned())),
                        Ok(_) => Err("neither a truth nor a text".to_owned()),
                        Err(failure) => Err(failure.to_string()),
                    }
                };
                self.validation(validation, evaluated)
            })
            .collect()
    }

    fn validation(
        &self,
        validation: &Value,
        evaluated: impl Fn(&str, Kind) -> Result<Said, String>,
    ) -> Option<Complaint> {
        let text = |field: &str| read::text(validation.get(field)).trim();
        let source = text("expression");
        match evaluated(source, Kind::Bool) {
            Ok(Said::Truth(true)) => return None,
            Ok(_) => {}
            Err(why) => return self.broken(format!("expression '{source}' resulted in error: {why}")),
        }
        let made = match text("messageExpression") {
            "" => None,
            source => match evaluated(source, Kind::Text) {
                Ok(Said::Text(text)) if !text.is_empty() => Some(text),
                _ => None,
            },
        };
        let written = Some(text("message")).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Complaint {
            message: made
                .or(written)
                .unwrap_or_else(|| format!("failed expression: {source}")),
            reason: text("reason").to_owned(),
        })
    }

    /// The policy itself came to nothing: whether that matters is its own word.
    fn broken(&self, message: String) -> Option<Complaint> {
        let ignores = self
            .policy
            .at("spec.failurePolicy")
            .is_some_and(|policy| policy == "Ignore");
        let reason = String::new();
        (!ignores).then_some(Complaint { message, reason })
    }

    /// Refuses or warns.
    fn act(&self, attributes: &Attributes<'_>, complaint: Complaint) -> Result<(), Status> {
        let (policy, binding, message) = (self.policy.name(), self.binding.name(), &complaint.message);
        let actions = read::texts(self.binding.at("spec.validationActions"));
        if actions.contains(&"Warn") {
            attributes.warn(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
            ));
        }
        if !actions.contains(&"Deny") {
            return Ok(());
        }
        let why = format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}");
        let mut status = Status::forbidden(attributes.kind, attributes.name, &why);
        (status.code, status.reason) = match complaint.reason.as_str() {
            "Unauthorized" => (401, complaint.reason),
            "Forbidden" => (403, complaint.reason),
            "RequestEntityTooLarge" => (413, complaint.reason),
            _ => (422, "Invalid".to_owned()),
        };
        status.details.get_or_insert_default().causes.push(Cause {
            message: why,
            ..Cause::default()
        });
        Err(status)
    }
}

/// What came of an expression.
enum Said {
    Truth(bool),
    Text(String),
}

/// All names with their values.
fn given<'a>(
    named: &[(&'a str, &'a Value)],
    variables: Vec<(cel::Value<'a>, cel::Value<'a>)>,
) -> Vec<(&'a str, cel::Value<'a>)> {
    let mut all: Vec<_> = named
        .iter()
        .map(|(name, value)| (*name, cel::Value::of(value, None)))
        .collect();
    all.push((VARIABLES, cel::Value::Map(Map::Built(variables.into()))));
    all
}

/// What the store calls the objects of a kind, and whether they live in namespaces.
fn resource_of(attributes: &Attributes<'_>, kind: &Value) -> Option<(String, bool)> {
    let (api_version, name) = (read::text(kind.get("apiVersion")), read::text(kind.get("kind")));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    if let Some(kind) = kinds::of(group, version, name) {
        return Some((crate::registry::resource(kind), kind.namespaced));
    }
    let definitions = attributes.objects(DEFINITIONS, "");
    let found = definitions
        .iter()
        .find(|one| read::text(one.at("spec.group")) == group && read::text(one.at("spec.names.kind")) == name)?;
    Some((
        found.name().to_owned(),
        read::text(found.at("spec.scope")) == "Namespaced",
    ))
}
