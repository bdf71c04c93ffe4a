//! The tokens of JSON, with the faults that Go's scanner finds in them.

use super::Fault;

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Object,
    Array,
    String(&'a [u8]),
    /// As it is written.
    Number(&'a str),
    Bool(bool),
    Null,
}

pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Lexer<'a> {
        Lexer { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The text between two places.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.position]
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.position += 1;
        }
    }

    /// The fault of what stands here.
    fn fault<T>(&self, context: &str) -> Result<T, Fault> {
        Err(Fault::Syntax(match self.peek() {
            None => "unexpected end of JSON input".to_owned(),
            Some(byte) => format!("invalid character {} {context}", shown(byte)),
        }))
    }

    /// Steps over a byte if it is the next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// Goes to the next element or behind the end of a list or object; whether there is another element.
    pub(super) fn next(&mut self, end: u8, context: &str) -> Result<bool, Fault> {
        self.skip_space();
        if self.eat(b',') {
            return Ok(true);
        }
        if self.eat(end) {
            return Ok(false);
        }
        self.fault(context)
    }

    /// A key and the colon behind it.
    pub(super) fn key(&mut self) -> Result<String, Fault> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.fault("looking for beginning of object key string");
        }
        let key = text(self.string()?);
        self.skip_space();
        if !self.eat(b':') {
            return self.fault("after object key");
        }
        Ok(key)
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault("after top-level value"),
        }
    }

    pub(super) fn value(&mut self) -> Result<Token<'a>, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                self.position += 1;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.position += 1;
                Ok(Token::Array)
            }
            Some(b'"') => Ok(Token::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Token::Bool(true)),
            Some(b'f') => self.literal("false", Token::Bool(false)),
            Some(b'n') => self.literal("null", Token::Null),
            _ => self.fault("looking for beginning of value"),
        }
    }

    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Fault> {
        for byte in word.bytes() {
            if !self.eat(byte) {
                let expected = char::from(byte);
                return self.fault(&format!("in literal {word} (expecting '{expected}')"));
            }
        }
        Ok(token)
    }

    fn digits(&mut self) -> bool {
        let start = self.position;
        while let Some(b'0'..=b'9') = self.peek() {
            self.position += 1;
        }
        self.position > start
    }

    fn number(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.position;
        self.eat(b'-');
        if !self.eat(b'0') && !self.digits() {
            return self.fault("in numeric literal");
        }
        if self.eat(b'.') && !self.digits() {
            return self.fault("after decimal point in numeric literal");
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            if !self.digits() {
                return self.fault("in exponent of numeric literal");
            }
        }
        let text = std::str::from_utf8(self.since(start)).expect("a number is ASCII");
        Ok(Token::Number(text))
    }

    /// The text between quotes, its escapes untouched.
    fn string(&mut self) -> Result<&'a [u8], Fault> {
        self.position += 1;
        let start = self.position;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(&self.bytes[start..self.position - 1]);
                }
                Some(b'\\') => {
                    self.position += 1;
                    self.escape()?;
                }
                None | Some(..0x20) => return self.fault("in string literal"),
                Some(_) => self.position += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                self.position += 1;
                Ok(())
            }
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fault("in \\u hexadecimal character escape");
                    }
                    self.position += 1;
                }
                Ok(())
            }
            _ => self.fault("in string escape code"),
        }
    }
}

/// A string's content. What is not Unicode is replaced.
pub(super) fn text(raw: &[u8]) -> String {
    let lossy = String::from_utf8_lossy(raw);
    if !lossy.contains('\\') {
        return lossy.into_owned();
    }
    let mut units = Vec::new();
    let mut letters = lossy.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            units.extend(letter.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        units.push(match letters.next() {
            Some('u') => {
                let digits = (0..4).filter_map(|_| letters.next()?.to_digit(16));
                digits.fold(0, |unit, digit| unit << 4 | digit as u16)
            }
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            Some(other) => other as u16,
            None => 0,
        });
    }
    String::from_utf16_lossy(&units)
}

/// A byte in quotes, as Go shows it.
fn shown(byte: u8) -> String {
    let letter = char::from(byte);
    let inner = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        7 => "\\a".to_owned(),
        8 => "\\b".to_owned(),
        9 => "\\t".to_owned(),
        10 => "\\n".to_owned(),
        11 => "\\v".to_owned(),
        12 => "\\f".to_owned(),
        13 => "\\r".to_owned(),
        ..0x20 | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{:04x}", u32::from(byte)),
        _ => letter.to_string(),
    };
    format!("'{inner}'")
}
