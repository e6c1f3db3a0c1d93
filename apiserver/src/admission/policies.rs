//! Policies written as expressions: a `ValidatingAdmissionPolicy` says what has to hold, its bindings where, with which
//! parameters, and what is done when it doesn't. Annotations for an audit log are computed and go nowhere, since there is none.

use std::sync::Arc;

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::selector::Labels;
use minik_api::status::{Cause, Status};
use serde_json::Value;

use super::Attributes;
use super::asker::Asker;
use super::conditions::{self, Given};
use super::expressions::{Compiled, Expressions};
use super::matching::{is_free, matches as is_meant};
use super::webhooks::request;
use crate::cel::{self, Kind, Map};
use crate::kinds::read;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const VARIABLES: &str = "variables";
/// The longest message that an expression may make (upstream's `MaxEvaluatedMessageExpressionSizeBytes`).
const MESSAGE_MAX_BYTES: usize = 5 * 1024;

/// Asks every policy that is bound.
pub(super) fn validate(attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    if !is_free(attributes) {
        return Ok(());
    }
    let bindings = attributes.expressions.objects(attributes.store, BINDINGS);
    if bindings.is_empty() {
        return Ok(());
    }
    let policies = attributes.expressions.objects(attributes.store, POLICIES);
    let asked = Asked::new(attributes, object);
    let mut refusal = None;
    for binding in &bindings {
        let name = read::text(binding.at("spec.policyName"));
        let Ok(place) = policies.binary_search_by(|policy| policy.name().cmp(name)) else {
            continue;
        };
        let bound = Bound {
            policy: &policies[place],
            binding,
            expressions: attributes.expressions,
        };
        if !bound.is_meant(attributes, object) {
            continue;
        }
        for params in bound.params(attributes) {
            let complaints = match params {
                Ok(params) => bound.judge(&asked, &params),
                Err(why) => vec![bound.broken(why)],
            };
            for complaint in complaints.into_iter().flatten() {
                // Everybody may warn; the first to refuse is heard.
                let refused = bound.act(attributes, complaint);
                refusal = refusal.or(refused.err());
            }
        }
    }
    refusal.map_or(Ok(()), Err)
}

/// What all policies are asked about.
struct Asked<'a> {
    request: Value,
    new: Value,
    old: Value,
    namespace: Value,
    asker: Asker<'a>,
}

impl<'a> Asked<'a> {
    fn new(attributes: &'a Attributes<'a>, object: Option<&Object>) -> Self {
        let mut request = request(attributes, object, "");
        let taken = |value: Option<&mut Value>| value.map(Value::take).unwrap_or_default();
        let (new, old) = (taken(request.get_mut("object")), taken(request.get_mut("oldObject")));
        let namespace = match attributes.kind.namespaced {
            true => attributes.object("namespaces", "", attributes.namespace),
            false => None,
        };
        Self {
            request,
            new,
            old,
            namespace: namespace.map(|one| one.to_value()).unwrap_or_default(),
            asker: Asker::new(attributes),
        }
    }

    /// All names with their values, but for the variables.
    fn given<'b>(&'b self, params: &'b Value) -> Given<'b> {
        let json = [
            ("object", &self.new),
            ("oldObject", &self.old),
            ("request", &self.request),
            ("params", params),
            ("namespaceObject", &self.namespace),
        ];
        let mut all: Given<'b> = json.map(|(name, value)| (name, cel::Value::of(value, None))).into();
        all.push(("authorizer", cel::Value::authorizer(&self.asker, &self.asker.own)));
        all
    }
}

/// A policy where it is bound.
struct Bound<'a> {
    policy: &'a Object,
    binding: &'a Object,
    expressions: &'a Expressions,
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

    /// What doesn't hold.
    fn judge(&self, asked: &Asked<'_>, params: &Value) -> Vec<Option<Complaint>> {
        let part = |name: &str| read::list(read::at(self.policy.body.get("spec"), name));
        let mut given = asked.given(params);
        match conditions::hold(self.expressions, part("matchConditions"), &given) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return vec![self.broken(why)],
        }
        let mut budget = cel::OBJECT_BUDGET;
        let program = |one: &Value, field: &str, wanted| self.expressions.program(read::text(one.get(field)), wanted);
        let variables = part(VARIABLES);
        let programs: Vec<_> = variables
            .iter()
            .map(|one| program(one, "expression", Kind::Any))
            .collect();
        let mut values: Vec<(cel::Value<'_>, cel::Value<'_>)> = Vec::new();
        for (variable, program) in variables.iter().zip(&programs) {
            let mut given = given.clone();
            given.push((VARIABLES, cel::Value::Map(Map::Built(values.clone().into()))));
            // One that comes to nothing isn't there for whoever asks for it.
            if let Ok(value) = evaluate(program, given, &mut budget) {
                values.push((cel::Value::text(read::text(variable.get("name"))), value));
            }
        }
        given.push((VARIABLES, cel::Value::Map(Map::Built(values.into()))));
        let mut complaints = Vec::new();
        for validation in part("validations") {
            complaints.push(self.validation(validation, &given, &mut budget));
        }
        for audit in part("auditAnnotations") {
            complaints.push(self.audit(audit, &given, &mut budget));
        }
        complaints
    }

    fn validation(&self, validation: &Value, given: &Given<'_>, budget: &mut u64) -> Option<Complaint> {
        let text = |field: &str| read::text(validation.get(field)).trim();
        let source = text("expression");
        let program = self.expressions.program(source, Kind::Bool);
        match evaluate(&program, given.clone(), budget) {
            Ok(cel::Value::Bool(true)) => return None,
            Ok(_) => {}
            Err(why) => return self.broken(format!("expression '{source}' resulted in error: {why}")),
        }
        let made = match text("messageExpression") {
            "" => None,
            source => {
                let program = self.expressions.program(source, Kind::Text);
                match evaluate(&program, given.clone(), budget) {
                    Ok(cel::Value::Text(text)) => Some(text.trim().to_owned()),
                    _ => None,
                }
            }
        };
        let usable = |text: &String| !text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_MAX_BYTES;
        let written = Some(text("message")).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Complaint {
            message: made
                .filter(usable)
                .or(written)
                .unwrap_or_else(|| format!("failed expression: {source}")),
            reason: text("reason").to_owned(),
        })
    }

    /// There is no audit log to write to; an annotation that comes to nothing matters all the same, as upstream.
    fn audit(&self, audit: &Value, given: &Given<'_>, budget: &mut u64) -> Option<Complaint> {
        let source = read::text(audit.get("valueExpression")).trim();
        let program = self.expressions.program(source, Kind::Any);
        match evaluate(&program, given.clone(), budget) {
            Ok(cel::Value::Text(_) | cel::Value::Null) => None,
            Ok(other) => {
                let kind = other.type_name();
                self.broken(format!(
                    "valueExpression '{source}' resulted in unsupported return type: {kind}. \
                     Return type must be either string or null."
                ))
            }
            Err(why) => self.broken(format!("expression '{source}' resulted in error: {why}")),
        }
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

/// The value of a program, for what is left to spend on a request.
fn evaluate<'a>(program: &'a Arc<Compiled>, given: Given<'a>, budget: &mut u64) -> Result<cel::Value<'a>, String> {
    let program = program.as_ref().as_ref().map_err(Clone::clone)?;
    let evaluated = program.evaluate(given, cel::CALL_LIMIT.min(*budget));
    *budget -= evaluated.cost;
    evaluated.outcome.map_err(|failure| failure.to_string())
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
