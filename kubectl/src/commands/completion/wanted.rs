//! What a half-written command line wants next. Pure: the tree of verbs is clap's, the words are the user's.

use clap::{Arg, Command};

/// What is to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of these, with what they are.
    OneOf(Vec<(String, String)>),
    /// A kind.
    Kind(String),
    /// The name of an object of a kind; `before` stands before each name (`pod/`, `--for=`).
    Name {
        /// As the user wrote it.
        kind: String,
        /// How the name begins.
        begins: String,
        /// What stands before it.
        before: String,
    },
    /// A context of the kubeconfig.
    Context(String),
    /// A file.
    File {
        /// What stands before it: `--filename=`.
        before: String,
        /// How it begins.
        begins: String,
    },
}

/// What the last of `words` wants.
#[must_use]
pub fn of(root: &Command, words: &[String]) -> Wanted {
    let nothing = String::new();
    let (current, before) = words
        .split_last()
        .map_or((&nothing, &[][..]), |(last, rest)| (last, rest));
    let mut command = root;
    let mut path: Vec<&str> = Vec::new();
    let mut given: Vec<&str> = Vec::new();
    let mut open: Option<&Arg> = None;
    for (index, word) in before.iter().enumerate() {
        if open.take().is_some() {
            continue;
        }
        if word == "--" {
            // What stands behind is a command for a container.
            return Wanted::OneOf(Vec::new());
        }
        if word.starts_with('-') && word.len() > 1 {
            open = flag(root, command, word).filter(|flag| takes_value(flag) && !word.contains('='));
            if open.is_some() && index + 1 == before.len() {
                return of_value(open, current, "");
            }
        } else if let Some(next) = command.find_subcommand(word).filter(|_| given.is_empty()) {
            command = next;
            path.push(next.get_name());
        } else {
            given.push(word);
        }
    }
    if current.starts_with('-') {
        if let Some((name, value)) = current.split_once('=') {
            return of_value(flag(root, command, name), value, &format!("{name}="));
        }
        return Wanted::OneOf(flags(root, command, current));
    }
    if given.is_empty() && command.has_subcommands() {
        return Wanted::OneOf(verbs(command, current));
    }
    positional(&path, &given, current)
}

/// What a verb takes in its place.
fn positional(path: &[&str], given: &[&str], current: &str) -> Wanted {
    let name = |kind: &str| Wanted::Name {
        kind: kind.to_owned(),
        begins: current.to_owned(),
        before: String::new(),
    };
    let of_kind = || match current.split_once('/') {
        Some((kind, begins)) => Wanted::Name {
            kind: kind.to_owned(),
            begins: begins.to_owned(),
            before: format!("{kind}/"),
        },
        None => Wanted::Kind(current.to_owned()),
    };
    let then_names = || match given.first() {
        Some(first) if !first.contains('/') => name(first),
        _ => of_kind(),
    };
    match path {
        [
            "get" | "describe" | "delete" | "label" | "annotate" | "edit" | "patch" | "wait" | "scale" | "expose"
            | "autoscale" | "taint",
        ]
        | ["apply", "view-last-applied" | "edit-last-applied"]
        | ["rollout" | "set", _] => then_names(),
        ["explain"] => Wanted::Kind(current.to_owned()),
        ["logs" | "exec" | "attach" | "port-forward" | "debug" | "cp"]
            if given.is_empty() && !current.contains('/') =>
        {
            name("pods")
        }
        ["logs" | "exec" | "attach" | "port-forward" | "debug"] if given.is_empty() => of_kind(),
        ["top", "pod"] => name("pods"),
        ["cordon" | "uncordon" | "drain"] | ["top", "node"] => name("nodes"),
        ["certificate", _] => name("certificatesigningrequests"),
        ["config", verb] if verb.ends_with("-context") => Wanted::Context(current.to_owned()),
        _ => Wanted::OneOf(Vec::new()),
    }
}

/// What a flag's value may be.
fn of_value(flag: Option<&Arg>, begins: &str, before: &str) -> Wanted {
    let Some(flag) = flag else {
        return Wanted::OneOf(Vec::new());
    };
    let object = |kind: &str| Wanted::Name {
        kind: kind.to_owned(),
        begins: begins.to_owned(),
        before: before.to_owned(),
    };
    match flag.get_id().as_str() {
        "namespace" => return object("namespaces"),
        "context" => return Wanted::Context(begins.to_owned()),
        "filename" | "kubeconfig" | "patch_file" | "certificate_authority" | "client_certificate" | "client_key" => {
            return Wanted::File {
                before: before.to_owned(),
                begins: begins.to_owned(),
            };
        }
        _ => {}
    }
    let values = flag
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set());
    let values = values.filter(|value| value.get_name().starts_with(begins));
    let described = values.map(|value| {
        let about = value.get_help().map(ToString::to_string).unwrap_or_default();
        (format!("{before}{}", value.get_name()), about)
    });
    let values: Vec<(String, String)> = described.collect();
    if values.is_empty() && flag.get_id() == "output" {
        let forms = ["json", "yaml", "name", "wide", "jsonpath=", "custom-columns="];
        let fitting = forms.iter().filter(|form| form.starts_with(begins));
        return Wanted::OneOf(fitting.map(|form| (format!("{before}{form}"), String::new())).collect());
    }
    Wanted::OneOf(values)
}

fn verbs(command: &Command, begins: &str) -> Vec<(String, String)> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let fitting = shown.filter(|verb| verb.get_name().starts_with(begins));
    fitting
        .map(|verb| {
            (
                verb.get_name().to_owned(),
                first_line(verb.get_about().map(ToString::to_string)),
            )
        })
        .collect()
}

fn flags(root: &Command, command: &Command, begins: &str) -> Vec<(String, String)> {
    let own = command.get_arguments().filter(|flag| !flag.is_hide_set());
    // The connection's flags are hidden in help, where they would be in the way of the verb's own, but not here.
    let global = root.get_arguments().filter(|flag| flag.is_global_set());
    let mut found: Vec<(String, String)> = own
        .chain(global)
        .filter_map(|flag| {
            let name = format!("--{}", flag.get_long()?);
            let about = first_line(flag.get_help().map(ToString::to_string));
            name.starts_with(begins).then_some((name, about))
        })
        .collect();
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

fn flag<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or_default();
    let is_it = |flag: &&Arg| match name.strip_prefix("--") {
        Some(long) => flag.get_long() == Some(long),
        // The last of `-it` may take the value.
        None => flag.get_short().is_some() && flag.get_short() == name.chars().last(),
    };
    let mut own = command.get_arguments();
    let mut global = root.get_arguments().filter(|flag| flag.is_global_set());
    own.find(is_it).or_else(|| global.find(is_it))
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values() && flag.get_num_args().is_none_or(|count| count.min_values() > 0)
}

fn first_line(text: Option<String>) -> String {
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn wanted(line: &str) -> Wanted {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        of(&crate::Minikctl::command(), &words)
    }

    fn names(line: &str) -> Vec<String> {
        match wanted(line) {
            Wanted::OneOf(candidates) => candidates.into_iter().map(|(name, _)| name).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn object(kind: &str, begins: &str, before: &str) -> Wanted {
        Wanted::Name {
            kind: kind.to_owned(),
            begins: begins.to_owned(),
            before: before.to_owned(),
        }
    }

    #[test]
    fn verbs_and_flags() {
        assert_eq!(names("rol"), ["rollout"]);
        assert!(names("rollout ").contains(&"undo".to_owned()));
        assert_eq!(names("get --watch-o"), ["--watch-only"]);
        assert!(names("get --as-").contains(&"--as-group".to_owned()));
        assert!(names("run x --restart=N").contains(&"--restart=Never".to_owned()));
        assert!(names("get pods -o ").contains(&"yaml".to_owned()));
        assert!(names("exec a -- l").is_empty());
        assert!(!names("").contains(&"__complete".to_owned()));
    }

    #[test]
    fn kinds_and_names() {
        assert_eq!(wanted("get po"), Wanted::Kind("po".to_owned()));
        assert_eq!(wanted("get pods ng"), object("pods", "ng", ""));
        assert_eq!(wanted("get pods a b"), object("pods", "b", ""));
        assert_eq!(wanted("describe deploy/w"), object("deploy", "w", "deploy/"));
        assert_eq!(wanted("-n x logs ng"), object("pods", "ng", ""));
        assert_eq!(wanted("logs deploy/w"), object("deploy", "w", "deploy/"));
        assert_eq!(wanted("rollout undo deploy w"), object("deploy", "w", ""));
        assert_eq!(wanted("drain n"), object("nodes", "n", ""));
        assert_eq!(
            wanted("certificate approve x"),
            object("certificatesigningrequests", "x", "")
        );
        assert_eq!(wanted("apply view-last-applied cm x"), object("cm", "x", ""));
        assert_eq!(wanted("get -n d"), object("namespaces", "d", ""));
        assert_eq!(wanted("get --namespace=d"), object("namespaces", "d", "--namespace="));
        assert_eq!(wanted("config use-context m"), Wanted::Context("m".to_owned()));
        let file = Wanted::File {
            before: String::new(),
            begins: "man".to_owned(),
        };
        assert_eq!(wanted("apply -f man"), file);
    }
}
