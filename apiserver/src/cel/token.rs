//! The words of an expression.

use std::sync::Arc;

use super::SyntaxError;
use super::expr::Literal;

#[derive(Clone, Debug)]
pub(super) enum Token {
    Literal(Literal),
    Ident(Arc<str>),
    /// Operators and brackets.
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 27] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "=", "&", "|",
];

/// The tokens of a source, and where each begins.
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let mut reader = Reader {
        chars: source.chars().collect(),
        at: 0,
    };
    let mut tokens = Vec::new();
    loop {
        reader.blanks();
        let at = reader.at;
        let token = reader.token()?;
        let is_end = matches!(token, Token::End);
        tokens.push((at, token));
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn fail<T>(&self, at: usize, message: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            at: at.min(self.chars.len()),
            message: message.to_owned(),
        })
    }

    fn blanks(&mut self) {
        while let Some(c) = self.peek(0) {
            if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else if c.is_whitespace() {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        let Some(c) = self.peek(0) else {
            return Ok(Token::End);
        };
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if let Some(prefix) = self.quote_ahead() {
            return self.quoted(prefix);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            return Ok(self.word());
        }
        if c == '`' {
            return self.escaped_name();
        }
        for sign in SIGNS {
            if sign.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c)) {
                if matches!(sign, "=" | "&" | "|") {
                    break;
                }
                self.at += sign.len();
                return Ok(Token::Sign(sign));
            }
        }
        self.fail(self.at, &format!("Syntax error: token recognition error at: '{c}'"))
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        match word.as_str() {
            "true" => Token::Literal(Literal::Bool(true)),
            "false" => Token::Literal(Literal::Bool(false)),
            "null" => Token::Literal(Literal::Null),
            "in" => Token::Sign("in"),
            _ => Token::Ident(word.into()),
        }
    }

    /// `` `a-b` ``: a field whose name is no word.
    fn escaped_name(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at + 1;
        let Some(length) = self.chars[start..].iter().position(|c| *c == '`') else {
            return self.fail(self.at, "Syntax error: unterminated quoted identifier");
        };
        let name: String = self.chars[start..start + length].iter().collect();
        self.at = start + length + 1;
        Ok(Token::Ident(name.into()))
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let is_hex = self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X'));
        if is_hex {
            self.at += 2;
        }
        let mut is_double = false;
        while let Some(c) = self.peek(0) {
            let continues = match c {
                _ if is_hex => c.is_ascii_hexdigit(),
                '.' => !is_double && self.peek(1).is_some_and(|c| c.is_ascii_digit()),
                'e' | 'E' => {
                    let signed = usize::from(matches!(self.peek(1), Some('+' | '-')));
                    self.at += signed;
                    true
                }
                _ => c.is_ascii_digit(),
            };
            if !continues {
                break;
            }
            is_double |= !is_hex && !c.is_ascii_digit();
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        let is_unsigned = !is_double && matches!(self.peek(0), Some('u' | 'U'));
        self.at += usize::from(is_unsigned);
        let literal = if is_double {
            text.parse().ok().map(Literal::Double)
        } else {
            let (digits, radix) = if is_hex { (&text[2..], 16) } else { (&text[..], 10) };
            let number = u64::from_str_radix(digits, radix).ok();
            match is_unsigned {
                true => number.map(Literal::Uint),
                // The most negative number is written as the negation of one that doesn't fit.
                false if number == Some(1 << 63) => Some(Literal::Int(i64::MIN)),
                false => number.and_then(|number| i64::try_from(number).ok()).map(Literal::Int),
            }
        };
        match literal {
            Some(literal) => Ok(Token::Literal(literal)),
            None => self.fail(start, "invalid number literal"),
        }
    }

    /// How long the prefix (`r`, `b`) of a quoted text is that begins here.
    fn quote_ahead(&self) -> Option<usize> {
        (0..3).find(|&length| {
            let prefix = (0..length).all(|ahead| matches!(self.peek(ahead), Some('r' | 'R' | 'b' | 'B')));
            prefix && matches!(self.peek(length), Some('"' | '\''))
        })
    }

    fn quoted(&mut self, prefix: usize) -> Result<Token, SyntaxError> {
        let start = self.at;
        let flags: String = self.chars[start..start + prefix].iter().collect();
        let (raw, is_bytes) = (flags.contains(['r', 'R']), flags.contains(['b', 'B']));
        self.at += prefix;
        let quote = self.chars[self.at];
        let triple = (1..3).all(|ahead| self.peek(ahead) == Some(quote));
        let length = if triple { 3 } else { 1 };
        self.at += length;
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.peek(0) else {
                return self.fail(start, "Syntax error: unterminated string literal");
            };
            if (0..length).all(|ahead| self.peek(ahead) == Some(quote)) {
                self.at += length;
                break;
            }
            if c == '\n' && !triple {
                return self.fail(start, "Syntax error: unterminated string literal");
            }
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(is_bytes, &mut bytes)?;
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if is_bytes {
            return Ok(Token::Literal(Literal::Bytes(bytes.into())));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Token::Literal(Literal::Text(text.into()))),
            Err(_) => self.fail(start, "invalid string literal"),
        }
    }

    fn escape(&mut self, is_bytes: bool, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let at = self.at;
        let escaped = self.peek(0).unwrap_or('\0');
        self.at += 1;
        let plain = match escaped {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '?' | '"' | '\'' | '`' => escaped,
            'x' | 'X' => return self.code(2, 16, is_bytes, bytes),
            'u' if !is_bytes => return self.code(4, 16, false, bytes),
            'U' if !is_bytes => return self.code(8, 16, false, bytes),
            '0'..='3' => {
                self.at -= 1;
                return self.code(3, 8, is_bytes, bytes);
            }
            _ => return self.fail(at, "Syntax error: invalid escape sequence"),
        };
        bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn code(&mut self, digits: usize, radix: u32, is_byte: bool, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let text: String = self.chars.iter().skip(self.at).take(digits).collect();
        self.at += digits;
        let number = u32::from_str_radix(&text, radix).ok().filter(|_| text.len() == digits);
        match number {
            Some(number) if is_byte && number < 256 => bytes.extend(u8::try_from(number)),
            Some(number) if !is_byte && char::from_u32(number).is_some() => {
                let c = char::from_u32(number).unwrap_or_default();
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return self.fail(self.at, "Syntax error: invalid escape sequence"),
        }
        Ok(())
    }
}
