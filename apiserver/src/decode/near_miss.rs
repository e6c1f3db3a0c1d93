//! The field that was probably meant.

use minik_api::schema::Definition;

/// The name of a field that differs from `name` by no more than a third of its letters, if there is one.
pub(super) fn near_miss(definition: &Definition, name: &str) -> Option<&'static str> {
    let limit = (name.len() / 3).clamp(1, 3);
    definition
        .fields()
        .iter()
        .filter(|field| field.name.len().abs_diff(name.len()) <= limit)
        .map(|field| (distance(&field.name.to_lowercase(), &name.to_lowercase()), field.name))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or exchanged (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use minik_api::schema;

    #[test]
    fn misspelt_fields_are_recognized() {
        let spec = schema::named("", "v1", "PodSpec").expect("there");
        for (name, meant) in [
            ("contaners", Some("containers")),
            ("container", Some("containers")),
            ("restartpolicy", Some("restartPolicy")),
            ("nodename", Some("nodeName")),
            ("replicas", None),
            ("x", None),
        ] {
            assert_eq!(near_miss(spec, name), meant, "{name}");
        }
    }
}
