//! What the kinds that make pods have in common: a selector that must take the template's labels, counts that aren't
//! negative, a rolling update in numbers or percentages.
//!
//! The sentences are those of upstream's `pkg/apis/apps/validation`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::selector::Labels;
use serde::Deserialize;
use serde_json::Value;

use super::Scale;
use super::checks::{self, not_negative};
use super::fill::Fields;
use super::pod_template::Template;

/// The whole number in a field; `None` when it is absent.
pub(super) fn number(fields: Option<&Fields>, name: &str) -> Option<i64> {
    fields?.get(name)?.as_i64()
}

/// The same, 0 when it is absent.
pub(super) fn count(fields: Option<&Fields>, name: &str) -> i64 {
    number(fields, name).unwrap_or(0)
}

/// None of these numbers may be negative.
pub(super) fn counts(fields: Option<&Fields>, names: &[&str], path: &Path, errors: &mut Vec<Error>) {
    for name in names {
        if let Some(value) = number(fields, name) {
            not_negative(value, &path.child(name), errors);
        }
    }
}

/// Each of these counts of replicas is at most that of another field.
pub(super) fn at_most(
    status: Option<&Fields>,
    names: &[&str],
    limit: &str,
    detail: &str,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    for name in names {
        if count(status, name) > count(status, limit) {
            errors.push(Error::invalid(&path.child(name), count(status, name), detail));
        }
    }
}

/// How often names collided is never forgotten.
pub(super) fn collision_count(new: Option<&Fields>, old: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    const NAME: &str = "collisionCount";
    let (now, before) = (number(new, NAME), number(old, NAME));
    if before.is_some_and(|before| now.is_none_or(|now| now < before)) {
        errors.push(Error::invalid(
            &path.child(NAME),
            now.unwrap_or(0),
            "cannot be decremented",
        ));
    }
}

/// The selector of a spec.
pub(super) fn selector(spec: Option<&Fields>) -> Option<LabelSelector> {
    LabelSelector::deserialize(spec?.get("selector")?).ok()
}

/// The selector of a spec, as tables show it.
pub(super) fn selector_text(spec: Option<&Fields>) -> String {
    match selector(spec) {
        None => "<none>".to_owned(),
        Some(selector) => match Labels::from_spec(&selector) {
            Ok(labels) if labels.is_empty() => "<none>".to_owned(),
            Ok(labels) => labels.to_string(),
            Err(_) => "<error>".to_owned(),
        },
    }
}

/// A selector that must be there and say something. `None` when it can't be used.
pub(super) fn check_selector(
    spec: Option<&Fields>,
    empty: &str,
    broken: &str,
    path: &Path,
    errors: &mut Vec<Error>,
) -> Option<Labels> {
    let path = path.child("selector");
    let shown = || {
        spec.and_then(|spec| spec.get("selector"))
            .cloned()
            .unwrap_or(Value::Null)
    };
    let Some(selector) = selector(spec) else {
        errors.push(Error::required(&path, ""));
        return None;
    };
    checks::label_selector(Some(&selector), &path, errors);
    let labels = Labels::from_spec(&selector);
    match &labels {
        Ok(labels) if labels.is_empty() => errors.push(Error::invalid(&path, shown(), empty)),
        Err(_) => errors.push(Error::invalid(&path, shown(), broken)),
        Ok(_) => {}
    }
    labels.ok()
}

/// Whether the selector takes the pods of the template. `path` is the template's.
pub(super) fn selects_template(selector: &Labels, template: Template<'_>, path: &Path, errors: &mut Vec<Error>) {
    let labels = template.labels();
    if !selector.matches(&labels) {
        let shown: Value = labels
            .into_iter()
            .map(|(key, value)| (key, Value::from(value)))
            .collect();
        let path = path.child("metadata").child("labels");
        errors.push(Error::invalid(
            &path,
            shown,
            "`selector` does not match template `labels`",
        ));
    }
}

/// What can be scaled, with this selector of its pods.
pub(super) fn scale(object: &Object, selector: Option<&Labels>) -> Scale {
    Scale {
        replicas: count(super::fields(object, "spec"), "replicas"),
        current: count(super::fields(object, "status"), "replicas"),
        selector: selector.map(ToString::to_string).unwrap_or_default(),
    }
}

/// The same, with the selector of its spec.
pub(super) fn scale_by_selector(object: &Object) -> Scale {
    let selector = selector(super::fields(object, "spec"));
    let labels = selector.and_then(|selector| Labels::from_spec(&selector).ok());
    scale(object, labels.as_ref())
}

/// A percentage, if it is a good one.
fn percent(value: &Value) -> Option<i64> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than an i64 holds is more than anything anyhow.
    all_digits.then(|| digits.parse().unwrap_or(i64::MAX))
}

/// The number, or that of the percentage; 0 for nonsense.
pub(super) fn amount(value: Option<&Value>) -> i64 {
    value
        .and_then(|value| value.as_i64().or_else(|| percent(value)))
        .unwrap_or(0)
}

/// A count that isn't negative, or a percentage.
pub(super) fn count_or_percent(value: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
    match value {
        Some(Value::String(_)) if value.and_then(percent).is_none() => {
            errors.push(Error::invalid(path, value.cloned().unwrap_or_default(), detail));
        }
        Some(Value::Number(number)) => not_negative(number.as_i64().unwrap_or(0), path, errors),
        _ => {}
    }
}

/// A percentage may not be of more than all.
pub(super) fn not_more_than_all(value: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    if let Some(value) = value
        && percent(value).is_some_and(|percent| percent > 100)
    {
        errors.push(Error::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// Names become those of pods, and so of hosts.
pub(super) fn name_warning(object: &Object) -> Option<String> {
    let broken = names::label(object.name());
    (!object.name().is_empty() && !broken.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
            broken.join(" ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_counts_or_percentages() {
        for (value, expected) in [
            (json!(3), vec![]),
            (json!("25%"), vec![]),
            (
                json!(-1),
                vec!["p: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!("101%"),
                vec!["p: Invalid value: \"101%\": must not be greater than 100%"],
            ),
            (
                json!("x%"),
                vec![
                    "p: Invalid value: \"x%\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                ],
            ),
        ] {
            let mut errors = Vec::new();
            count_or_percent(Some(&value), &Path::new("p"), &mut errors);
            not_more_than_all(Some(&value), &Path::new("p"), &mut errors);
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(told, expected, "{value}");
        }
        assert_eq!(amount(Some(&json!("30%"))), 30);
        assert_eq!(amount(None), 0);
        assert_eq!(amount(Some(&json!("99999999999999999999%"))), i64::MAX);
    }

    #[test]
    fn selectors_are_shown_as_they_are_written_on_a_command_line() {
        let text = |selector: Value| selector_text(json!({"selector": selector}).as_object());
        assert_eq!(text(json!({})), "<none>");
        assert_eq!(
            text(json!({"matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]})),
            "a,b=1"
        );
    }
}
