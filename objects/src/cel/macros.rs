//! Calls that the parser turns into other expressions: `has`, `all`, `map` and their kin.

use super::{
    ast::{ACCUMULATOR, Element, Expr, Fold, Kind, Literal},
    lex::Fault,
    parse::Parser,
};

/// The variable of a loop over a range that has no elements, so that its loop only binds.
const UNUSED: &str = "#unused";

/// What `sortBy` binds the list to that it is called on. No source can name it.
const SORTED: &str = "@__sortBy_input__";

/// A call without a target.
pub(super) fn global(
    parser: &mut Parser,
    at: usize,
    function: &str,
    mut args: Vec<Expr>,
) -> Result<Expr, Fault> {
    if function == "has" && args.len() == 1 {
        let arg = args.remove(0);
        return match arg.kind {
            Kind::Select { operand, field, .. } => Ok(parser.node(
                at,
                Kind::Select {
                    operand,
                    field,
                    test: true,
                },
            )),
            _ => Err(fault(&arg, "invalid argument to has() macro")),
        };
    }
    Ok(parser.node(
        at,
        Kind::Call {
            function: function.to_owned(),
            target: None,
            args,
        },
    ))
}

/// A call with a target.
pub(super) fn member(
    parser: &mut Parser,
    at: usize,
    function: &str,
    target: Expr,
    args: Vec<Expr>,
) -> Result<Expr, Fault> {
    let mut make = Maker { parser, at };
    match (function, args.len()) {
        ("all" | "exists" | "exists_one", 2) | ("all" | "exists" | "existsOne", 3) => {
            make.quantifier(function, target, args)
        }
        ("map", 2 | 3) | ("filter", 2) => make.list(function, target, args),
        ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => {
            make.transform(function, target, args)
        }
        ("sortBy", 2) => make.sort_by(target, args),
        ("optMap" | "optFlatMap", 2) => make.optional(function, target, args),
        _ => Ok(make.parser.node(
            at,
            Kind::Call {
                function: function.to_owned(),
                target: Some(Box::new(target)),
                args,
            },
        )),
    }
}

fn fault(at: &Expr, message: &str) -> Fault {
    Fault {
        at: at.at,
        message: message.to_owned(),
    }
}

/// Makes nodes at the place of the macro's call.
struct Maker<'a> {
    parser: &'a mut Parser,
    at: usize,
}

/// What a loop does, beside its range and variables.
struct Loop {
    start: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

impl Maker<'_> {
    fn node(&mut self, kind: Kind) -> Expr {
        self.parser.node(self.at, kind)
    }

    fn literal(&mut self, literal: Literal) -> Expr {
        self.node(Kind::Literal(literal))
    }

    fn accumulated(&mut self) -> Expr {
        self.node(Kind::Ident(ACCUMULATOR.to_owned()))
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.node(Kind::Call {
            function: function.to_owned(),
            target: None,
            args,
        })
    }

    fn one(&mut self, value: Expr) -> Expr {
        self.node(Kind::List(vec![Element {
            value,
            optional: false,
        }]))
    }

    /// The variables that the first arguments name, and the other arguments.
    fn variables(
        args: Vec<Expr>,
        count: usize,
        complaint: &str,
    ) -> Result<(Vec<String>, Vec<Expr>), Fault> {
        let mut names: Vec<String> = Vec::new();
        let mut rest = args;
        for arg in rest.drain(..count) {
            let Kind::Ident(name) = &arg.kind else {
                return Err(fault(&arg, complaint));
            };
            if names.contains(name) {
                return Err(fault(&arg, &format!("duplicate variable name: {name}")));
            }
            if name == "__result__" {
                return Err(fault(
                    &arg,
                    "iteration variable overwrites accumulator variable",
                ));
            }
            names.push(name.clone());
        }
        Ok((names, rest))
    }

    fn fold(&mut self, range: Expr, mut names: Vec<String>, turn: Loop) -> Expr {
        let variable_second = (names.len() == 2).then(|| names.remove(1));
        self.node(Kind::Fold(Box::new(Fold {
            range,
            variable: names.remove(0),
            variable_second,
            accumulator: ACCUMULATOR.to_owned(),
            start: turn.start,
            condition: turn.condition,
            step: turn.step,
            result: turn.result,
        })))
    }

    fn quantifier(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Fault> {
        let count = args.len() - 1;
        let (names, mut rest) = Self::variables(args, count, "argument must be a simple name")?;
        let predicate = rest.remove(0);
        let turn = match function {
            "all" | "exists" => {
                let all = function == "all";
                let start = self.literal(Literal::Bool(all));
                let mut going = self.accumulated();
                if !all {
                    going = self.call("!_", vec![going]);
                }
                let condition = self.call("@not_strictly_false", vec![going]);
                let before = self.accumulated();
                let operator = if all { "_&&_" } else { "_||_" };
                Loop {
                    start,
                    condition,
                    step: self.call(operator, vec![before, predicate]),
                    result: self.accumulated(),
                }
            }
            _ => self.count_to_one(predicate),
        };
        Ok(self.fold(target, names, turn))
    }

    fn count_to_one(&mut self, predicate: Expr) -> Loop {
        let start = self.literal(Literal::Int(0));
        let condition = self.literal(Literal::Bool(true));
        let (before, one) = (self.accumulated(), self.literal(Literal::Int(1)));
        let more = self.call("_+_", vec![before, one]);
        let same = self.accumulated();
        let step = self.call("_?_:_", vec![predicate, more, same]);
        let (after, one) = (self.accumulated(), self.literal(Literal::Int(1)));
        let result = self.call("_==_", vec![after, one]);
        Loop {
            start,
            condition,
            step,
            result,
        }
    }

    /// A loop that gathers: its step, guarded by a filter where there is one.
    fn gather(&mut self, start: Expr, filter: Option<Expr>, step: Expr) -> Loop {
        let condition = self.literal(Literal::Bool(true));
        let step = match filter {
            Some(filter) => {
                let same = self.accumulated();
                self.call("_?_:_", vec![filter, step, same])
            }
            None => step,
        };
        Loop {
            start,
            condition,
            step,
            result: self.accumulated(),
        }
    }

    fn list(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Fault> {
        let element = args[0].clone();
        let (names, mut rest) = Self::variables(args, 1, "argument is not an identifier")?;
        let (filter, value) = match (function, rest.pop(), rest.pop()) {
            ("filter", filter, _) => (filter, element),
            (_, Some(value), filter) => (filter, value),
            (_, None, _) => return Err(fault(&element, "argument is not an identifier")),
        };
        let start = self.node(Kind::List(Vec::new()));
        let (before, added) = (self.accumulated(), self.one(value));
        let step = self.call("_+_", vec![before, added]);
        let turn = self.gather(start, filter, step);
        Ok(self.fold(target, names, turn))
    }

    fn transform(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Fault> {
        let key = args[0].clone();
        let (names, mut rest) = Self::variables(args, 2, "argument must be a simple name")?;
        let value = rest.remove(rest.len() - 1);
        let filter = rest.pop();
        let before = self.accumulated();
        let (start, step) = match function {
            "transformList" => {
                let added = self.one(value);
                let step = self.call("_+_", vec![before, added]);
                (self.node(Kind::List(Vec::new())), step)
            }
            _ => {
                let mut inserted = vec![before];
                if function == "transformMap" {
                    inserted.push(self.node(key.kind));
                }
                inserted.push(value);
                let step = self.call("cel.@mapInsert", inserted);
                (self.node(Kind::Map(Vec::new())), step)
            }
        };
        let turn = self.gather(start, filter, step);
        Ok(self.fold(target, names, turn))
    }

    /// The list, bound once, is sorted by what the expression makes of each of its elements.
    fn sort_by(&mut self, target: Expr, args: Vec<Expr>) -> Result<Expr, Fault> {
        if matches!(
            target.kind,
            Kind::Literal(_) | Kind::Map(_) | Kind::Struct { .. }
        ) {
            let complaint = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err(fault(&target, complaint));
        }
        let list = self.node(Kind::Ident(SORTED.to_owned()));
        let keys = self.list("map", list, args)?;
        let list = self.node(Kind::Ident(SORTED.to_owned()));
        let result = self.node(Kind::Call {
            function: "@sortByAssociatedKeys".to_owned(),
            target: Some(Box::new(list)),
            args: vec![keys],
        });
        Ok(self.bind(SORTED, target, result))
    }

    /// An expression in which a name stands for a value: a loop over nothing that begins with it.
    fn bind(&mut self, name: &str, value: Expr, result: Expr) -> Expr {
        let fold = Fold {
            range: self.node(Kind::List(Vec::new())),
            variable: UNUSED.to_owned(),
            variable_second: None,
            accumulator: name.to_owned(),
            start: value,
            condition: self.literal(Literal::Bool(false)),
            step: self.node(Kind::Ident(name.to_owned())),
            result,
        };
        self.node(Kind::Fold(Box::new(fold)))
    }

    fn optional(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Result<Expr, Fault> {
        let (mut names, mut rest) = Self::variables(args, 1, "argument must be a simple name")?;
        let body = rest.remove(0);
        let on_target = |make: &mut Self, method: &str, of: Expr| {
            make.node(Kind::Call {
                function: method.to_owned(),
                target: Some(Box::new(of)),
                args: Vec::new(),
            })
        };
        let again = self.parser.copy(&target)?;
        let present = on_target(self, "hasValue", target);
        let value = on_target(self, "value", again);
        let mut result = self.bind(&names.remove(0), value, body);
        if function == "optMap" {
            result = self.call("optional.of", vec![result]);
        }
        let none = self.call("optional.none", Vec::new());
        Ok(self.call("_?_:_", vec![present, result, none]))
    }
}
