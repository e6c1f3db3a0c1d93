//! Finding the line of a field (`spec.containers[0].image`) in a YAML document, so that the server's complaint about a field
//! leads to the place in the file.
//!
//! Reads indentation alone, so it follows block style; inside `{...}` and `[...]` it stops at the line where they begin. A field
//! that is missing leads to what it is missing from.

/// The line, counted from 1, of a field or of the nearest thing around it; none when not even its beginning is there.
#[must_use]
pub fn line_of(text: &str, field: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut block = Block {
        from: 0,
        to: lines.len(),
        indent: 0,
    };
    let mut found = None;
    for step in steps(field) {
        let next = match &step {
            Step::Key(key) => block.key(&lines, key),
            Step::Index(index) => block.item(&lines, *index),
        };
        let Some((line, inner)) = next else { break };
        found = Some(line + 1);
        block = inner;
    }
    found
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// `spec.containers[0].env[name]`: what isn't a number in brackets is a key.
fn steps(field: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in field.split('.') {
        let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        }
        while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            steps.push(
                inside
                    .parse()
                    .map_or_else(|_| Step::Key(inside.trim_matches('"').to_owned()), Step::Index),
            );
            rest = after;
        }
    }
    steps
}

/// The lines of a map or list, and the column at which its keys or dashes stand.
#[derive(Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
    indent: usize,
}

impl Block {
    /// The line of a key and the block below it.
    fn key(self, lines: &[&str], key: &str) -> Option<(usize, Self)> {
        let is_it = |line: &str| {
            let rest = content(line, self.indent)?;
            let name = rest.split_once(':')?.0.trim();
            (name.trim_matches(['"', '\'']) == key).then_some(())
        };
        let at = (self.from..self.to).find(|&at| is_it(lines[at]).is_some())?;
        // A list may stand at the column of its key.
        let ends = |line: &str| content(line, self.indent).is_some_and(|rest| !rest.starts_with("- ") && rest != "-");
        let to = (at + 1..self.to).find(|&line| ends(lines[line])).unwrap_or(self.to);
        let indent = (at + 1..to).find_map(|line| indent_of(lines[line])).unwrap_or(0);
        Some((
            at,
            Self {
                from: at + 1,
                to,
                indent,
            },
        ))
    }

    /// The line of a list's element and the block that it is.
    fn item(self, lines: &[&str], index: usize) -> Option<(usize, Self)> {
        let is_dash =
            |at: &usize| content(lines[*at], self.indent).is_some_and(|rest| rest.starts_with("- ") || rest == "-");
        let mut dashes = (self.from..self.to).filter(is_dash);
        let at = dashes.nth(index)?;
        let to = dashes.next().unwrap_or(self.to);
        let behind_dash = content(lines[at], self.indent)?.strip_prefix('-')?;
        let indent = self.indent + 1 + behind_dash.len() - behind_dash.trim_start().len();
        Some((at, Self { from: at, to, indent }))
    }
}

/// What stands at a column of a line, if something begins there; behind a dash counts, too.
fn content(line: &str, indent: usize) -> Option<&str> {
    let before = line.get(..indent)?;
    let rest = line.get(indent..)?.trim_end();
    let begins =
        before.trim_matches(|c| c == ' ' || c == '-').is_empty() && !rest.is_empty() && !rest.starts_with([' ', '#']);
    // A dash further left begins this element only if nothing else does.
    begins.then_some(rest)
}

fn indent_of(line: &str) -> Option<usize> {
    let rest = line.trim_start();
    (!rest.is_empty() && !rest.starts_with('#')).then(|| line.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: x
spec:
  # a comment
  containers:
    - name: a
      image: one
      ports:
      - containerPort: 80
      - containerPort: 81
    -   name: b

        env: [{name: x}]
  volumes:
  - name: v
";

    #[test]
    fn fields_are_found_where_they_stand() {
        for (field, line) in [
            ("kind", Some(2)),
            ("metadata.name", Some(4)),
            ("spec.containers[0].image", Some(9)),
            ("spec.containers[0].ports[1].containerPort", Some(12)),
            ("spec.containers[1].name", Some(13)),
            ("spec.containers[1].env[0].name", Some(15)),
            ("spec.volumes[0].name", Some(17)),
            // What is missing leads to what it is missing from.
            ("spec.containers[1].image", Some(13)),
            ("spec.containers[7].image", Some(7)),
            ("metadata.labels", Some(3)),
            ("status", None),
        ] {
            assert_eq!(line_of(POD, field), line, "{field}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[-a-c: \n#é]{0,60}", field in "[a-c.\\[\\]0-9é]{0,12}") {
            let _ = line_of(&text, &field);
        }
    }
}
