//! Variables and quotes in the words of a Dockerfile: `$x`, `${x}`, `${x:-y}`, `${x-y}`, `${x:+y}`, `${x+y}`, `${x:?y}`,
//! `'as it is'`, `"expanded"`, `\$`. Pure.
//!
//! Dockerfile reference, "Environment replacement". The patterns of `${x#y}` are left out, with a message.

/// A variable's value.
pub(super) type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Here-documents and commands nest at most so deep.
const DEPTH: usize = 16;

/// Replaces the variables of a word and takes its quotes away.
pub(super) fn expand(word: &str, values: Values<'_>) -> Result<String, String> {
    let mut reader = Reader {
        characters: word.chars().peekable(),
        values,
        depth: 0,
    };
    reader.read(None, true)
}

/// The same for a text whose quotes are its own: a here-document.
pub(super) fn expand_text(text: &str, values: Values<'_>) -> Result<String, String> {
    let mut reader = Reader {
        characters: text.chars().peekable(),
        values,
        depth: 0,
    };
    reader.read(None, false)
}

struct Reader<'a> {
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    values: Values<'a>,
    depth: usize,
}

impl Reader<'_> {
    /// Up to `end`, which is consumed; to the end of the word without one.
    fn read(&mut self, end: Option<char>, quotes: bool) -> Result<String, String> {
        let mut text = String::new();
        while let Some(character) = self.characters.next() {
            match character {
                character if Some(character) == end => return Ok(text),
                '$' => self.variable(&mut text)?,
                '\\' if quotes => text.extend(self.characters.next()),
                '\\' if self.characters.peek() == Some(&'$') => text.extend(self.characters.next()),
                '\'' if quotes => self.single(&mut text)?,
                '"' if quotes => self.double(&mut text)?,
                character => text.push(character),
            }
        }
        match end {
            Some(end) => Err(format!("{end} is missing")),
            None => Ok(text),
        }
    }

    fn single(&mut self, text: &mut String) -> Result<(), String> {
        for character in self.characters.by_ref() {
            if character == '\'' {
                return Ok(());
            }
            text.push(character);
        }
        Err("a closing ' is missing".to_owned())
    }

    fn double(&mut self, text: &mut String) -> Result<(), String> {
        while let Some(character) = self.characters.next() {
            match character {
                '"' => return Ok(()),
                '$' => self.variable(text)?,
                '\\' => match self.characters.next() {
                    Some(escaped @ ('"' | '$' | '\\')) => text.push(escaped),
                    Some(other) => text.extend(['\\', other]),
                    None => {}
                },
                character => text.push(character),
            }
        }
        Err("a closing \" is missing".to_owned())
    }

    fn variable(&mut self, text: &mut String) -> Result<(), String> {
        if self.characters.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                text.push('$');
            }
            text.push_str(&(self.values)(&name).unwrap_or_default());
            return Ok(());
        }
        self.characters.next();
        let name = self.name();
        if name.is_empty() {
            return Err("${ has no name after it".to_owned());
        }
        let value = (self.values)(&name);
        let mut operator = self.characters.next();
        let colon = operator == Some(':');
        if colon {
            operator = self.characters.next();
        }
        let value = value.filter(|value| !colon || !value.is_empty());
        match operator {
            Some('}') if !colon => {
                text.push_str(&value.unwrap_or_default());
                return Ok(());
            }
            Some('-' | '+' | '?') => {}
            Some('#' | '%' | '/') => {
                return Err(format!("${{{name}…}}: patterns are left out here; do it in a RUN"));
            }
            _ => return Err(format!("${{{name} isn't closed by }}")),
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("variables are nested too deep".to_owned());
        }
        let other = self.read(Some('}'), true)?;
        self.depth -= 1;
        match (operator, value) {
            (Some('-'), None) => text.push_str(&other),
            (Some('-' | '?'), Some(value)) => text.push_str(&value),
            (Some('+'), Some(_)) => text.push_str(&other),
            (Some('?'), None) => return Err(format!("{name} is not set: {other}")),
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.characters.peek() {
            let fits = *character == '_' || character.is_ascii_alphanumeric();
            if !fits || (name.is_empty() && character.is_ascii_digit()) {
                break;
            }
            name.extend(self.characters.next());
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        match name {
            "a" => Some("1".to_owned()),
            "empty" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn words_are_expanded() {
        for (word, expected) in [
            ("$a-${a}.$none.", "1-1.."),
            ("${none:-x${a}}", "x1"),
            ("${empty:-x}|${empty-x}|${none-y}", "x||y"),
            ("${a:+set}${none:+set}${empty+set}", "setset"),
            ("'$a' \"$a 'b'\" \\$a", "$a 1 'b' $a"),
            ("\"\\$a \\n\"", "$a \\n"),
            ("100$", "100$"),
            ("${a:?needed}", "1"),
        ] {
            assert_eq!(expand(word, &values).as_deref(), Ok(expected), "{word}");
        }
        assert_eq!(expand_text("\"$a\" \\$a 'x", &values).as_deref(), Ok("\"1\" $a 'x"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (word, expected) in [
            ("${a", "isn't closed"),
            ("\"a", "closing \""),
            ("'a", "closing '"),
            ("${none:?set it}", "none is not set: set it"),
            ("${a#b}", "patterns"),
            ("${}", "no name"),
        ] {
            let wrong = expand(word, &values).expect_err(word);
            assert!(wrong.contains(expected), "{word}: {wrong}");
        }
        let deep = "${none:-".repeat(40);
        assert!(expand(&deep, &values).is_err());
    }

    proptest::proptest! {
        #[test]
        fn expanding_never_panics(word in "[a${}:+'\"\\\\-]{0,40}") {
            let _ = expand(&word, &values);
        }
    }
}
