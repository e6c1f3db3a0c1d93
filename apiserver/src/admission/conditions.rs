//! Conditions in CEL: whether a webhook or policy is asked about a request. They see `object`, `oldObject` and `request`.

use serde_json::Value;

use crate::cel::{self, Declaration, Kind, Program};
use crate::kinds::read;

/// Whether all hold. One that is false decides, whatever becomes of the others.
///
/// # Errors
/// A sentence about those that came to nothing.
pub(super) fn hold(conditions: &[Value], request: &Value) -> Result<bool, String> {
    let none = Value::Null;
    let mut errors = Vec::new();
    for condition in conditions {
        let variables = [
            ("object", request.get("object").unwrap_or(&none)),
            ("oldObject", request.get("oldObject").unwrap_or(&none)),
            ("request", request),
        ];
        match truth(read::text(condition.get("expression")), &variables) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => errors.push(format!("match condition {}: {why}", condition["name"])),
        }
    }
    if errors.is_empty() {
        Ok(true)
    } else {
        Err(errors.join("; "))
    }
}

/// Whether an expression is true.
///
/// # Errors
/// Why it doesn't compile, or comes to no truth.
pub(super) fn truth(source: &str, variables: &[(&str, &Value)]) -> Result<bool, String> {
    match evaluated(source, variables, Kind::Bool, |value| match value {
        cel::Value::Bool(truth) => Some(truth),
        _ => None,
    })? {
        Some(truth) => Ok(truth),
        None => Err("must evaluate to bool".to_owned()),
    }
}

/// The text that an expression makes.
pub(super) fn text(source: &str, variables: &[(&str, &Value)]) -> Option<String> {
    let text = evaluated(source, variables, Kind::Text, |value| match value {
        cel::Value::Text(text) => Some(text.to_string()),
        _ => None,
    });
    text.ok().flatten().filter(|text| !text.trim().is_empty())
}

fn evaluated<T>(
    source: &str,
    variables: &[(&str, &Value)],
    kind: Kind,
    read: impl Fn(cel::Value<'_>) -> Option<T>,
) -> Result<Option<T>, String> {
    let declared: Vec<Declaration<'_>> = variables
        .iter()
        .map(|(name, _)| Declaration { name, of: None })
        .collect();
    let program = Program::compile(source, &declared, kind)?;
    let values = variables
        .iter()
        .map(|(name, value)| (*name, cel::Value::of(value, None)));
    let outcome = program.evaluate(values.collect(), cel::CALL_LIMIT).outcome;
    outcome.map(read).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_that_is_false_decides() {
        let request = json!({"object": {"metadata": {"name": "a"}}, "oldObject": null, "operation": "CREATE"});
        let list = |sources: &[&str]| -> Vec<Value> {
            sources
                .iter()
                .map(|source| json!({"name": "n", "expression": source}))
                .collect()
        };
        let good = "object.metadata.name == 'a' && oldObject == null && request.operation == 'CREATE'";
        let (bad, broken) = ("object.metadata.name == 'b'", "object.spec.x == 1");
        assert_eq!(hold(&list(&[good]), &request), Ok(true));
        assert_eq!(hold(&list(&[broken, bad]), &request), Ok(false));
        assert!(hold(&list(&[good, broken]), &request).is_err());
        assert_eq!(
            text("'x' + object.metadata.name", &[("object", &request["object"])]).as_deref(),
            Some("xa")
        );
    }
}
