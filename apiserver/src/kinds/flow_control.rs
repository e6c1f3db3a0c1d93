//! Which requests go first (`flowcontrol.apiserver.k8s.io`): rules of flow schemas and priority levels, as objects. The
//! sentences are those of upstream's `pkg/apis/flowcontrol/validation`.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::fill::{self, Fields};
use super::{AGE, Column, NAME, Rules, age, checks, read};

const PRECEDENCE_MAX: i64 = 10_000;
const QUEUES_MAX: i64 = 10_000_000;
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

pub(super) struct FlowSchemas;

impl Rules for FlowSchemas {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object(&mut object.body, "spec") {
            fill::zero(spec, "matchingPrecedence", 1000);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let precedence = object
            .at("spec.matchingPrecedence")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let mut refuse = |detail: String| {
            errors.push(Error::invalid(&path.child("matchingPrecedence"), precedence, detail));
        };
        match precedence {
            ..=0 => refuse("must be a positive value".to_owned()),
            1 if object.name() != "exempt" => {
                refuse("only the schema named 'exempt' may have matchingPrecedence 1".to_owned());
            }
            1..=PRECEDENCE_MAX => {}
            _ => refuse(format!("must not be greater than {PRECEDENCE_MAX}")),
        }
        if let Some(method) = object.at("spec.distinguisherMethod.type").and_then(Value::as_str) {
            let path = path.child("distinguisherMethod").child("type");
            checks::one_of(Some(method), &["ByNamespace", "ByUser"], &path, &mut errors);
        }
        let level = read::text(object.at("spec.priorityLevelConfiguration.name"));
        let level_path = path.child("priorityLevelConfiguration").child("name");
        if level.is_empty() {
            errors.push(Error::required(&level_path, "must reference a priority level"));
        } else {
            checks::name(names::subdomain, level, &level_path, &mut errors);
        }
        for (index, rule) in read::list(object.at("spec.rules")).iter().enumerate() {
            check_rule(rule, &path.child("rules").index(index), &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("PriorityLevel", "At which level its requests are."),
            Column::text("MatchingPrecedence", "The lower, the earlier it is tried."),
            Column::text("DistinguisherMethod", "What makes a flow of its own."),
            AGE,
            Column::text("MissingPL", "Whether its priority level isn't there."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let conditions = read::list(object.at("status.conditions"));
        let dangling = conditions.iter().find(|condition| condition["type"] == "Dangling");
        vec![
            object.name().into(),
            read::text(object.at("spec.priorityLevelConfiguration.name")).into(),
            object.at("spec.matchingPrecedence").cloned().unwrap_or(0.into()),
            read::or_none(read::text(object.at("spec.distinguisherMethod.type"))),
            age(object, now).into(),
            dangling
                .map_or("?", |condition| read::text(condition.get("status")))
                .into(),
        ]
    }
}

pub(super) struct PriorityLevels;

impl Rules for PriorityLevels {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object(&mut object.body, "spec") else {
            return;
        };
        if let Some(exempt) = fill::object(spec, "exempt") {
            fill::absent(exempt, "nominalConcurrencyShares", 0);
            fill::absent(exempt, "lendablePercent", 0);
        }
        let Some(limited) = fill::object(spec, "limited") else {
            return;
        };
        fill::absent(limited, "nominalConcurrencyShares", 30);
        fill::absent(limited, "lendablePercent", 0);
        if let Some(response) = fill::object(limited, "limitResponse")
            && let Some(queuing) = fill::object(response, "queuing")
        {
            fill_queuing(queuing);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let part = |name: &str| read::at(object.body.get("spec"), name);
        let kind = read::text(part("type"));
        checks::one_of(Some(kind), &["Exempt", "Limited"], &path.child("type"), &mut errors);
        if kind == "Exempt" && object.name() != "exempt" {
            let detail = "must be 'Limited' for any name other than 'exempt'";
            errors.push(Error::invalid(&path.child("type"), kind, detail));
        }
        match (kind, part("limited")) {
            ("Exempt", Some(_)) => {
                let detail = "must be nil if the type is not Limited";
                errors.push(Error::forbidden(&path.child("limited"), detail));
            }
            ("Limited", None) => {
                let detail = "must not be empty when type is Limited";
                errors.push(Error::required(&path.child("limited"), detail));
            }
            ("Limited", Some(limited)) => check_limited(limited, &path.child("limited"), &mut errors),
            _ => {}
        }
        if let Some(exempt) = part("exempt") {
            if kind == "Limited" {
                let detail = "must be nil if the type is Limited";
                errors.push(Error::forbidden(&path.child("exempt"), detail));
            }
            check_shares(exempt, &path.child("exempt"), &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Type", "Whether its requests are limited."),
            Column::text("NominalConcurrencyShares", "Its share of what is served at a time."),
            Column::text("Queues", "How many queues it has."),
            Column::text("HandSize", "Among how many queues a flow chooses."),
            Column::text("QueueLengthLimit", "How many requests wait in a queue."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let limited = object.at("spec.limited");
        let number = |path: &str| read::at(limited, path).cloned().unwrap_or("<none>".into());
        vec![
            object.name().into(),
            read::text(object.at("spec.type")).into(),
            number("nominalConcurrencyShares"),
            number("limitResponse.queuing.queues"),
            number("limitResponse.queuing.handSize"),
            number("limitResponse.queuing.queueLengthLimit"),
            age(object, now).into(),
        ]
    }
}

fn fill_queuing(queuing: &mut Fields) {
    fill::zero(queuing, "queues", 64);
    fill::zero(queuing, "handSize", 8);
    fill::zero(queuing, "queueLengthLimit", 50);
}

fn check_rule(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let subjects = read::list(rule.get("subjects"));
    if subjects.is_empty() {
        let detail = "subjects must contain at least one value";
        errors.push(Error::required(&path.child("subjects"), detail));
    }
    for (index, subject) in subjects.iter().enumerate() {
        check_subject(subject, &path.child("subjects").index(index), errors);
    }
    let (resources, urls) = (
        read::list(rule.get("resourceRules")),
        read::list(rule.get("nonResourceRules")),
    );
    if resources.is_empty() && urls.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, detail));
    }
    for (index, rule) in resources.iter().enumerate() {
        check_resources(rule, &path.child("resourceRules").index(index), errors);
    }
    for (index, rule) in urls.iter().enumerate() {
        let path = path.child("nonResourceRules").index(index);
        check_verbs(rule, &path, errors);
        let detail = "nonResourceURLs must contain at least one value";
        wildcard_alone(rule, "nonResourceURLs", "non-resource URLs", detail, &path, errors);
    }
}

fn check_subject(subject: &Value, path: &Path, errors: &mut Vec<Error>) {
    const KINDS: [(&str, &str); 3] = [
        ("Group", "group"),
        ("ServiceAccount", "serviceAccount"),
        ("User", "user"),
    ];
    let kind = read::text(subject.get("kind"));
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let known = KINDS.map(|(name, _)| name);
        errors.push(Error::not_supported(&path.child("kind"), kind, &known));
        return;
    };
    let own_path = path.child(own);
    match subject.get(own) {
        None => {
            let detail = format!("{own} is required when subject kind is '{kind}'");
            errors.push(Error::required(&own_path, detail));
        }
        Some(named) => {
            checks::required(read::text(named.get("name")), &own_path.child("name"), errors);
            if kind == "ServiceAccount" && read::text(named.get("namespace")).is_empty() {
                let detail = "must specify namespace for service account";
                errors.push(Error::required(&own_path.child("namespace"), detail));
            }
        }
    }
    for (name, field) in KINDS.iter().filter(|(name, _)| *name != kind) {
        if subject.get(field).is_some() {
            let detail = format!("{field} is forbidden when subject kind is not '{name}'");
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn check_resources(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    check_verbs(rule, path, errors);
    let detail = "resource rules must supply at least one api group";
    wildcard_alone(rule, "apiGroups", "api groups", detail, path, errors);
    let detail = "resource rules must supply at least one resource";
    wildcard_alone(rule, "resources", "resources", detail, path, errors);
    if rule.get("clusterScope") != Some(&Value::Bool(true)) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        wildcard_alone(rule, "namespaces", "namespaces", detail, path, errors);
    }
}

fn check_verbs(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let detail = "verbs must contain at least one value";
    let verbs = wildcard_alone(rule, "verbs", "verbs", detail, path, errors);
    if !verbs.contains(&"*") && verbs.iter().any(|verb| !VERBS.contains(verb)) {
        errors.push(Error::not_supported(&path.child("verbs"), verbs, VERBS));
    }
}

/// A list that must be there; `*` stands for all of it.
fn wildcard_alone<'a>(
    rule: &'a Value,
    field: &str,
    what: &str,
    lacking: &str,
    path: &Path,
    errors: &mut Vec<Error>,
) -> Vec<&'a str> {
    let list = read::texts(rule.get(field));
    if list.is_empty() {
        errors.push(Error::required(&path.child(field), lacking));
    }
    if list.len() > 1 && list.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(Error::invalid(&path.child(field), list.clone(), detail));
    }
    list
}

fn check_shares(value: &Value, path: &Path, errors: &mut Vec<Error>) {
    if let Some(shares) = value
        .get("nominalConcurrencyShares")
        .and_then(Value::as_i64)
        .filter(|shares| *shares < 0)
    {
        let detail = "must be a non-negative integer";
        errors.push(Error::invalid(&path.child("nominalConcurrencyShares"), shares, detail));
    }
    let percent = value.get("lendablePercent").and_then(Value::as_i64);
    if let Some(percent) = percent.filter(|percent| !(0..=100).contains(percent)) {
        let detail = "must be between 0 and 100, inclusive";
        errors.push(Error::invalid(&path.child("lendablePercent"), percent, detail));
    }
}

fn check_limited(limited: &Value, path: &Path, errors: &mut Vec<Error>) {
    check_shares(limited, path, errors);
    let path = path.child("limitResponse");
    let response = limited.get("limitResponse");
    let queuing = read::at(response, "queuing");
    match (read::text(read::at(response, "type")), queuing) {
        ("Queue", None) => {
            let detail = "must not be empty if limitResponse.type is Queue";
            errors.push(Error::required(&path.child("queuing"), detail));
        }
        ("Queue", Some(queuing)) => check_queuing(queuing, &path.child("queuing"), errors),
        ("Reject", Some(_)) => {
            let detail = "must be nil if limitResponse.type is not Queue";
            errors.push(Error::forbidden(&path.child("queuing"), detail));
        }
        (kind, _) => checks::one_of(Some(kind), &["Queue", "Reject"], &path.child("type"), errors),
    }
}

fn check_queuing(queuing: &Value, path: &Path, errors: &mut Vec<Error>) {
    let number = |field: &str| queuing.get(field).and_then(Value::as_i64).unwrap_or(0);
    for field in ["queueLengthLimit", "queues", "handSize"] {
        if number(field) <= 0 {
            errors.push(Error::invalid(&path.child(field), number(field), "must be positive"));
        }
    }
    let (queues, hand) = (number("queues"), number("handSize"));
    if queues > QUEUES_MAX {
        let detail = format!("must not be greater than {QUEUES_MAX}");
        errors.push(Error::invalid(&path.child("queues"), queues, detail));
    }
    if hand > queues {
        let detail = format!("should not be greater than queues ({queues})");
        errors.push(Error::invalid(&path.child("handSize"), hand, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn schema() -> Value {
        json!({"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "*"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}]}]}})
    }

    fn level() -> Value {
        json!({"metadata": {"name": "l"}, "spec": {"type": "Limited",
            "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 16}}}}})
    }

    #[test]
    fn schemas_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("FlowSchema", schema()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/matchingPrecedence",
                json!(1),
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            ),
            (
                "/spec/priorityLevelConfiguration",
                json!({"name": ""}),
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            ),
            (
                "/spec/rules/0/subjects/0/group",
                json!({"name": "g"}),
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
            ),
            (
                "/spec/rules/0/resourceRules/0/namespaces",
                json!([]),
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
            ),
        ] {
            assert_eq!(
                created("FlowSchema", with(schema(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = FlowSchemas.cells(&decoded("FlowSchema", schema()), now);
        assert_eq!(cells[1..4], [json!("l"), json!(1000), json!("<none>")]);
    }

    #[test]
    fn levels_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("PriorityLevelConfiguration", level()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/limited",
                Value::Null,
                "spec.limited: Required value: must not be empty when type is Limited",
            ),
            (
                "/spec/limited/limitResponse/queuing/handSize",
                json!(17),
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 17: should not be greater than queues (16)",
            ),
            (
                "/spec/limited/lendablePercent",
                json!(101),
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ),
        ] {
            let told = created("PriorityLevelConfiguration", with(level(), pointer, value));
            assert_eq!(told, [expected], "{pointer}");
        }
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = PriorityLevels.cells(&decoded("PriorityLevelConfiguration", level()), now);
        assert_eq!(
            cells[1..6],
            [json!("Limited"), json!(30), json!(16), json!(8), json!(50)]
        );
    }
}
