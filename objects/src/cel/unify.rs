//! What is known of type parameters while an expression is checked, and whether one type may stand for another.

use std::{collections::HashMap, sync::Arc};

use super::types::Type;

/// What parameters have been found to be. Its decisions are upstream's (cel-go's checker), as its error texts depend on them.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    of: HashMap<Arc<str>, Type>,
    parameters: usize,
}

impl Known {
    /// A parameter that nothing is known of.
    pub(super) fn fresh(&mut self) -> Type {
        let name = format!("_var{}", self.parameters);
        self.parameters += 1;
        Type::Param(name.into())
    }

    fn find(&self, of: &Type) -> Option<&Type> {
        match of {
            Type::Param(name) => self.of.get(name),
            _ => None,
        }
    }

    /// Whether a value of the second type may stand where the first is asked; what that says of parameters is kept if so.
    pub(super) fn assign(&mut self, to: &Type, from: &Type) -> bool {
        self.assign_all(std::slice::from_ref(to), std::slice::from_ref(from))
    }

    pub(super) fn assign_all(&mut self, to: &[Type], from: &[Type]) -> bool {
        let mut known = self.clone();
        let fits = known.all_fit(to, from);
        if fits {
            *self = known;
        }
        fits
    }

    fn all_fit(&mut self, to: &[Type], from: &[Type]) -> bool {
        to.len() == from.len() && to.iter().zip(from).all(|(to, from)| self.fits(to, from))
    }

    fn fits(&mut self, to: &Type, from: &Type) -> bool {
        if matches!(from, Type::Param(_)) {
            match self.substitution(to, from) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if matches!(to, Type::Param(_)) {
            return self.substitution(from, to).0;
        }
        if to.is_dyn_or_error() || from.is_dyn_or_error() {
            return true;
        }
        match (to, from) {
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(to), Type::List(from)) => self.fits(to, from),
            (Type::Map(to_keys, to_values), Type::Map(from_keys, from_values)) => {
                self.fits(to_keys, from_keys) && self.fits(to_values, from_values)
            }
            (Type::Opaque(to_name, to), Type::Opaque(from_name, from)) => {
                to_name == from_name && self.all_fit(to, from)
            }
            (Type::Struct(to), Type::Struct(from)) => to.name == from.name,
            (to, from) => to == from,
        }
    }

    /// Whether a parameter may be this type, and whether something was known of it before.
    fn substitution(&mut self, of: &Type, parameter: &Type) -> (bool, bool) {
        if of == parameter {
            return (true, true);
        }
        if let Some(known) = self.find(parameter).cloned() {
            if of == &known {
                return (true, true);
            }
            if !self.fits(of, &known) {
                return (false, true);
            }
            let general = most_general(of, &known);
            if self.not_within(parameter, &general) {
                self.learn(parameter, general);
            }
            return (true, true);
        }
        if self.not_within(parameter, of) {
            self.learn(parameter, of.clone());
            return (true, false);
        }
        (false, false)
    }

    fn learn(&mut self, parameter: &Type, of: Type) {
        if let Type::Param(name) = parameter {
            self.of.insert(name.clone(), of);
        }
    }

    fn not_within(&self, parameter: &Type, within: &Type) -> bool {
        if parameter == within {
            return false;
        }
        if let Type::Param(_) = within {
            return self
                .find(within)
                .is_none_or(|known| self.not_within(parameter, known));
        }
        within
            .parts()
            .iter()
            .all(|part| self.not_within(parameter, part))
    }

    /// The type with what is known in place of its parameters; at the end, what nothing is known of is `dyn`.
    pub(super) fn substitute(&self, of: &Type, at_end: bool) -> Type {
        if let Some(known) = self.find(of) {
            return self.substitute(known, at_end);
        }
        match of {
            Type::Param(_) if at_end => Type::Dyn,
            Type::List(items) => Type::list(self.substitute(items, at_end)),
            Type::Map(keys, values) => Type::map(
                self.substitute(keys, at_end),
                self.substitute(values, at_end),
            ),
            Type::Type(Some(of)) => Type::Type(Some(Arc::new(self.substitute(of, at_end)))),
            Type::Opaque(name, parts) => Type::Opaque(
                name.clone(),
                parts
                    .iter()
                    .map(|part| self.substitute(part, at_end))
                    .collect(),
            ),
            other => other.clone(),
        }
    }
}

fn nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Null | Type::Opaque(..) | Type::Struct(_) | Type::Timestamp | Type::Duration
    )
}

/// The one of two types that agree which says less.
pub(super) fn most_general(first: &Type, second: &Type) -> Type {
    if says_less(first, second) {
        first.clone()
    } else {
        second.clone()
    }
}

fn says_less(first: &Type, second: &Type) -> bool {
    if matches!(first, Type::Dyn | Type::Param(_)) {
        return true;
    }
    match (first, second) {
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::Type(_), Type::Type(_)) => true,
        (Type::List(_), Type::List(_)) | (Type::Map(..), Type::Map(..)) => {
            parts_say_less(first, second)
        }
        (Type::Opaque(first_name, _), Type::Opaque(second_name, _)) => {
            first_name == second_name && parts_say_less(first, second)
        }
        (first, second) => first == second,
    }
}

fn parts_say_less(first: &Type, second: &Type) -> bool {
    let (first, second) = (first.parts(), second.parts());
    first.len() == second.len()
        && first
            .iter()
            .zip(second)
            .all(|(first, second)| says_less(first, second))
}
