//! The file in the user's editor: what is written into it, and what comes out of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::print::{gojson, yaml};

/// The language that objects are edited in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// With what there is to say above the objects, as comments.
    #[default]
    Yaml,
    /// JSON has no comments.
    Json,
}

impl Language {
    /// The objects as they stand in the editor.
    pub(super) fn text(self, objects: &[&Value]) -> String {
        let whole = match objects {
            [one] => (*one).clone(),
            several => json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": several}),
        };
        match self {
            Self::Yaml => yaml::document(&whole),
            Self::Json => format!("{}\n", gojson::indented(&whole)),
        }
    }

    /// What stands above the objects.
    pub(super) fn header(self, reasons: &[String]) -> String {
        if self == Self::Json {
            return String::new();
        }
        let mut header = String::from(
            "# Change the object below and save. Lines that begin with a '#' don't count; an empty file\n\
             # changes nothing. What the server refuses comes back here, with the reason.\n#\n",
        );
        for line in reasons.iter().flat_map(|reason| reason.lines()) {
            header.push_str(&format!("# {line}\n"));
        }
        if !reasons.is_empty() {
            header.push_str("#\n");
        }
        header
    }
}

/// The comments that stand at the top are the header's, others the user's: none of them says anything.
pub(super) fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The file.
pub(super) struct Draft {
    pub(super) file: PathBuf,
    windows_line_endings: bool,
}

impl Draft {
    /// An empty file that is the user's alone.
    pub(super) fn new(language: Language, windows_line_endings: bool) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), process::id());
        let ending = match language {
            Language::Yaml => "yaml",
            Language::Json => "json",
        };
        let file = env::temp_dir().join(format!("minikctl-edit-{}.{ending}", seed % 10_000_000_000));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let _ = options.open(&file).with_context(|| file.display().to_string())?;
        Ok(Self {
            file,
            windows_line_endings,
        })
    }

    /// What the user makes of a text.
    pub(super) fn edit(&self, text: &str) -> anyhow::Result<String> {
        let written = if self.windows_line_endings {
            fs::write(&self.file, text.replace('\n', "\r\n"))
        } else {
            fs::write(&self.file, text)
        };
        written.with_context(|| self.file.display().to_string())?;
        let editor = editor();
        let status = launch(&editor, &self.file);
        let status = status.with_context(|| format!("unable to launch the editor {editor:?}"))?;
        if !status.success() {
            return Err(self.kept(anyhow!("there was a problem with the editor {editor:?}")));
        }
        fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())
    }

    pub(super) fn remove(&self) {
        // A file that is left behind harms nobody.
        let _ = fs::remove_file(&self.file);
    }

    /// The error, once the user knows where their text is.
    pub(super) fn kept(&self, error: anyhow::Error) -> anyhow::Error {
        // Nothing can be said when stderr is gone.
        let _ = writeln!(
            anstream::stderr(),
            "A copy of your changes has been stored to {:?}",
            self.file
        );
        error
    }
}

fn editor() -> String {
    let named = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    named("KUBE_EDITOR")
        .or_else(|| named("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned())
}

/// The editor may have options of its own, which the shell takes apart.
fn launch(editor: &str, file: &Path) -> std::io::Result<process::ExitStatus> {
    Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_nothing() {
        let header = Language::Yaml.header(&["x was not valid:".to_owned(), "* y".to_owned()]);
        assert!(header.contains("# * y\n"));
        assert_eq!(
            without_comments(&format!("{header}a: 1\r\n  # mine\nb: 2")),
            "a: 1\nb: 2\n"
        );
        assert_eq!(Language::Json.header(&["x".to_owned()]), "");
    }

    #[test]
    fn several_objects_are_a_list() {
        let (one, two) = (json!({"a": 1}), json!({"b": 2}));
        assert_eq!(Language::Yaml.text(&[&one]), "a: 1\n");
        let list = Language::Json.text(&[&one, &two]);
        assert!(list.contains("\"kind\": \"List\"") && list.ends_with("}\n"), "{list}");
    }
}
