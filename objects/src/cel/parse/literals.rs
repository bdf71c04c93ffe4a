//! Literals of many parts: messages, lists and maps.

use super::Parser;
use crate::cel::{
    ast::{Element, Entry, Expr, Kind},
    lex::{Fault, Token},
};

impl Parser {
    /// Where the brace is that makes `a.b{` a message.
    pub(super) fn message_name_end(&self) -> Option<usize> {
        let mut at = self.next;
        loop {
            match (&self.tokens.get(at)?.token, &self.tokens.get(at + 1)) {
                (Token::Symbol("{"), _) => return Some(at),
                (Token::Symbol("."), Some(next)) if matches!(next.token, Token::Ident(_)) => {
                    at += 2;
                }
                _ => return None,
            }
        }
    }

    pub(super) fn message(&mut self, name: String) -> Result<Expr, Fault> {
        let at = self.expect("{")?;
        let mut fields = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let placed = self.advance();
            let (Token::Ident(field) | Token::Quoted(field)) = placed.token else {
                return Err(Fault {
                    at: placed.at,
                    message: format!(
                        "Syntax error: mismatched input '{}' expecting IDENTIFIER",
                        placed.text
                    ),
                });
            };
            let colon = self.colon()?;
            let value = self.expression()?;
            fields.push((field, colon, Element { value, optional }));
            self.more("}")?;
        }
        Ok(self.node(at, Kind::Struct { name, fields }))
    }

    pub(super) fn list(&mut self) -> Result<Expr, Fault> {
        let at = self.expect("[")?;
        let mut elements = Vec::new();
        while self.take("]").is_none() {
            let optional = self.take("?").is_some();
            let value = self.expression()?;
            elements.push(Element { value, optional });
            self.more("]")?;
        }
        Ok(self.node(at, Kind::List(elements)))
    }

    pub(super) fn map(&mut self) -> Result<Expr, Fault> {
        let at = self.expect("{")?;
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let optional = self.take("?").is_some();
            let key = self.expression()?;
            self.colon()?;
            let value = self.expression()?;
            entries.push(Entry {
                key,
                value,
                optional,
            });
            self.more("}")?;
        }
        Ok(self.node(at, Kind::Map(entries)))
    }
}
