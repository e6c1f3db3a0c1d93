//! The JSON paths of printer columns: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`,
//! `.metadata.annotations.example\.com/name`. As much of kubectl's dialect as can name one value.

use serde_json::Value;

/// A path that can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized JSON path at character {0}")]
pub(crate) struct InvalidPath(usize);

/// A path, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Negative from the end.
    Index(i64),
    /// From, to.
    Slice(Option<i64>, Option<i64>),
    All,
    /// Every value below, and the value itself.
    Below,
    Where(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    path: JsonPath,
    test: Option<(Operator, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path; it may stand in braces.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPath> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let mut reader = Reader { text: inner, at: 0 };
        let path = reader.path()?;
        if reader.at < inner.len() {
            return Err(InvalidPath(reader.at));
        }
        Ok(path)
    }

    /// The first value that is there.
    pub(crate) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        first(&self.0, value)
    }
}

fn first<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    match step {
        Step::Field(name) => first(rest, value.get(name)?),
        Step::Index(index) => {
            let list = value.as_array()?;
            first(rest, list.get(place(*index, list.len())?)?)
        }
        Step::Slice(from, to) => {
            let list = value.as_array()?;
            let bound = |at: i64| place(at, list.len()).unwrap_or(if at < 0 { 0 } else { list.len() });
            let (from, to) = (from.map_or(0, bound), to.map_or(list.len(), bound));
            list.get(from..to)?.iter().find_map(|item| first(rest, item))
        }
        Step::All => children(value).find_map(|child| first(rest, child)),
        Step::Below => first(rest, value).or_else(|| children(value).find_map(|child| first(steps, child))),
        Step::Where(filter) => children(value)
            .filter(|child| filter.takes(child))
            .find_map(|child| first(rest, child)),
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn place(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => (index < length).then_some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl Filter {
    fn takes(&self, item: &Value) -> bool {
        let found = self.path.first(item);
        let Some((operator, wanted)) = &self.test else {
            return found.is_some();
        };
        let Some(found) = found else { return false };
        let order = match (found, wanted) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => (found == wanted).then_some(std::cmp::Ordering::Equal),
        };
        match operator {
            Operator::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Operator::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
            Operator::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Operator::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
            Operator::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Operator::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn takes(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Everything up to what can't continue a path.
    fn path(&mut self) -> Result<JsonPath, InvalidPath> {
        let mut steps = Vec::new();
        if matches!(self.peek(), Some('$' | '@')) {
            self.at += 1;
        }
        loop {
            if self.takes("..") {
                steps.push(Step::Below);
                if self.peek() != Some('[') {
                    steps.push(self.name()?);
                }
            } else if self.takes(".") {
                // `.` alone is the whole object.
                if self.peek().is_some_and(|c| c != '[') {
                    steps.push(self.name()?);
                }
            } else if self.takes("[") {
                steps.push(self.brackets()?);
            } else {
                return Ok(JsonPath(steps));
            }
        }
    }

    fn name(&mut self) -> Result<Step, InvalidPath> {
        if self.takes("*") {
            return Ok(Step::All);
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    let escaped = self.peek().ok_or(InvalidPath(self.at))?;
                    name.push(escaped);
                    self.at += escaped.len_utf8();
                }
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' => break,
                _ => {
                    name.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        if name.is_empty() {
            return Err(InvalidPath(self.at));
        }
        Ok(Step::Field(name))
    }

    fn brackets(&mut self) -> Result<Step, InvalidPath> {
        let step = if self.takes("?(") {
            Step::Where(self.filter()?)
        } else if self.takes("*") {
            Step::All
        } else if matches!(self.peek(), Some('\'' | '"')) {
            Step::Field(self.quoted()?)
        } else {
            self.numbers()?
        };
        if self.takes("]") {
            Ok(step)
        } else {
            Err(InvalidPath(self.at))
        }
    }

    fn numbers(&mut self) -> Result<Step, InvalidPath> {
        let from = self.number()?;
        if self.takes(":") {
            return Ok(Step::Slice(from, self.number()?));
        }
        from.map(Step::Index).ok_or(InvalidPath(self.at))
    }

    fn number(&mut self) -> Result<Option<i64>, InvalidPath> {
        let length = self
            .rest()
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'-')
            .count();
        if length == 0 {
            return Ok(None);
        }
        let number = self.rest()[..length].parse().map_err(|_| InvalidPath(self.at))?;
        self.at += length;
        Ok(Some(number))
    }

    fn quoted(&mut self) -> Result<String, InvalidPath> {
        let quote = self.peek().ok_or(InvalidPath(self.at))?;
        self.at += 1;
        let mut text = String::new();
        while let Some(mut c) = self.peek() {
            self.at += c.len_utf8();
            if c == quote {
                return Ok(text);
            }
            if c == '\\' {
                c = self.peek().ok_or(InvalidPath(self.at))?;
                self.at += c.len_utf8();
            }
            text.push(c);
        }
        Err(InvalidPath(self.at))
    }

    fn filter(&mut self) -> Result<Filter, InvalidPath> {
        self.blanks();
        if self.peek() != Some('@') {
            return Err(InvalidPath(self.at));
        }
        let path = self.path()?;
        self.blanks();
        let operator = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let operator = operator.into_iter().find(|(sign, _)| self.takes(sign));
        let test = match operator {
            Some((_, operator)) => {
                self.blanks();
                Some((operator, self.literal()?))
            }
            None => None,
        };
        self.blanks();
        if self.takes(")") {
            return Ok(Filter { path, test });
        }
        Err(InvalidPath(self.at))
    }

    fn literal(&mut self) -> Result<Value, InvalidPath> {
        if matches!(self.peek(), Some('\'' | '"')) {
            return self.quoted().map(Value::from);
        }
        let length = self.rest().find([')', ' ']).ok_or(InvalidPath(self.at))?;
        let value = serde_json::from_str(&self.rest()[..length]).map_err(|_| InvalidPath(self.at))?;
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_kubectl_finds() {
        let object = json!({"metadata": {"annotations": {"a.b/c": "d"}}, "spec": {"list": [1, 2, 3], "x": {"y": "z"}},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True", "n": 3}]}});
        for (path, found) in [
            (".spec.x.y", json!("z")),
            ("{.spec.x.y}", json!("z")),
            (".spec['x'].y", json!("z")),
            (".spec.list[1]", json!(2)),
            (".spec.list[-1]", json!(3)),
            (".spec.list[1:]", json!(2)),
            (".spec.list[*]", json!(1)),
            (".spec.*.y", json!("z")),
            ("..y", json!("z")),
            (r".metadata.annotations.a\.b/c", json!("d")),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!("True")),
            (".status.conditions[?(@.type == 'Ready')].status", json!("True")),
            (".status.conditions[?(@.n>2)].type", json!("Ready")),
            (".status.conditions[?(@.n)].type", json!("Ready")),
        ] {
            let parsed = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(parsed.first(&object), Some(&found), "{path}");
        }
        for path in [
            ".spec.none",
            ".spec.list[7]",
            ".spec.list[-4]",
            ".status.conditions[?(@.type==\"B\")]",
        ] {
            assert_eq!(JsonPath::parse(path).expect(path).first(&object), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for path in [".spec[", ".spec[?(@.a", "spec", ".a..", ".a[x]", ".a[?(b==1)]", ".a\\"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
