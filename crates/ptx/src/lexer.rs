//! Splits PTX text into words, numbers and punctuation, each with its line.
//!
//! A word keeps its dots: `ld.global.v4.f32`, `%tid.x` and `.reg` are one token each, so that the
//! parser sees an opcode with all its modifiers at once.

use crate::error::ParseError;

/// A piece of PTX text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// An identifier, register, directive or opcode, dots included.
    Word(String),
    /// An integer literal, as its 64 bits.
    Int(u64),
    /// A floating-point literal: `0f…` and `0d…` bit patterns or a decimal.
    Float(f64),
    /// A quoted string; its content never matters to us.
    Text,
    /// Any other character.
    Punct(char),
}

/// A token and the line it stands on, counted from one.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub token: Token,
    pub line: u32,
}

/// Splits the text into tokens; comments and white space disappear.
pub(crate) fn lex(file: &str, text: &str) -> Result<Vec<Located>, ParseError> {
    let mut lexer = Lexer { file, bytes: text.as_bytes(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error(&self, message: String) -> ParseError {
        ParseError { file: self.file.into(), line: self.line, message }
    }

    fn next(&mut self) -> Result<Option<Located>, ParseError> {
        self.skip_blanks()?;
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let (line, first) = (self.line, self.peek(0));
        let token = match first {
            b'0'..=b'9' => self.number()?,
            b'"' => self.text()?,
            _ if starts_word(first) => Token::Word(self.word()),
            _ if first.is_ascii_graphic() => {
                self.at += 1;
                Token::Punct(first as char)
            }
            _ => return Err(self.error(format!("unexpected byte {first:#04x}"))),
        };
        Ok(Some(Located { token, line }))
    }

    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'/', b'/') => {
                    while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => self.skip_block_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_block_comment(&mut self) -> Result<(), ParseError> {
        let opened = self.line;
        self.at += 2;
        while (self.peek(0), self.peek(1)) != (b'*', b'/') {
            if self.at >= self.bytes.len() {
                self.line = opened;
                return Err(self.error("a comment that never ends".into()));
            }
            self.line += u32::from(self.peek(0) == b'\n');
            self.at += 1;
        }
        self.at += 2;
        Ok(())
    }

    /// The longest run of bytes that belong, all of them ASCII.
    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        while self.at < self.bytes.len() && belongs(self.peek(0)) {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    /// A name or an opcode; `::` joins its parts, as in `.shared::cta`.
    fn word(&mut self) -> String {
        let belongs = |b: u8| starts_word(b) || b.is_ascii_digit();
        let mut word = self.take(belongs);
        while (self.peek(0), self.peek(1)) == (b':', b':') && belongs(self.peek(2)) {
            self.at += 2;
            word += "::";
            word += &self.take(belongs);
        }
        word
    }

    fn text(&mut self) -> Result<Token, ParseError> {
        self.at += 1;
        while self.peek(0) != b'"' {
            if self.at >= self.bytes.len() || self.peek(0) == b'\n' {
                return Err(self.error("a string that never ends".into()));
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(Token::Text)
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let mut digits = self.take(|b| b.is_ascii_alphanumeric() || b == b'.');
        let decimal = !digits.starts_with("0x") && !digits.starts_with("0X");
        let bits_literal = ["0f", "0F", "0d", "0D"].iter().any(|p| digits.starts_with(p));
        if decimal
            && !bits_literal
            && digits.ends_with(['e', 'E'])
            && matches!(self.peek(0), b'+' | b'-')
        {
            digits.push(self.peek(0) as char);
            self.at += 1;
            digits += &self.take(|b| b.is_ascii_digit());
        }
        parse_number(&digits).ok_or_else(|| self.error(format!("`{digits}` is not a number")))
    }
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'%' | b'.')
}

fn parse_number(digits: &str) -> Option<Token> {
    let prefix = digits.get(..2).unwrap_or("").to_ascii_lowercase();
    let rest = digits.get(2..).unwrap_or("");
    let integer = |digits: &str, radix| {
        let digits = digits.trim_end_matches('U');
        u64::from_str_radix(digits, radix).ok().map(Token::Int)
    };
    match prefix.as_str() {
        "0f" if rest.len() == 8 => {
            // Widening keeps every value; only the payload of a signalling NaN may change.
            let bits = u32::from_str_radix(rest, 16).ok()?;
            Some(Token::Float(f64::from(f32::from_bits(bits))))
        }
        "0d" if rest.len() == 16 => {
            u64::from_str_radix(rest, 16).ok().map(|bits| Token::Float(f64::from_bits(bits)))
        }
        "0f" | "0d" => None,
        "0x" => integer(rest, 16),
        "0b" => integer(rest, 2),
        _ if digits.contains(['.', 'e', 'E']) => digits.parse().ok().map(Token::Float),
        _ if digits.len() > 1 && digits.starts_with('0') => integer(&digits[1..], 8),
        _ => integer(digits, 10),
    }
}
