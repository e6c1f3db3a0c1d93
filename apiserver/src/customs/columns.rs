//! What `kubectl get` shows of a custom kind: the name, then the columns that its definition prints.

use jiff::Timestamp;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::JsonPath;
use crate::kinds::since_or_unknown;

/// A printer column (apiextensions.k8s.io CustomResourceColumnDefinition).
pub(super) struct Column {
    definition: Value,
    kind: String,
    path: Option<JsonPath>,
}

impl Column {
    /// The columns of a version; its age alone when the definition says nothing.
    pub(super) fn read(version: &Value) -> Vec<Self> {
        let columns = version["additionalPrinterColumns"].as_array();
        let columns: Vec<Self> = columns.into_iter().flatten().map(Self::read_one).collect();
        if columns.is_empty() {
            let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
                "description": "The time since the object was created."});
            return vec![Self::read_one(&age)];
        }
        columns
    }

    fn read_one(column: &Value) -> Self {
        let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        let path = text("jsonPath");
        let description = match text("description") {
            empty if empty.is_empty() => format!("Custom resource definition column (in JSONPath format): {path}"),
            description => description,
        };
        Self {
            definition: json!({"name": text("name"), "type": text("type"), "format": text("format"),
                "description": description, "priority": column["priority"].as_i64().unwrap_or(0)}),
            kind: text("type"),
            path: JsonPath::parse(&path).ok(),
        }
    }

    /// metav1.TableColumnDefinition
    pub(super) fn definition(&self) -> Value {
        self.definition.clone()
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().and_then(|path| path.first(object));
        let Some(value) = found.filter(|value| !value.is_null()) else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => value.clone(),
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(number)) => match number.as_i64() {
                Some(_) => value.clone(),
                #[expect(clippy::cast_possible_truncation, reason = "as upstream shows it")]
                None => number.as_f64().map(|float| float as i64).into(),
            },
            ("date", Value::String(time)) => match time.parse::<Timestamp>() {
                Ok(time) => since_or_unknown(Some(time), now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

/// The cells of one object.
pub(super) fn cells(columns: &[Column], object: &Object, now: Timestamp) -> Vec<Value> {
    let value = object.to_value();
    let cells = columns.iter().map(|column| column.cell(&value, now));
    std::iter::once(Value::from(object.name())).chain(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_columns_type() {
        let version = json!({"additionalPrinterColumns": [
            {"name": "S", "type": "string", "jsonPath": ".spec.n"},
            {"name": "I", "type": "integer", "jsonPath": ".spec.n"},
            {"name": "F", "type": "integer", "jsonPath": ".spec.f"},
            {"name": "B", "type": "boolean", "jsonPath": ".spec.b"},
            {"name": "Wrong", "type": "boolean", "jsonPath": ".spec.n"},
            {"name": "None", "type": "string", "jsonPath": ".spec.none"},
            {"name": "D", "type": "date", "jsonPath": ".spec.d", "priority": 1}]});
        let columns = Column::read(&version);
        let object = json!({"metadata": {"name": "a"},
            "spec": {"n": 3, "f": 2.5, "b": true, "d": "1970-01-01T00:00:00Z"}});
        let object: Object = serde_json::from_value(object).expect("an object");
        let now = Timestamp::from_second(90).expect("a time");
        let cells = cells(&columns, &object, now);
        assert_eq!(json!(cells), json!(["a", "3", 3, 2, true, null, null, "90s"]));
        assert_eq!(columns[6].definition()["priority"], 1);
    }

    #[test]
    fn without_columns_the_age_is_shown() {
        let columns = Column::read(&json!({}));
        assert_eq!(columns.len(), 1);
        assert_eq!(columns[0].definition()["name"], "Age");
    }
}
