//! Label selectors: `app=web,tier in (a, b),!canary`.
//!
//! The grammar is apimachinery's `labels.Parse`.

mod parse;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::InvalidSelector;

/// Which labels an object must have; the empty selector takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<Requirement>);

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold for it.
    pub operator: Operator,
}

/// What must hold for a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It is there with one of these values.
    In(Vec<String>),
    /// It is absent, or has none of these values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// It is a whole number above this one.
    Gt(i64),
    /// It is a whole number below this one.
    Lt(i64),
}

impl Labels {
    /// Reads a selector as it stands in a URL or on a command line.
    ///
    /// # Errors
    /// When the text isn't one, saying where.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        parse::requirements(text).map(Self)
    }

    /// The selector of a spec (`matchLabels` and `matchExpressions`).
    ///
    /// # Errors
    /// When an operator isn't known or its values don't fit.
    pub fn from_spec(spec: &LabelSelector) -> Result<Self, InvalidSelector> {
        let labels = spec.match_labels.iter().flatten();
        let mut requirements: Vec<Requirement> = labels
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value.clone()]),
            })
            .collect();
        for expression in spec.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            let operator = Operator::named(&expression.operator, values)?;
            requirements.push(Requirement {
                key: expression.key.clone(),
                operator,
            });
        }
        // As upstream shows it.
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Self(requirements))
    }

    /// Whether these labels are taken.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// Takes everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Operator {
    /// The operator of a `matchExpressions` entry.
    ///
    /// # Errors
    /// When it isn't known or the values don't fit it.
    pub fn named(name: &str, values: Vec<String>) -> Result<Self, InvalidSelector> {
        let number = || match values.as_slice() {
            [only] => only.parse().map_err(|_| InvalidSelector::Operator(name.to_owned())),
            _ => Err(InvalidSelector::Operator(name.to_owned())),
        };
        match name {
            "In" if !values.is_empty() => Ok(Self::In(values)),
            "NotIn" if !values.is_empty() => Ok(Self::NotIn(values)),
            "Exists" if values.is_empty() => Ok(Self::Exists),
            "DoesNotExist" if values.is_empty() => Ok(Self::DoesNotExist),
            "Gt" => number().map(Self::Gt),
            "Lt" => number().map(Self::Lt),
            _ => Err(InvalidSelector::Operator(name.to_owned())),
        }
    }

    /// Whether it holds for a label's value, `None` when the label is absent.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = |value: &str| value.parse::<i64>().ok();
        match (self, value) {
            (Self::In(values), Some(value)) => values.iter().any(|wanted| wanted == value),
            (Self::NotIn(values), Some(value)) => values.iter().all(|unwanted| unwanted != value),
            (Self::Exists, Some(_)) | (Self::NotIn(_) | Self::DoesNotExist, None) => true,
            (Self::Gt(bound), Some(value)) => number(value).is_some_and(|value| value > *bound),
            (Self::Lt(bound), Some(value)) => number(value).is_some_and(|value| value < *bound),
            (Self::DoesNotExist, Some(_)) | (Self::In(_) | Self::Exists | Self::Gt(_) | Self::Lt(_), None) => false,
        }
    }
}

impl Requirement {
    /// Whether it holds for these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.operator.holds(labels.get(&self.key).map(String::as_str))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Operator::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::Gt(bound) => write!(f, "{key}>{bound}")?,
                Operator::Lt(bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn label_selectors_decide_as_in_kubernetes() {
        let web = labels(&[("app", "web"), ("n", "5")]);
        for (text, taken) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web", true),
            ("app!=web", false),
            ("tier!=x", true),
            ("app", true),
            ("!app", false),
            ("!tier", true),
            ("app in (a, web)", true),
            ("app in(a,b),n", false),
            ("app in (b,,web)", true),
            ("in in (a)", false),
            ("!in", true),
            ("app notin (a,b)", true),
            ("tier notin (a)", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("example.com/x=", false),
        ] {
            assert_eq!(Labels::parse(text).expect(text).matches(&web), taken, "{text}");
        }
    }

    #[test]
    fn broken_label_selectors_are_refused() {
        for text in ["=a", "a=b=c", "a in b", "a in (b", "-a", "a~b", "a=b c", "a>x"] {
            assert!(Labels::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(text in "[a-c!=<>(), in5-]{0,24}") {
            if let Ok(selector) = Labels::parse(&text) {
                prop_assert_eq!(Labels::parse(&selector.to_string()), Ok(selector));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Labels::parse(&text);
        }
    }
}
