//! `.dockerignore`: what of a folder isn't sent. Pure.
//!
//! Docker's rules: a pattern a line, relative to the folder; `**` is any number of folders; `!` brings back; the last line that
//! matches a path or a folder above it decides.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use minik_runtime::name_matches;

/// The lines of a `.dockerignore`.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    brings_back: bool,
    names: Vec<String>,
}

impl Ignore {
    /// Reads the lines.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pattern = |line: &str| {
            let (brings_back, path) = match line.strip_prefix('!') {
                Some(path) => (true, path.trim()),
                None => (false, line),
            };
            let mut names: Vec<String> = Vec::new();
            for name in path.split('/') {
                match name {
                    "" | "." => {}
                    ".." => drop(names.pop()),
                    name => names.push(name.to_owned()),
                }
            }
            Pattern { brings_back, names }
        };
        Self {
            patterns: lines.map(pattern).filter(|pattern| !pattern.names.is_empty()).collect(),
        }
    }

    /// Whether a path, relative to the folder, is left out.
    #[must_use]
    pub fn leaves_out(&self, path: &Path) -> bool {
        let names: Vec<&[u8]> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.as_bytes()),
                _ => None,
            })
            .collect();
        let mut out = false;
        for pattern in &self.patterns {
            let fits = (1..=names.len()).any(|length| fits(&pattern.names, &names[..length]));
            if fits {
                out = !pattern.brings_back;
            }
        }
        out
    }

    /// Whether something in a folder that is left out may be brought back.
    #[must_use]
    pub fn brings_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.brings_back)
    }
}

fn fits(pattern: &[String], names: &[&[u8]]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            fits(rest, names) || names.split_first().is_some_and(|(_, below)| fits(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => name_matches(first.as_bytes(), name) && fits(rest, below),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_matches_decides() {
        let ignore = Ignore::read("# builds\n*.log\n/target\n**/node_modules\ndocs/*\n!docs/*.md\n\n./a/../b\n");
        for (path, out) in [
            ("x.log", true),
            ("sub/x.log", false),
            ("target", true),
            ("target/debug/x", true),
            ("sub/target", false),
            ("node_modules", true),
            ("a/b/node_modules/c", true),
            ("docs/x", true),
            ("docs/x.md", false),
            ("docs", false),
            ("b", true),
        ] {
            assert_eq!(ignore.leaves_out(Path::new(path)), out, "{path}");
        }
        assert!(ignore.brings_back());
        assert!(!Ignore::read("*").brings_back() && Ignore::read("*").leaves_out(Path::new("x/y")));
    }
}
