//! Source text as tokens, each with its place counted in characters.

use super::ast::Literal;

/// A word of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Ident(String),
    /// A field name between backquotes.
    Quoted(String),
    Literal(Literal),
    /// Digits whose value does not fit: the type they were meant to be, and their text.
    Overflow(&'static str, String),
    Symbol(&'static str),
    End,
}

/// A token, where it begins, and as it was written.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
    pub(super) text: String,
}

/// What is wrong with a source, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

const SYMBOLS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!",
    "?", ":", "+", "*", "/", "%", "=", "&", "|",
];

/// Symbols that only stand in others, and are nothing alone.
const PARTS: [&str; 3] = ["=", "&", "|"];

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

/// All tokens of a source, the last an `End`, and what was no token and is left out.
pub(super) fn tokens(source: &str) -> (Vec<Placed>, Vec<Fault>) {
    let mut lexer = Lexer {
        chars: source.chars().collect(),
        at: 0,
    };
    let (mut tokens, mut faults) = (Vec::new(), Vec::new());
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let token = match lexer.next() {
            Ok(token) => token,
            Err((fault, end)) => {
                faults.push(fault);
                lexer.at = end;
                continue;
            }
        };
        let text = match token {
            Token::End => "<EOF>".to_owned(),
            _ => lexer.chars[at..lexer.at].iter().collect(),
        };
        let end = token == Token::End;
        tokens.push(Placed { token, at, text });
        if end {
            return (tokens, faults);
        }
    }
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(ahead, wanted)| self.peek(ahead) == Some(wanted))
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek(0) {
                Some(' ' | '\t' | '\r' | '\n' | '\u{c}') => self.at += 1,
                Some('/') if self.peek(1) == Some('/') => {
                    while self.peek(0).is_some_and(|next| next != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// What is no token, and where the next may begin.
    fn unrecognized(&self, from: usize, to: usize) -> (Fault, usize) {
        let to = to.min(self.chars.len());
        let text: String = self.chars[from..to].iter().collect();
        let fault = Fault {
            at: from,
            message: format!("Syntax error: token recognition error at: '{text}'"),
        };
        (fault, to)
    }

    fn next(&mut self) -> Result<Token, (Fault, usize)> {
        let Some(first) = self.peek(0) else {
            return Ok(Token::End);
        };
        if let Some((skip, raw, bytes)) = self.quote_prefix() {
            return self.quoted(skip, raw, bytes);
        }
        if first.is_ascii_digit()
            || first == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit())
        {
            return Ok(self.number());
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(self.word());
        }
        if first == '`' {
            return self.escaped_identifier();
        }
        match SYMBOLS.iter().find(|symbol| self.starts_with(symbol)) {
            Some(symbol) if !PARTS.contains(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            Some(_) => Err(self.unrecognized(self.at, self.at + 2)),
            None => Err(self.unrecognized(self.at, self.at + 1)),
        }
    }

    fn word(&mut self) -> Token {
        let from = self.at;
        while self
            .peek(0)
            .is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
        {
            self.at += 1;
        }
        let word: String = self.chars[from..self.at].iter().collect();
        match word.as_str() {
            "true" => Token::Literal(Literal::Bool(true)),
            "false" => Token::Literal(Literal::Bool(false)),
            "null" => Token::Literal(Literal::Null),
            "in" => Token::Symbol("in"),
            _ => Token::Ident(word),
        }
    }

    fn escaped_identifier(&mut self) -> Result<Token, (Fault, usize)> {
        let from = self.at;
        let mut end = from + 1;
        while self.chars.get(end).is_some_and(|next| {
            next.is_ascii_alphanumeric() || matches!(next, '_' | '.' | '-' | '/' | ' ')
        }) {
            end += 1;
        }
        if end == from + 1 || self.chars.get(end) != Some(&'`') {
            return Err(self.unrecognized(from, end + 1));
        }
        self.at = end + 1;
        Ok(Token::Quoted(self.chars[from + 1..end].iter().collect()))
    }

    fn digits(&mut self, hexadecimal: bool) -> String {
        let from = self.at;
        while self
            .peek(0)
            .is_some_and(|next| next.is_digit(if hexadecimal { 16 } else { 10 }))
        {
            self.at += 1;
        }
        self.chars[from..self.at].iter().collect()
    }

    fn number(&mut self) -> Token {
        let from = self.at;
        if self.starts_with("0x") && self.peek(2).is_some_and(|next| next.is_ascii_hexdigit()) {
            self.at += 2;
            let digits = self.digits(true);
            return self.whole(&digits, 16);
        }
        let digits = self.digits(false);
        let mut fraction = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            self.at += 1;
            self.digits(false);
            fraction = true;
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self
                .peek(1 + sign)
                .is_some_and(|next| next.is_ascii_digit())
            {
                self.at += 1 + sign;
                self.digits(false);
                fraction = true;
            }
        }
        if !fraction {
            return self.whole(&digits, 10);
        }
        let text: String = self.chars[from..self.at].iter().collect();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Token::Literal(Literal::Double(number)),
            _ => Token::Overflow("double", text),
        }
    }

    fn whole(&mut self, digits: &str, radix: u32) -> Token {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return match u64::from_str_radix(digits, radix) {
                Ok(number) => Token::Literal(Literal::Uint(number)),
                Err(_) => Token::Overflow("uint", digits.to_owned()),
            };
        }
        match i64::from_str_radix(digits, radix) {
            Ok(number) => Token::Literal(Literal::Int(number)),
            Err(_) => Token::Overflow("int", digits.to_owned()),
        }
    }

    /// Of quoted text, the letters before the quote, and whether they say raw and bytes.
    fn quote_prefix(&self) -> Option<(usize, bool, bool)> {
        let (mut skip, mut raw, mut bytes) = (0, false, false);
        if matches!(self.peek(skip), Some('b' | 'B')) {
            (skip, bytes) = (skip + 1, true);
        }
        if matches!(self.peek(skip), Some('r' | 'R')) {
            (skip, raw) = (skip + 1, true);
        }
        matches!(self.peek(skip), Some('"' | '\'')).then_some((skip, raw, bytes))
    }

    fn quoted(&mut self, skip: usize, raw: bool, bytes: bool) -> Result<Token, (Fault, usize)> {
        let from = self.at;
        self.at += skip;
        let quote = self.chars[self.at];
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let mut content = Content {
            bytes,
            text: String::new(),
            octets: Vec::new(),
        };
        loop {
            let Some(next) = self.peek(0) else {
                return Err(self.unrecognized(from, self.at));
            };
            if (0..width).all(|ahead| self.peek(ahead) == Some(quote)) {
                self.at += width;
                return Ok(Token::Literal(content.literal()));
            }
            if !triple && matches!(next, '\n' | '\r') {
                return Err(self.unrecognized(from, self.at + 1));
            }
            self.at += 1;
            if next == '\\' && !raw {
                self.escape(from, &mut content)?;
            } else {
                content.push(next);
            }
        }
    }

    fn escape(&mut self, from: usize, content: &mut Content) -> Result<(), (Fault, usize)> {
        let fault = self.unrecognized(from, self.at + 1);
        let Some(kind) = self.peek(0) else {
            return Err(fault);
        };
        self.at += 1;
        let (radix, length) = match kind {
            'x' | 'X' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='3' => {
                self.at -= 1;
                (8, 3)
            }
            _ => {
                content.push(simple_escape(kind).ok_or(fault)?);
                return Ok(());
            }
        };
        let end = self.at + length;
        let digits: String = self
            .chars
            .get(self.at..end)
            .ok_or(fault.clone())?
            .iter()
            .collect();
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Err(fault);
        }
        let code = u32::from_str_radix(&digits, radix).map_err(|_unreachable| fault.clone())?;
        self.at = end;
        if matches!(kind, 'u' | 'U') && content.bytes {
            return Err(fault);
        }
        content.push_code(code).ok_or(fault)
    }
}

fn simple_escape(kind: char) -> Option<char> {
    Some(match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '"' | '\'' | '\\' | '?' | '`' => kind,
        _ => return None,
    })
}

/// What stands between quotes, as text or as bytes.
struct Content {
    bytes: bool,
    text: String,
    octets: Vec<u8>,
}

impl Content {
    fn push(&mut self, next: char) {
        if self.bytes {
            let mut buffer = [0; 4];
            self.octets
                .extend_from_slice(next.encode_utf8(&mut buffer).as_bytes());
        } else {
            self.text.push(next);
        }
    }

    fn push_code(&mut self, code: u32) -> Option<()> {
        if self.bytes {
            self.octets.push(u8::try_from(code).ok()?);
        } else {
            self.text.push(char::from_u32(code)?);
        }
        Some(())
    }

    fn literal(self) -> Literal {
        if self.bytes {
            Literal::Bytes(self.octets)
        } else {
            Literal::String(self.text)
        }
    }
}
