//! `get --sort-by`: the order that a field's values give.

use std::cmp::Ordering;
use std::str::FromStr;

use anyhow::bail;
use minik_api::quantity::Quantity;
use serde_json::Value;

use crate::print::jsonpath::Template;

/// The field to sort by.
#[derive(Clone, Debug)]
pub struct Sorting {
    path: String,
    template: Template,
}

impl FromStr for Sorting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self {
            path: text.to_owned(),
            template: Template::relaxed(text)?,
        })
    }
}

impl Sorting {
    /// Sorts things by what stands there in each one's object; those that have nothing there come first.
    ///
    /// # Errors
    /// When no object has it.
    pub fn sort<T>(&self, things: &mut [T], object: impl Fn(&T) -> &Value) -> anyhow::Result<()> {
        let key = |thing: &T| self.template.find(object(thing)).first().map(|found| (*found).clone());
        if !things.is_empty() && things.iter().all(|thing| key(thing).is_none()) {
            bail!(
                "couldn't find any field with path {:?} in the list of objects",
                self.path
            );
        }
        things.sort_by(|a, b| order(key(a).as_ref(), key(b).as_ref()));
        Ok(())
    }
}

fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let (a, b) = match (a, b) {
        (None, None) => return Ordering::Equal,
        (None, Some(_)) => return Ordering::Less,
        (Some(_), None) => return Ordering::Greater,
        (Some(a), Some(b)) => (a, b),
    };
    if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        return a.total_cmp(&b);
    }
    let (Some(a), Some(b)) = (a.as_str(), b.as_str()) else {
        return a.to_string().cmp(&b.to_string());
    };
    match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_sort_by_what_they_are() {
        let sorted = |values: Value| -> Vec<Value> {
            let mut list: Vec<Value> = values.as_array().expect("a list").clone();
            let sorting: Sorting = "a".parse().expect("a path");
            sorting.sort(&mut list, |value| value).expect("they have it");
            list.into_iter().map(|value| value["a"].clone()).collect()
        };
        assert_eq!(
            sorted(json!([{"a": 10}, {"a": 9}, {}])),
            [Value::Null, json!(9), json!(10)]
        );
        assert_eq!(sorted(json!([{"a": "1Gi"}, {"a": "5M"}])), ["5M", "1Gi"]);
        assert_eq!(
            sorted(json!([{"a": "p-10"}, {"a": "p-9"}, {"a": "o"}, {"a": "p"}])),
            ["o", "p", "p-10", "p-9"]
        );
        let sorting: Sorting = "b".parse().expect("a path");
        assert!(sorting.sort(&mut [json!({"a": 1})], |value| value).is_err());
    }
}
