//! Reads JSONPath in the dialect of kubectl.

use serde_json::json;

use super::{DEPTH_MAX, Filter, Last, ParseError, Slice, Step};

/// The steps of a path. A closing brace ends it.
pub(super) fn path(text: &str, depth: usize) -> Result<Vec<Step>, ParseError> {
    if depth > DEPTH_MAX {
        return Err(error("filters and unions are nested too deep"));
    }
    let mut parser = Parser {
        rest: text,
        steps: Vec::new(),
        depth,
    };
    while !parser.rest.is_empty() && !parser.rest.starts_with('}') {
        parser.step()?;
    }
    Ok(parser.steps)
}

struct Parser<'a> {
    rest: &'a str,
    steps: Vec<Step>,
    depth: usize,
}

fn error(text: impl Into<String>) -> ParseError {
    ParseError(text.into())
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether a character ends the name of a field.
fn ends_name(c: char) -> bool {
    " \t\r\n.,[]$@{}".contains(c)
}

impl<'a> Parser<'a> {
    fn step(&mut self) -> Result<(), ParseError> {
        if let Some(rest) = self.rest.strip_prefix("[?(") {
            self.rest = rest;
            return self.filter();
        }
        if let Some(rest) = self.rest.strip_prefix("..") {
            if self.steps.last() == Some(&Step::Recursive) {
                return Err(error("invalid multiple recursive descent"));
            }
            self.rest = rest;
            self.steps.push(Step::Recursive);
            if rest.starts_with(is_word) {
                self.field();
            }
            return Ok(());
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(());
        };
        match first {
            '\r' | '\n' => return Err(error("unclosed action")),
            ' ' | '@' | '$' => self.skip(1),
            '[' => return self.brackets(),
            '"' | '\'' => return self.quote(first),
            '.' => {
                self.skip(1);
                self.field();
            }
            '+' | '-' | '0'..='9' => return self.number(),
            _ if is_word(first) => self.word(),
            _ => {
                return Err(error(format!(
                    "unrecognized character in action: U+{:04X} '{first}'",
                    u32::from(first)
                )));
            }
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Takes so many bytes of the text.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// A name up to the next character that ends it and has no backslash before it.
    fn field(&mut self) {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                // A backslash that is itself escaped goes as well.
                name.extend(chars.next().map(|(_, c)| c).filter(|c| *c != '\\'));
            } else if ends_name(c) {
                end = at;
                break;
            } else {
                name.push(c);
            }
        }
        self.skip(end);
        self.steps.push(match &*name {
            "*" => Step::Wildcard,
            _ => Step::Field(name),
        });
    }

    fn word(&mut self) {
        let end = self.rest.find(ends_name).unwrap_or(self.rest.len());
        let step = match self.take(end) {
            "true" => Step::Literal(json!(true)),
            "false" => Step::Literal(json!(false)),
            word => Step::Word(word.to_owned()),
        };
        self.steps.push(step);
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit());
        let end = digits.map_or(self.rest.len(), |end| end + sign);
        let text = self.take(end);
        let value = match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(integer), _) => json!(integer),
            (Err(_), Ok(float)) => json!(float),
            _ => return Err(error(format!("cannot parse number {text}"))),
        };
        self.steps.push(Step::Literal(value));
        Ok(())
    }

    fn quote(&mut self, quote: char) -> Result<(), ParseError> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c)) if c == '\\' || c == quote => text.push(c),
                    _ => return Err(error("unquote string error invalid syntax")),
                },
                _ if c == quote => {
                    self.skip(at + 1);
                    self.steps.push(Step::Literal(json!(text)));
                    return Ok(());
                }
                _ => text.push(c),
            }
        }
        Err(error("unterminated quoted string"))
    }

    /// An index, a slice, a key in quotes, or several of them.
    fn brackets(&mut self) -> Result<(), ParseError> {
        let end = self.rest.find([']', '\n']);
        let Some(end) = end.filter(|end| self.rest[*end..].starts_with(']')) else {
            return Err(error("unterminated array"));
        };
        let inside = &self.take(end + 1)[1..end];
        if inside.contains(',') {
            let parts = inside
                .split(',')
                .map(|part| path(&format!("[{}]", part.trim_matches(' ')), self.depth + 1));
            let union = parts.collect::<Result<_, _>>()?;
            self.steps.push(Step::Union(union));
            return Ok(());
        }
        let key = inside
            .strip_prefix('\'')
            .and_then(|key| key.strip_suffix('\''))
            .filter(|key| !key.contains('\''));
        if let Some(key) = key {
            self.steps.extend(path(&format!(".{key}"), self.depth + 1)?);
            return Ok(());
        }
        self.steps.push(Step::Slice(slice(inside)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<(), ParseError> {
        let end = end_of_filter(self.rest).ok_or_else(|| error("unterminated filter"))?;
        let text = self.take(end);
        self.skip(1);
        if !self.rest.starts_with(']') {
            return Err(error("unclosed array expect ]"));
        }
        self.skip(1);
        let filter = match comparison(text) {
            None => Filter {
                left: path(text, self.depth + 1)?,
                comparison: None,
            },
            Some((left, operator, right)) => Filter {
                left: path(left, self.depth + 1)?,
                comparison: Some((operator.to_owned(), path(right, self.depth + 1)?)),
            },
        };
        self.steps.push(Step::Filter(Box::new(filter)));
        Ok(())
    }
}

/// Where the bracket is that closes a filter: the first that does not stand in quotes.
fn end_of_filter(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_closed = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('\n', _) => return None,
            ('"' | '\'', None) => quote = Some(c),
            ('"' | '\'', Some(open)) if c == open && before != '\\' => is_closed = true,
            (')', _) if quote.is_none() || is_closed => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

/// Left side, operator and right side of a comparison; none if there is no operator with something on both sides.
fn comparison(text: &str) -> Option<(&str, &str, &str)> {
    let is_operator = |c: char| "!<>=".contains(c);
    let start = text.find(is_operator).filter(|start| *start > 0)?;
    let (left, rest) = text.split_at(start);
    let end = rest.find(|c| !is_operator(c)).unwrap_or(rest.len());
    // What follows an operator is not empty: the operator gives a character away for it.
    let end = if end == rest.len() { end - 1 } else { end };
    let (operator, right) = rest.split_at(end);
    (!operator.is_empty()).then_some((left, operator, right))
}

fn slice(text: &str) -> Result<Slice, ParseError> {
    let text = if text == "*" { ":" } else { text };
    let invalid = || error(format!("invalid array index {text}"));
    let number = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        if part.is_empty() {
            Ok(None)
        } else if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Err(invalid())
        } else {
            let number = part.parse().ok().map(Some);
            number.ok_or_else(|| error(format!("array index {part} is not a number")))
        }
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (first, last, step) = match parts[..] {
        [first] => (first, None, ""),
        [first, last] => (first, Some(last), ""),
        [first, last, step] => (first, Some(last), step),
        _ => return Err(invalid()),
    };
    Ok(Slice {
        first: number(first)?,
        last: match last {
            None => Last::Single,
            Some(last) => number(last)?.map_or(Last::Open, Last::Before),
        },
        step: number(step)?,
    })
}
