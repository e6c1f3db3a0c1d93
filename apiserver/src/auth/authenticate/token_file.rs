//! `--token-auth-file`: lines of `token,user,uid,"group,group"`, read once at the start as upstream does.
//!
//! Tokens are kept and looked up by their digest: how long a look takes tells nothing about them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use sha2::{Digest, Sha256};

use crate::auth::{User, groups};

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It can't be read.
    #[error("can't read the token file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line isn't as it should be.
    #[error("line {line} of the token file {} is no token,user,uid,\"groups\"", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// The users of the file.
#[derive(Debug, Default)]
pub(crate) struct TokenFile(HashMap<[u8; 32], Arc<User>>);

impl TokenFile {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        let text = fs::read_to_string(path).map_err(|source| TokenFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|line| TokenFileError::Line {
            path: path.to_owned(),
            line,
        })
    }

    /// Whose token this is.
    pub(crate) fn user(&self, token: &str) -> Option<Arc<User>> {
        // Most servers have no file, and needn't digest anything.
        (!self.0.is_empty()).then(|| self.0.get(&digest(token)).cloned())?
    }

    fn parse(text: &str) -> Result<Self, usize> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields = fields(line).filter(|fields| fields.len() >= 3).ok_or(index + 1)?;
            let (token, name) = (fields[0].as_str(), fields[1].clone());
            if token.is_empty() || name.is_empty() {
                return Err(index + 1);
            }
            let listed = fields.get(3).map(String::as_str).unwrap_or_default();
            let listed = listed.split(',').map(str::trim).filter(|group| !group.is_empty());
            let groups = listed.chain([groups::AUTHENTICATED]).map(str::to_owned).collect();
            let user = User {
                name,
                uid: fields[2].clone(),
                groups,
                ..User::default()
            };
            users.insert(digest(token), Arc::new(user));
        }
        Ok(Self(users))
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The fields of a line of comma-separated values (RFC 4180); `None` when a quote doesn't end.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("begins with one");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            ' ' if !quoted && field.is_empty() => {}
            _ => field.push(character),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read() {
        let file = TokenFile::parse("# who\n\nsecret,eve,7,\"people, admins\"\nother,bob,8\n").expect("two users");
        let eve = file.user("secret").expect("eve's");
        assert_eq!((eve.name.as_str(), eve.uid.as_str()), ("eve", "7"));
        assert_eq!(eve.groups, ["people", "admins", "system:authenticated"]);
        assert_eq!(
            file.user("other").map(|user| user.groups.clone()),
            Some(vec!["system:authenticated".to_owned()])
        );
        assert_eq!(file.user("Secret"), None);
        assert_eq!(file.user(""), None);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line) in [("a,b\n", 1), ("a,b,c\n\n,b,c", 3), ("a,b,c,\"d", 1), ("a,,c", 1)] {
            assert_eq!(TokenFile::parse(text).err(), Some(line), "{text}");
        }
    }
}
