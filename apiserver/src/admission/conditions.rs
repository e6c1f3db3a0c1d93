//! Conditions in CEL: whether a webhook or policy is asked about a request. They see what they are given by name.

use serde_json::Value;

use crate::cel::{self, Declaration, Kind, Program};
use crate::kinds::read;

/// Whether all hold. One that is false decides, whatever becomes of the others.
///
/// # Errors
/// A sentence about those that came to nothing.
pub(super) fn hold(conditions: &[Value], variables: &[(&str, &Value)]) -> Result<bool, String> {
    let mut errors = Vec::new();
    for condition in conditions {
        match truth(read::text(condition.get("expression")), variables) {
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

fn truth(source: &str, variables: &[(&str, &Value)]) -> Result<bool, String> {
    let declared: Vec<Declaration<'_>> = variables
        .iter()
        .map(|(name, _)| Declaration { name, of: None })
        .collect();
    let program = Program::compile(source, &declared, Kind::Bool)?;
    let values = variables
        .iter()
        .map(|(name, value)| (*name, cel::Value::of(value, None)));
    match program.evaluate(values.collect(), cel::CALL_LIMIT).outcome {
        Ok(cel::Value::Bool(truth)) => Ok(truth),
        Ok(_) => Err("must evaluate to bool".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
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
        let variables = [
            ("object", &request["object"]),
            ("oldObject", &request["oldObject"]),
            ("request", &request),
        ];
        assert_eq!(hold(&list(&[good]), &variables), Ok(true));
        assert_eq!(hold(&list(&[broken, bad]), &variables), Ok(false));
        assert!(hold(&list(&[good, broken]), &variables).is_err());
        assert!(hold(&list(&["request.operation"]), &variables).is_err());
    }
}
