//! Conditions in CEL: whether a webhook or policy is asked about a request. They see what they are given by name.

use serde_json::Value;

use super::expressions::Expressions;
use crate::cel::{self, Kind};
use crate::kinds::read;

/// Values by their names.
pub(super) type Given<'a> = Vec<(&'a str, cel::Value<'a>)>;

/// Whether all hold. One that is false decides, whatever becomes of the others.
///
/// # Errors
/// A sentence about those that came to nothing.
pub(super) fn hold(expressions: &Expressions, conditions: &[Value], given: &Given<'_>) -> Result<bool, String> {
    let mut errors = Vec::new();
    for condition in conditions {
        match truth(expressions, read::text(condition.get("expression")), given) {
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

fn truth(expressions: &Expressions, source: &str, given: &Given<'_>) -> Result<bool, String> {
    let program = expressions.program(source, Kind::Bool);
    let program = program.as_ref().as_ref().map_err(Clone::clone)?;
    match program.evaluate(given.clone(), cel::CALL_LIMIT).outcome {
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
        let given: Given<'_> = vec![
            ("object", cel::Value::of(&request["object"], None)),
            ("oldObject", cel::Value::of(&request["oldObject"], None)),
            ("request", cel::Value::of(&request, None)),
        ];
        let expressions = Expressions::default();
        let hold = |sources: &[&str]| hold(&expressions, &list(sources), &given);
        assert_eq!(hold(&[good]), Ok(true));
        assert_eq!(hold(&[broken, bad]), Ok(false));
        assert!(hold(&[good, broken]).is_err());
        assert!(hold(&["request.operation"]).is_err());
    }
}
