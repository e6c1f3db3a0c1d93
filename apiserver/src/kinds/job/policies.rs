//! When a job has failed or succeeded: by exit codes and conditions of its pods, by the indexes that are done.

use std::collections::HashSet;

use minik_api::field::{Error, Path, Problem};
use minik_api::names;
use serde_json::Value;

use crate::kinds::checks;
use crate::kinds::fill::{self, Fields};
use crate::kinds::pod_template::Template;
use crate::kinds::workload::number;

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;
const INDEXES_MAX_BYTES: usize = 64 * 1024;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// `podFailurePolicy`
pub(super) fn failure(spec: Option<&Fields>, template: Template<'_>, path: &Path, errors: &mut Vec<Error>) {
    let Some(policy) = spec.and_then(|spec| spec.get("podFailurePolicy")) else {
        return;
    };
    let (rules, path) = (list(policy, "rules"), path.child("rules"));
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
    }
    let by_index = number(spec, "backoffLimitPerIndex").is_some();
    let containers = template.container_names();
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(rule, by_index, &containers, &path.index(index), errors);
    }
}

fn failure_rule(rule: &Value, by_index: bool, containers: &[&str], path: &Path, errors: &mut Vec<Error>) {
    let action = rule["action"].as_str().unwrap_or_default();
    let action_path = path.child("action");
    match action {
        "" => errors.push(Error::required(&action_path, quoted(ACTIONS))),
        "FailIndex" if !by_index => {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.push(Error::invalid(&action_path, action, detail));
        }
        action if ACTIONS.contains(&action) => {}
        action => errors.push(Error::not_supported(&action_path, action, ACTIONS)),
    }
    let (codes, patterns) = (rule.get("onExitCodes"), list(rule, "onPodConditions"));
    if let Some(codes) = codes {
        exit_codes(codes, containers, &path.child("onExitCodes"), errors);
    }
    conditions(patterns, &path.child("onPodConditions"), errors);
    match (codes.is_some(), !patterns.is_empty()) {
        (true, true) => errors.push(whole(
            path,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        )),
        (false, false) => errors.push(whole(
            path,
            "specifying one of OnExitCodes and OnPodConditions is required",
        )),
        _ => {}
    }
}

fn exit_codes(codes: &Value, containers: &[&str], path: &Path, errors: &mut Vec<Error>) {
    let operators = ["In", "NotIn"];
    let operator = codes["operator"].as_str().unwrap_or_default();
    let operator_path = path.child("operator");
    match operator {
        "" => errors.push(Error::required(&operator_path, quoted(&operators))),
        operator if operators.contains(&operator) => {}
        operator => errors.push(Error::not_supported(&operator_path, operator, &operators)),
    }
    if let Some(name) = codes["containerName"]
        .as_str()
        .filter(|name| !containers.contains(name))
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), name, detail));
    }
    let (values, path) = (list(codes, "values"), path.child("values"));
    if values.is_empty() {
        errors.push(Error::invalid(
            &path,
            Value::Array(Vec::new()),
            "at least one value is required",
        ));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&path, values.len(), EXIT_CODES_MAX));
    }
    let numbers: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = HashSet::new();
    for (index, &code) in numbers.iter().enumerate() {
        if operator == "In" && code == 0 {
            let detail = "must not be 0 for the In operator";
            errors.push(Error::invalid(&path.index(index), code, detail));
        }
        if !seen.insert(code) {
            errors.push(Error::duplicate(&path.index(index), code));
        }
    }
    if !numbers.is_sorted() {
        errors.push(Error::invalid(&path, Value::from(numbers), "must be ordered"));
    }
}

fn conditions(patterns: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if patterns.len() > PATTERNS_MAX {
        errors.push(Error::too_many(path, patterns.len(), PATTERNS_MAX));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        let kind = pattern["type"].as_str().unwrap_or_default();
        checks::name(names::qualified, kind, &path.child("type"), errors);
        let path = path.child("status");
        match pattern["status"].as_str().unwrap_or_default() {
            "" => errors.push(Error::required(&path, quoted(STATUSES))),
            status if STATUSES.contains(&status) => {}
            status => errors.push(Error::not_supported(&path, status, STATUSES)),
        }
    }
}

/// `successPolicy`
pub(super) fn success(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let Some((spec, policy)) = spec.and_then(|spec| Some((spec, spec.get("successPolicy")?))) else {
        return;
    };
    let rules = list(policy, "rules");
    if fill::text(spec, "completionMode") != "Indexed" {
        let detail = "requires indexed completion mode";
        errors.push(Error::invalid(path, policy.clone(), detail));
        return;
    }
    let path = path.child("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(Error::required(&path, detail));
    } else if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
    }
    let completions = number(Some(spec), "completions").unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, completions, &path.index(index), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &Path, errors: &mut Vec<Error>) {
    let (indexes, count) = (rule["succeededIndexes"].as_str(), rule["succeededCount"].as_i64());
    if indexes.is_none() && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(Error::required(path, detail));
    }
    let mut total = completions;
    if let Some(indexes) = indexes {
        let path = path.child("succeededIndexes");
        if indexes.len() > INDEXES_MAX_BYTES {
            errors.push(Error::too_long(&path, INDEXES_MAX_BYTES));
        }
        match count_indexes(indexes, completions) {
            Ok(counted) => total = counted,
            Err(why) => {
                let detail = format!("error parsing succeededIndexes: {why}");
                errors.push(Error::invalid(&path, indexes, detail));
            }
        }
    }
    if let Some(count) = count {
        let path = path.child("succeededCount");
        checks::not_negative(count, &path, errors);
        if count > completions {
            let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
            errors.push(Error::invalid(&path, count, detail));
        }
        if indexes.is_some() && count > total {
            let detail = format!(
                "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            );
            errors.push(Error::invalid(&path, count, detail));
        }
    }
}

/// How many indexes `1,3-5` names; they ascend.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, None);
    if text.is_empty() {
        return Ok(0);
    }
    for interval in text.split(',') {
        let limits: Vec<&str> = interval.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let number = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let first = number(limits[0])?;
        if first >= completions {
            return Err(format!("too large index: {:?}", limits[0]));
        }
        if last.is_some_and(|last| last >= first) {
            return Err(format!(
                "non-increasing order, previous: {}, current: {first}",
                last.unwrap_or(0)
            ));
        }
        let end = match limits.get(1) {
            None => first,
            Some(end) => {
                let end_number = number(end)?;
                if end_number >= completions {
                    return Err(format!("too large index: {end:?}"));
                }
                if first >= end_number {
                    return Err(format!(
                        "non-increasing order, previous: {first}, current: {end_number}"
                    ));
                }
                end_number
            }
        };
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn quoted(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", values.join(" "))
}

/// Wrong as a whole: its value isn't shown.
fn whole(path: &Path, detail: &str) -> Error {
    Error::new(path, Problem::InvalidWhole, detail)
}

#[cfg(test)]
mod tests {
    use super::count_indexes;

    #[test]
    fn indexes_are_counted() {
        assert_eq!(count_indexes("1,3-5,7", 8), Ok(5));
        assert_eq!(count_indexes("", 8), Ok(0));
        for text in ["8", "3-1", "1,1", "1-2-3", "x", "5-9", ","] {
            assert!(count_indexes(text, 8).is_err(), "{text}");
        }
    }
}
