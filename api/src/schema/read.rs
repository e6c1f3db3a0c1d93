//! Reads the table of shapes. The text is part of the executable, so a line that can't be read is a bug, found by any test.

use std::collections::HashMap;

use super::{Definition, Field, List, Merge, Name, Reference, Shape, Table};

/// A definition's place and the lines of its fields.
struct Entry {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    atomic: bool,
    lines: Vec<&'static str>,
}

type Index = HashMap<Name, usize>;
type Values = HashMap<Name, Vec<&'static str>>;

/// The whole table. References go forward, so names are gathered first.
pub(super) fn table(text: &'static str) -> Table {
    let (entries, values) = entries(text);
    let index: Index = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| ((entry.group, entry.version, entry.name), at))
        .collect();
    let definitions = entries.iter().map(|entry| definition(entry, &index)).collect();
    Table {
        definitions,
        index,
        values,
    }
}

fn entries(text: &'static str) -> (Vec<Entry>, Values) {
    let (mut entries, mut values): (Vec<Entry>, Values) = Default::default();
    let (mut group, mut version) = ("", "");
    for line in text.lines() {
        if let Some(field) = line.strip_prefix("  ") {
            let entry = entries.last_mut().expect("a field follows its definition");
            entry.lines.push(field);
        } else if let Some(definition) = line.strip_prefix(' ') {
            let (name, mark) = definition.split_once(' ').unwrap_or((definition, ""));
            if let Some(listed) = mark.strip_prefix("= ") {
                values.insert((group, version, name), listed.split('|').collect());
                continue;
            }
            entries.push(Entry {
                group,
                version,
                name,
                atomic: mark == "atomic",
                lines: Vec::new(),
            });
        } else {
            (group, version) = line.split_once('/').expect("a group and a version");
        }
    }
    (entries, values)
}

fn definition(entry: &Entry, index: &Index) -> Definition {
    let mut fields: Vec<Field> = entry.lines.iter().map(|line| field(line, entry, index)).collect();
    fields.sort_unstable_by_key(|field| field.name);
    Definition {
        group: entry.group,
        version: entry.version,
        name: entry.name,
        atomic: entry.atomic,
        fields,
    }
}

fn field(line: &'static str, entry: &Entry, index: &Index) -> Field {
    let mut words = line.split(' ');
    let marked = words.next().expect("a name");
    let shape = shape(words.next().expect("a type"), entry, index);
    let (mut merge, mut list, mut numbers) = (Merge::default(), List::Default, Vec::new());
    let (mut required, mut default) = (!marked.contains('?'), None);
    for word in words {
        if let Some(path) = word.strip_prefix('#') {
            numbers = path
                .split('.')
                .map(|number| number.parse().expect("a number"))
                .collect();
            continue;
        }
        match word.split_once('=').unwrap_or((word, "")) {
            ("merge", key) => {
                merge.items = true;
                merge.key = Some(key).filter(|key| !key.is_empty());
            }
            ("retainKeys", _) => merge.retain_keys = true,
            ("replace", _) => merge.replace = true,
            ("list", "atomic") | ("atomic", _) => list = List::Atomic,
            ("list", "set") => list = List::Set,
            ("list", "map") => list = List::Map(Vec::new()),
            ("list", keys) => {
                let keys = keys.strip_prefix("map:").expect("a list's type");
                list = List::Map(keys.split(',').collect());
            }
            ("granular", _) => list = List::Granular,
            ("optional", _) => required = false,
            ("required", _) => required = true,
            ("default", json) => default = Some(json),
            (other, _) => panic!("{other} is no mark of a field, in {line}"),
        }
    }
    Field {
        name: marked.trim_end_matches(['?', '*']),
        shape,
        omit_empty: marked.contains('?'),
        pointer: marked.contains('*'),
        required,
        default,
        numbers,
        merge,
        list,
    }
}

fn shape(text: &'static str, entry: &Entry, index: &Index) -> Shape {
    if let Some((items, _)) = bracketed(text, '[', ']') {
        return Shape::List(Box::new(shape(items, entry, index)));
    }
    if let Some((items, alias)) = bracketed(text, '{', '}') {
        return Shape::Map(Box::new(shape(items, entry, index)), alias);
    }
    let (text, alias) = match text.split_once('(') {
        Some((text, alias)) => (text, Some(alias.trim_end_matches(')'))),
        None => (text, None),
    };
    match text {
        "string" => Shape::String(alias),
        "int32" => Shape::Int32,
        "int64" | "int" => Shape::Int64,
        "float64" => Shape::Float64,
        "bool" => Shape::Bool,
        "bytes" => Shape::Bytes,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "quantity" => Shape::Quantity,
        "intorstring" => Shape::IntOrString,
        "any" => Shape::Any,
        reference => Shape::Object(resolve(reference, entry, index)),
    }
}

/// What stands in the outermost brackets, and the alias in parentheses behind them: `{quantity}(ResourceList)`.
fn bracketed(text: &'static str, open: char, close: char) -> Option<(&'static str, Option<&'static str>)> {
    let (items, behind) = text.strip_prefix(open)?.rsplit_once(close)?;
    // `[string](ExtraValue)` and `{[string](ExtraValue)}`: what is behind the last bracket is its own alias or nothing.
    let alias = behind.strip_prefix('(').map(|alias| alias.trim_end_matches(')'));
    Some((items, alias))
}

/// `PodSpec` of the same group, or `core/v1.PodTemplateSpec`.
fn resolve(text: &'static str, entry: &Entry, index: &Index) -> Reference {
    let (group, version, name) = match text.split_once('/') {
        Some((group, rest)) => {
            let (version, name) = rest.split_once('.').expect("a version and a name");
            (group, version, name)
        }
        None => (entry.group, entry.version, text),
    };
    let found = index.get(&(group, version, name));
    Reference(*found.unwrap_or_else(|| panic!("{text} in {} isn't in the table", entry.name)))
}
