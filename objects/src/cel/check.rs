//! The type of every node, which overloads its calls may mean, and upstream's errors where there is none.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Environment, admission,
    ast::{Element, Entry, Expr, Fold, Id, Kind, Literal},
    declare,
    lex::Fault,
    types::{Struct, Type},
    unify::{Known, most_general},
};

/// What is known of an expression that checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) types: Vec<Type>,
    /// Of calls, the ids of the overloads that they may mean.
    pub(super) overloads: Vec<Vec<&'static str>>,
    /// Of the environment's variables, those that are read.
    pub(super) used: BTreeSet<String>,
}

struct Checker<'a> {
    variables: &'a BTreeMap<String, Type>,
    /// Whether the types that patches are made of are known.
    patches: bool,
    /// Variables of loops, the innermost last.
    scopes: Vec<(String, Type)>,
    known: Known,
    checked: Checked,
    faults: Vec<Fault>,
}

/// Checks an expression; names that turn out to be qualified become one node in it.
pub(super) fn check(
    expr: &mut Expr,
    nodes: usize,
    environment: &Environment,
) -> Result<Checked, Vec<Fault>> {
    let mut checker = Checker {
        variables: &environment.variables,
        patches: environment.patches,
        scopes: Vec::new(),
        known: Known::default(),
        checked: Checked {
            types: vec![Type::Error; nodes],
            overloads: vec![Vec::new(); nodes],
            used: BTreeSet::new(),
        },
        faults: Vec::new(),
    };
    checker.check(expr);
    if !checker.faults.is_empty() {
        return Err(checker.faults);
    }
    let Checker {
        mut checked, known, ..
    } = checker;
    for of in &mut checked.types {
        *of = known.substitute(of, true);
    }
    Ok(checked)
}

impl Checker<'_> {
    fn fault(&mut self, at: usize, message: String) {
        self.faults.push(Fault { at, message });
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Type {
        self.fault(
            at,
            format!("undeclared reference to '{name}' (in container '')"),
        );
        Type::Error
    }

    fn mismatch(&mut self, at: usize, expected: &Type, found: &Type) {
        self.fault(
            at,
            format!("expected type '{expected}' but found '{found}'"),
        );
    }

    fn type_of(&self, id: Id) -> Type {
        self.checked.types[id].clone()
    }

    fn check(&mut self, expr: &mut Expr) -> Type {
        let of = self.type_for(expr);
        self.checked.types[expr.id] = of.clone();
        of
    }

    fn type_for(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => match self.look_up(name) {
                Some(of) => of,
                None => {
                    let name = name.clone();
                    self.undeclared(at, &name)
                }
            },
            Kind::Select { .. } => self.select(expr),
            Kind::Call { .. } => self.call(expr),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct { name, fields } => {
                let name = name.clone();
                self.message(at, &name, fields)
            }
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    fn message(&mut self, at: usize, name: &str, fields: &mut [(String, usize, Element)]) -> Type {
        let made = self.patches && admission::is_made(name);
        for (field, colon, element) in fields {
            let found = self.check(&mut element.value);
            let found = self.held(&element.value, found, element.optional);
            let is_text = name == admission::PATCH && field != "value";
            if made && is_text && !self.known.assign(&Type::String, &found) {
                let message = format!(
                    "expected type of field '{field}' is 'string' but provided type is '{found}'"
                );
                self.fault(*colon, message);
            }
        }
        if made {
            return admission::made_type(name);
        }
        match self.look_up(name) {
            Some(_) => {
                self.fault(at, format!("'{name}' is not a message type"));
                Type::Error
            }
            None => self.undeclared(at, name),
        }
    }

    fn look_up(&mut self, name: &str) -> Option<Type> {
        if let Some((_, of)) = self.scopes.iter().rev().find(|(known, _)| known == name) {
            return Some(of.clone());
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(of) = self.variables.get(name) {
            self.checked.used.insert(name.to_owned());
            return Some(of.clone());
        }
        declare::named_type(name).map(|of| Type::Type(Some(of.into())))
    }

    fn select(&mut self, expr: &mut Expr) -> Type {
        let qualified = expr.qualified_name();
        if let Some((name, of)) = qualified.and_then(|name| Some((self.look_up(&name)?, name))) {
            expr.kind = Kind::Ident(of);
            return name;
        }
        let at = expr.at;
        let Kind::Select {
            operand,
            field,
            test,
        } = &mut expr.kind
        else {
            return Type::Error;
        };
        let test = *test;
        let of = self.field(at, operand, field, false);
        if test {
            return Type::Bool;
        }
        self.known.substitute(&of, false)
    }

    fn field(&mut self, at: usize, operand: &mut Expr, field: &mut String, optional: bool) -> Type {
        let of = self.check(operand);
        let of = self.known.substitute(&of, false);
        let (target, was_optional) = match of.optional_of() {
            Some(inner) => (inner.clone(), true),
            None => (of, false),
        };
        let result = match &target {
            Type::Map(_, values) => (**values).clone(),
            Type::Struct(object) if self.patches && admission::is_made(&object.name) => Type::Dyn,
            Type::Struct(object) => self.declared_field(at, object, field),
            Type::Param(_) => {
                self.known.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            other => {
                self.fault(
                    at,
                    format!("type '{other}' does not support field selection"),
                );
                Type::Dyn
            }
        };
        if optional || was_optional {
            Type::optional(result)
        } else {
            result
        }
    }

    fn declared_field(&mut self, at: usize, object: &Struct, field: &mut String) -> Type {
        // A field whose name is a keyword may be written as it is after a dot.
        let keyword = format!("__{field}__");
        if !object.fields.contains_key(field) && object.fields.contains_key(&keyword) {
            *field = keyword;
        }
        match object.fields.get(field) {
            Some(of) => of.clone(),
            None => {
                self.fault(at, format!("undefined field '{field}'"));
                Type::Error
            }
        }
    }

    fn call(&mut self, expr: &mut Expr) -> Type {
        let (id, at) = (expr.id, expr.at);
        let Kind::Call {
            function,
            target,
            args,
        } = &mut expr.kind
        else {
            return Type::Error;
        };
        if function == "_?._" {
            self.checked.overloads[id] = vec!["select_optional_field"];
            return self.optional_select(at, args);
        }
        for arg in args.iter_mut() {
            self.check(arg);
        }
        if let Some(of) = target.as_ref() {
            let qualified = of.qualified_name().map(|name| format!("{name}.{function}"));
            match qualified.filter(|name| self.overloads(name).is_some()) {
                Some(name) => (*function, *target) = (name, None),
                None => {
                    self.check(target.as_mut().expect("the call has a target"));
                }
            }
        }
        let function = function.strip_prefix('.').unwrap_or(function).to_owned();
        let Some(overloads) = self.overloads(&function) else {
            return self.undeclared(at, &function);
        };
        let member = target.is_some();
        let given: Vec<(usize, Type)> = target
            .iter()
            .map(|target| &**target)
            .chain(args.iter())
            .map(|arg| (arg.at, self.type_of(arg.id)))
            .collect();
        if matches!(function.as_str(), "_&&_" | "_||_") {
            return self.logical(id, &function, &given);
        }
        let of = self.resolve(id, overloads, member, &given);
        of.unwrap_or_else(|| {
            let types: Vec<Type> = given
                .iter()
                .map(|(_, of)| self.known.substitute(of, true))
                .collect();
            let signature = signature(&types, member);
            self.fault(
                at,
                format!("found no matching overload for '{function}' applied to '{signature}'"),
            );
            Type::Error
        })
    }

    /// The overloads of a function that is known here.
    fn overloads(&self, function: &str) -> Option<&'static [declare::Overload]> {
        let known = self.patches || !function.starts_with("jsonpatch.");
        known.then(|| declare::overloads(function)).flatten()
    }

    fn logical(&mut self, id: Id, function: &str, given: &[(usize, Type)]) -> Type {
        let mut result = Type::Bool;
        for (at, of) in given {
            if !self.known.assign(of, &Type::Bool) {
                self.mismatch(*at, &Type::Bool, of);
                result = Type::Error;
            }
        }
        let id_of_overload = if function == "_&&_" {
            "logical_and"
        } else {
            "logical_or"
        };
        self.checked.overloads[id] = vec![id_of_overload];
        result
    }

    fn resolve(
        &mut self,
        id: Id,
        overloads: &'static [declare::Overload],
        member: bool,
        given: &[(usize, Type)],
    ) -> Option<Type> {
        let given: Vec<Type> = given.iter().map(|(_, of)| of.clone()).collect();
        let mut result: Option<Type> = None;
        for overload in overloads
            .iter()
            .filter(|overload| overload.member == member)
        {
            let (params, returned) = self.instance(overload);
            if !self.known.assign_all(&given, &params) {
                continue;
            }
            self.checked.overloads[id].push(&overload.id);
            let of = self.known.substitute(&returned, false);
            result = Some(match result {
                None => of,
                Some(before) if before != Type::Dyn && before != of => Type::Dyn,
                Some(before) => before,
            });
        }
        result
    }

    /// The signature with parameters of its own.
    fn instance(&mut self, overload: &declare::Overload) -> (Vec<Type>, Type) {
        let mut own = Instance {
            known: &mut self.known,
            of: Vec::new(),
        };
        let params = overload.params.iter().map(|of| own.rename(of)).collect();
        (params, own.rename(&overload.result))
    }

    fn optional_select(&mut self, at: usize, args: &mut [Expr]) -> Type {
        let [operand, field] = args else {
            return Type::Error;
        };
        let Kind::Literal(Literal::String(name)) = &mut field.kind else {
            return Type::Error;
        };
        let of = self.field(at, operand, name, true);
        self.checked.types[field.id] = Type::String;
        self.known.substitute(&of, false)
    }

    fn list(&mut self, elements: &mut [Element]) -> Type {
        let mut of = None;
        for element in elements {
            let found = self.check(&mut element.value);
            let found = self.held(&element.value, found, element.optional);
            of = Some(self.join(element.value.at, of, found));
        }
        Type::list(of.unwrap_or_else(|| self.known.fresh()))
    }

    fn map(&mut self, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.check(&mut entry.key);
            keys = Some(self.join(entry.key.at, keys, key));
            let value = self.check(&mut entry.value);
            let value = self.held(&entry.value, value, entry.optional);
            values = Some(self.join(entry.value.at, values, value));
        }
        let keys = keys.unwrap_or_else(|| self.known.fresh());
        Type::map(keys, values.unwrap_or_else(|| self.known.fresh()))
    }

    /// What an optional element adds: the type in its optional.
    fn held(&mut self, value: &Expr, found: Type, optional: bool) -> Type {
        if !optional || found == Type::Dyn {
            return found;
        }
        match found.optional_of() {
            Some(inner) => inner.clone(),
            None => {
                self.mismatch(value.at, &Type::optional(found.clone()), &found);
                found
            }
        }
    }

    fn join(&mut self, at: usize, before: Option<Type>, next: Type) -> Type {
        let Some(before) = before else {
            return next;
        };
        if self.known.assign(&before, &next) {
            return most_general(&before, &next);
        }
        self.mismatch(at, &before, &next);
        Type::Error
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        let range = self.check(&mut fold.range);
        let accumulated = self.check(&mut fold.start);
        let range = self.known.substitute(&range, false);
        let two = fold.variable_second.is_some();
        let (first, second) = match &range {
            Type::List(items) if two => (Type::Int, (**items).clone()),
            Type::List(items) => ((**items).clone(), Type::Dyn),
            Type::Map(keys, values) => ((**keys).clone(), (**values).clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.known.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.fault(fold.range.at, message);
                (Type::Error, Type::Error)
            }
        };
        let depth = self.scopes.len();
        self.scopes
            .push((fold.accumulator.clone(), accumulated.clone()));
        self.scopes.push((fold.variable.clone(), first));
        if let Some(name) = &fold.variable_second {
            self.scopes.push((name.clone(), second));
        }
        self.check_is(&mut fold.condition, &Type::Bool);
        self.check_is(&mut fold.step, &accumulated);
        self.scopes.truncate(depth + 1);
        let of = self.check(&mut fold.result);
        self.scopes.truncate(depth);
        self.known.substitute(&of, false)
    }

    fn check_is(&mut self, expr: &mut Expr, wanted: &Type) {
        let found = self.check(expr);
        if !self.known.assign(wanted, &found) {
            self.mismatch(expr.at, wanted, &found);
        }
    }
}

/// Gives the parameters of one signature fresh names.
struct Instance<'a> {
    known: &'a mut Known,
    of: Vec<(Type, Type)>,
}

impl Instance<'_> {
    fn rename(&mut self, of: &Type) -> Type {
        match of {
            Type::Param(_) => {
                if let Some((_, own)) = self.of.iter().find(|(param, _)| param == of) {
                    return own.clone();
                }
                let own = self.known.fresh();
                self.of.push((of.clone(), own.clone()));
                own
            }
            Type::List(items) => Type::list(self.rename(items)),
            Type::Map(keys, values) => Type::map(self.rename(keys), self.rename(values)),
            Type::Type(Some(of)) => Type::Type(Some(self.rename(of).into())),
            Type::Opaque(name, parts) => Type::Opaque(
                name.clone(),
                parts.iter().map(|part| self.rename(part)).collect(),
            ),
            other => other.clone(),
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// The types that a call was given, as messages say them.
fn signature(types: &[Type], member: bool) -> String {
    let (target, args) = types.split_at(usize::from(member));
    let target: String = target.iter().map(|of| format!("{of}.")).collect();
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    format!("{target}({})", args.join(", "))
}
