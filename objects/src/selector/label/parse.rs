//! The grammar of label selectors, with upstream's messages for what does not hold to it.

use std::collections::BTreeSet;

use super::{Operator, Requirement, names};
use crate::invalid::Invalid;
use crate::path::Path;

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];

/// The words of the grammar; everything else is an identifier, as the empty text is the end.
fn is_identifier(word: &str) -> bool {
    !word.is_empty() && !word.starts_with(SYMBOLS)
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(SPACES);
    while !rest.is_empty() {
        let length = if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else if rest.starts_with(SYMBOLS) {
            1
        } else {
            rest.find(|letter| SYMBOLS.contains(&letter) || SPACES.contains(&letter))
                .unwrap_or(rest.len())
        };
        let (word, behind) = rest.split_at(length);
        words.push(word);
        rest = behind.trim_start_matches(SPACES);
    }
    words
}

struct Parser<'a> {
    words: Vec<&'a str>,
    position: usize,
}

pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser {
        words: words(text),
        position: 0,
    };
    let mut requirements = Vec::new();
    loop {
        let word = parser.peek();
        if word.is_empty() {
            return Ok(requirements);
        }
        if !is_identifier(word) && word != "!" {
            return Err(format!(
                "found '{word}', expected: !, identifier, or 'end of string'"
            ));
        }
        let requirement = parser
            .requirement()
            .map_err(|fault| format!("unable to parse requirement: {fault}"))?;
        requirements.push(requirement);
        match parser.take() {
            "" => return Ok(requirements),
            "," => {
                let next = parser.peek();
                if !is_identifier(next) && next != "!" {
                    return Err(format!("found '{next}', expected: identifier after ','"));
                }
            }
            other => {
                return Err(format!("found '{other}', expected: ',' or 'end of string'"));
            }
        }
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.words.get(self.position).copied().unwrap_or_default()
    }

    fn take(&mut self) -> &'a str {
        let word = self.peek();
        self.position += 1;
        word
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut key = self.take();
        let negated = key == "!";
        if negated {
            key = self.take();
        }
        if !is_identifier(key) {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let broken = names::qualified(key);
        if !broken.is_empty() {
            return Err(Invalid::value(&Path::root(), key, broken.join("; ")).to_string());
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), "" | ",") {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = match self.take() {
            "in" => Operator::In,
            "=" => Operator::Equals,
            "==" => Operator::DoubleEquals,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            "notin" => Operator::NotIn,
            "!=" => Operator::NotEquals,
            other => {
                return Err(format!(
                    "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => self.exact_value()?,
        };
        Requirement::new(key, operator, values.into_iter().map(Into::into).collect())
    }

    fn exact_value(&mut self) -> Result<BTreeSet<&'a str>, String> {
        if matches!(self.peek(), "" | ",") {
            return Ok(BTreeSet::from([""]));
        }
        let word = self.take();
        if !is_identifier(word) {
            return Err(format!("found '{word}', expected: identifier"));
        }
        Ok(BTreeSet::from([word]))
    }

    fn values(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let word = self.take();
        if word != "(" {
            return Err(format!("found '{word}' expected: '('"));
        }
        let word = self.peek();
        match word {
            ")" => {
                self.take();
                Ok(BTreeSet::from([""]))
            }
            "," => self.identifiers(),
            word if is_identifier(word) => self.identifiers(),
            _ => Err(format!("found '{word}', expected: ',', ')' or identifier")),
        }
    }

    /// Values up to the parenthesis, which is taken too; between commas there may be none.
    fn identifiers(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let mut values = BTreeSet::new();
        loop {
            let word = self.take();
            if is_identifier(word) {
                values.insert(word);
                match self.peek() {
                    "," => {}
                    ")" => break,
                    other => return Err(format!("found '{other}', expected: ',' or ')'")),
                }
            } else if word == "," {
                if values.is_empty() || matches!(self.peek(), ")" | ",") {
                    values.insert("");
                }
                if self.peek() == ")" {
                    break;
                }
            } else {
                return Err(format!("found '{word}', expected: ',', or identifier"));
            }
        }
        self.take();
        Ok(values)
    }
}
