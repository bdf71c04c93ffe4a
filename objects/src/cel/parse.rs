//! Tokens as a tree, by recursive descent; its texts for what is wrong are upstream's where they can be.

mod literals;

use super::{
    ast::{Expr, Kind, Literal},
    lex::{self, Fault, Placed, Token},
    macros,
};

/// How deep an expression may nest.
pub(super) const DEPTH_MAX: usize = 250;

/// How many characters a source may have.
const SOURCE_LENGTH_MAX: usize = 100_000;

/// How many nodes an expression may have; macros copy what they are called on.
const NODES_MAX: usize = 200_000;

/// What may begin an operand, as messages say it.
const OPERANDS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Words that are kept for other languages.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
];

fn begins_operand(token: &Token) -> bool {
    match token {
        Token::Literal(_) | Token::Ident(_) => true,
        Token::Symbol(symbol) => matches!(*symbol, "[" | "{" | "(" | "." | "-" | "!"),
        _ => false,
    }
}

pub(super) struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    nodes: usize,
    depth: usize,
}

/// An expression, and how many nodes it has.
pub(super) fn parse(source: &str) -> Result<(Expr, usize), Vec<Fault>> {
    if source.chars().count() > SOURCE_LENGTH_MAX {
        let message = format!(
            "expression code point size exceeds limit: size: {}, limit {SOURCE_LENGTH_MAX}",
            source.chars().count()
        );
        return Err(vec![Fault { at: 0, message }]);
    }
    let (tokens, mut faults) = lex::tokens(source);
    let mut parser = Parser {
        tokens,
        next: 0,
        nodes: 0,
        depth: 0,
    };
    match parser.whole() {
        Ok(expr) if faults.is_empty() => return Ok((expr, parser.nodes)),
        Ok(_) => {}
        Err(fault) => faults.push(fault),
    }
    Err(faults)
}

impl Parser {
    fn whole(&mut self) -> Result<Expr, Fault> {
        let expr = self.expression()?;
        if self.peek().token == Token::End {
            return Ok(expr);
        }
        let last = matches!(self.tokens.get(self.next + 1), Some(next) if next.token == Token::End);
        Err(self.unexpected(if last { "extraneous" } else { "mismatched" }, "<EOF>"))
    }

    fn peek(&self) -> &Placed {
        &self.tokens[self.next]
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(&self.peek().token, Token::Symbol(found) if *found == symbol)
    }

    /// Goes past the symbol, if it is the next token, and tells its place.
    fn take(&mut self, symbol: &str) -> Option<usize> {
        self.is(symbol).then(|| self.advance().at)
    }

    fn advance(&mut self) -> Placed {
        let placed = self.peek().clone();
        if placed.token != Token::End {
            self.next += 1;
        }
        placed
    }

    fn expect(&mut self, symbol: &str) -> Result<usize, Fault> {
        self.take(symbol)
            .ok_or_else(|| self.unexpected("missing", symbol))
    }

    fn colon(&mut self) -> Result<usize, Fault> {
        self.take(":")
            .ok_or_else(|| self.unexpected("mismatched", "':'"))
    }

    /// Whether another element follows in what this symbol closes.
    fn more(&mut self, close: &str) -> Result<bool, Fault> {
        if self.take(",").is_some() {
            return Ok(true);
        }
        if self.is(close) {
            return Ok(false);
        }
        Err(self.unexpected("mismatched", &format!("{{'{close}', ','}}")))
    }

    fn unexpected(&self, how: &str, wanted: &str) -> Fault {
        let Placed { at, text, .. } = self.peek();
        let message = match how {
            "missing" => format!("Syntax error: missing '{wanted}' at '{text}'"),
            _ => format!("Syntax error: {how} input '{text}' expecting {wanted}"),
        };
        Fault { at: *at, message }
    }

    pub(super) fn node(&mut self, at: usize, kind: Kind) -> Expr {
        let id = self.nodes;
        self.nodes += 1;
        Expr { id, at, kind }
    }

    /// The same once more, with nodes of its own.
    pub(super) fn copy(&mut self, of: &Expr) -> Result<Expr, Fault> {
        let mut copy = of.clone();
        copy.renumber(&mut self.nodes);
        if self.nodes > NODES_MAX {
            return Err(self.too_deep());
        }
        Ok(copy)
    }

    fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Expr {
        self.node(
            at,
            Kind::Call {
                function: function.to_owned(),
                target: None,
                args,
            },
        )
    }

    /// Counts one level of nesting for as long as the step runs.
    fn deeper<T>(
        &mut self,
        step: impl FnOnce(&mut Parser) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&self) -> Fault {
        Fault {
            at: self.peek().at,
            message: format!("expression recursion limit exceeded: {DEPTH_MAX}"),
        }
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let condition = parser.logical("||", "_||_")?;
            let Some(at) = parser.take("?") else {
                return Ok(condition);
            };
            let truthy = parser.logical("||", "_||_")?;
            parser.colon()?;
            let falsy = parser.expression()?;
            Ok(parser.call(at, "_?_:_", vec![condition, truthy, falsy]))
        })
    }

    fn logical(&mut self, symbol: &str, function: &str) -> Result<Expr, Fault> {
        let operand = |parser: &mut Parser| match symbol {
            "||" => parser.logical("&&", "_&&_"),
            _ => parser.relation(),
        };
        let mut terms = vec![operand(self)?];
        let mut places = Vec::new();
        while let Some(at) = self.take(symbol) {
            places.push(at);
            terms.push(operand(self)?);
        }
        Ok(self.balanced(function, terms, &places))
    }

    /// A chain of one operator as a tree that is no deeper than it must be.
    fn balanced(&mut self, function: &str, mut terms: Vec<Expr>, places: &[usize]) -> Expr {
        let Some(middle) = places.len().checked_sub(1).map(|last| last.div_ceil(2)) else {
            return terms.remove(0);
        };
        let right = terms.split_off(middle + 1);
        let left = self.balanced(function, terms, &places[..middle]);
        let right = self.balanced(function, right, &places[middle + 1..]);
        self.call(places[middle], function, vec![left, right])
    }

    fn relation(&mut self) -> Result<Expr, Fault> {
        const OPERATORS: [(&str, &str); 7] = [
            ("<", "_<_"),
            ("<=", "_<=_"),
            (">=", "_>=_"),
            (">", "_>_"),
            ("==", "_==_"),
            ("!=", "_!=_"),
            ("in", "@in"),
        ];
        self.chain(&OPERATORS, |parser| {
            parser.chain(&[("+", "_+_"), ("-", "_-_")], |parser| {
                parser.chain(&[("*", "_*_"), ("/", "_/_"), ("%", "_%_")], Parser::unary)
            })
        })
    }

    /// Operands between operators of one rank, taken from the left.
    fn chain(
        &mut self,
        operators: &[(&str, &str)],
        operand: impl Fn(&mut Parser) -> Result<Expr, Fault>,
    ) -> Result<Expr, Fault> {
        let mut left = operand(self)?;
        let mut length = 0;
        while let Some((symbol, function)) = operators.iter().find(|(symbol, _)| self.is(symbol)) {
            let at = self.expect(symbol)?;
            let right = operand(self)?;
            left = self.call(at, function, vec![left, right]);
            length += 1;
            if self.depth + length > DEPTH_MAX {
                return Err(self.too_deep());
            }
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        for (symbol, function) in [("!", "!_"), ("-", "-_")] {
            if !self.is(symbol) {
                continue;
            }
            // A sign before digits is a part of the number.
            if symbol == "-" && self.negative_number().is_some() {
                break;
            }
            let at = self.peek().at;
            let mut count = 0;
            while self.is(symbol) && (count == 0 || self.negative_number().is_none()) {
                self.advance();
                count += 1;
            }
            let operand = self.member()?;
            return Ok(if count % 2 == 1 {
                self.call(at, function, vec![operand])
            } else {
                operand
            });
        }
        self.member()
    }

    fn negative_number(&self) -> Option<Literal> {
        if !self.is("-") {
            return None;
        }
        match &self.tokens.get(self.next + 1)?.token {
            Token::Literal(Literal::Int(number)) => Some(Literal::Int(-number)),
            Token::Literal(Literal::Double(number)) => Some(Literal::Double(-number)),
            Token::Overflow("int", digits) => format!("-{digits}").parse().ok().map(Literal::Int),
            _ => None,
        }
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let mut operand = self.primary()?;
        let mut length = 0;
        loop {
            if let Some(at) = self.take(".") {
                operand = self.selection(operand, at)?;
            } else if let Some(at) = self.take("[") {
                let optional = self.take("?").is_some();
                if !optional && self.peek().token == Token::End {
                    let operands = OPERANDS.replacen("'!',", "'!', '?',", 1);
                    return Err(self.unexpected("mismatched", &operands));
                }
                let index = self.expression()?;
                self.expect("]")?;
                let function = if optional { "_[?_]" } else { "_[_]" };
                operand = self.call(at, function, vec![operand, index]);
            } else {
                return Ok(operand);
            }
            length += 1;
            if self.depth + length > DEPTH_MAX {
                return Err(self.too_deep());
            }
        }
    }

    fn selection(&mut self, operand: Expr, at: usize) -> Result<Expr, Fault> {
        let optional = self.take("?").is_some();
        let quoted = matches!(self.peek().token, Token::Quoted(_));
        let (Token::Ident(field) | Token::Quoted(field)) = self.peek().token.clone() else {
            let Placed { at, text, .. } = self.peek();
            let message = format!("Syntax error: no viable alternative at input '.{text}'");
            return Err(Fault { at: *at, message });
        };
        self.advance();
        if optional {
            let field = self.node(at, Kind::Literal(Literal::String(field)));
            return Ok(self.call(at, "_?._", vec![operand, field]));
        }
        if !quoted && self.is("(") {
            let at = self.expect("(")?;
            let args = self.arguments(")")?;
            return self.deeper(|parser| macros::member(parser, at, &field, operand, args));
        }
        let operand = Box::new(operand);
        Ok(self.node(
            at,
            Kind::Select {
                operand,
                field,
                test: false,
            },
        ))
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, Fault> {
        let mut args = Vec::new();
        if self.take(close).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.take(",").is_none() {
                self.expect(close)?;
                return Ok(args);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        if let Some(literal) = self.negative_number() {
            let at = self.advance().at;
            self.advance();
            return Ok(self.node(at, Kind::Literal(literal)));
        }
        let placed = self.peek().clone();
        match placed.token {
            Token::Literal(literal) => {
                self.advance();
                Ok(self.node(placed.at, Kind::Literal(literal)))
            }
            Token::Overflow(kind, _) => Err(Fault {
                at: placed.at,
                message: format!("invalid {kind} literal"),
            }),
            Token::Ident(_) | Token::Symbol(".") => self.name(),
            Token::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => self.list(),
            Token::Symbol("{") => self.map(),
            _ => {
                let how = match self.tokens.get(self.next + 1) {
                    Some(next) if begins_operand(&next.token) => "extraneous",
                    _ => "mismatched",
                };
                Err(self.unexpected(how, OPERANDS))
            }
        }
    }

    fn name(&mut self) -> Result<Expr, Fault> {
        let dot = self.take(".").is_some();
        let placed = self.advance();
        let Token::Ident(word) = placed.token else {
            return Err(Fault {
                at: placed.at,
                message: format!(
                    "Syntax error: mismatched input '{}' expecting IDENTIFIER",
                    placed.text
                ),
            });
        };
        if let Some(end) = self.message_name_end() {
            let mut name = word;
            while self.next < end {
                if let Token::Ident(part) = self.advance().token {
                    name = format!("{name}.{part}");
                }
            }
            return self.message(name);
        }
        if RESERVED.contains(&word.as_str()) {
            return Err(Fault {
                at: placed.at,
                message: format!("reserved identifier: {word}"),
            });
        }
        let name = if dot { format!(".{word}") } else { word };
        if self.is("(") {
            let at = self.expect("(")?;
            let args = self.arguments(")")?;
            return self.deeper(|parser| macros::global(parser, at, &name, args));
        }
        Ok(self.node(placed.at, Kind::Ident(name)))
    }
}
