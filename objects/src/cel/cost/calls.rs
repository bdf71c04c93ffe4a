//! What calls may cost, by function and overload, and how large what they return may be.

use super::{Arg, Estimator, LIST, NONE, ONE, Range};
use crate::cel::{
    ast::{Expr, Kind, Literal},
    types::Type,
};

/// How long upstream takes the patterns of named formats to be.
const FORMAT_PATTERN: f64 = 128.0;

/// How many bytes an address has.
const ADDRESS: Range = Range { min: 4, max: 16 };

/// The cost of one overload, and the size of its result where it says more than the type.
struct Call {
    cost: Range,
    size: Option<Range>,
}

impl From<Range> for Call {
    fn from(cost: Range) -> Call {
        Call { cost, size: None }
    }
}

impl<'a> Estimator<'a> {
    pub(super) fn call(&mut self, expr: &'a Expr) -> Range {
        let Kind::Call {
            function,
            target,
            args,
        } = &expr.kind
        else {
            return NONE;
        };
        if let ("dyn", [inner]) = (function.as_str(), args.as_slice()) {
            let cost = self.cost(inner);
            self.copy_sizes(expr, inner);
            return ONE.plus(cost);
        }
        let args: Vec<Arg<'a>> = args.iter().map(|arg| self.arg(arg)).collect();
        let overloads = self.checked.overloads[expr.id].clone();
        if overloads.is_empty() {
            return NONE;
        }
        let target = target.as_deref().map(|target| self.arg(target));
        let mut sum = target.as_ref().map_or(NONE, |target| target.cost);
        let mut cost: Option<Range> = None;
        let mut size: Option<Range> = None;
        for overload in overloads {
            let call = self.overload(expr, (function, overload), target.as_ref(), &args);
            cost = Some(cost.map_or(call.cost, |cost| cost.union(call.cost)));
            if let Some(found) = call.size {
                size = Some(size.map_or(found, |size| size.union(found)));
            }
            if let (Some(part), Some(of)) = (index_part(overload), args.first()) {
                size = self.entries_of(of.expr).map(|entries| entries.value);
                let mut place = self.place(of.expr);
                place.push(part.to_owned());
                self.places[expr.id] = place;
            }
            if size.is_none() {
                size = self.size(expr);
            }
        }
        if size.is_some() {
            self.sizes[expr.id] = size;
        }
        sum = sum.plus(cost.unwrap_or(NONE));
        sum
    }

    fn arg(&mut self, expr: &'a Expr) -> Arg<'a> {
        let cost = self.cost(expr);
        Arg {
            expr,
            place: self.place(expr),
            size: self.size(expr),
            cost,
        }
    }

    fn overload(
        &mut self,
        expr: &Expr,
        (function, overload): (&str, &str),
        target: Option<&Arg<'_>>,
        args: &[Arg<'_>],
    ) -> Call {
        match (overload, args) {
            ("logical_and" | "logical_or", [left, right]) => {
                return Range {
                    min: left.cost.min,
                    max: left.cost.plus(right.cost).max,
                }
                .into();
            }
            ("conditional", [condition, truthy, falsy]) => {
                let entries = self
                    .entries_of(truthy.expr)
                    .zip(self.entries_of(falsy.expr));
                if let Some((left, right)) = entries {
                    self.entries[expr.id] = Some(left.union(right));
                }
                return Call {
                    cost: condition.cost.plus(truthy.cost.union(falsy.cost)),
                    size: Some(known(truthy).union(known(falsy))),
                };
            }
            ("add_list" | "add_string" | "add_bytes", [left, right]) => {
                let entries = self.entries_of(left.expr).zip(self.entries_of(right.expr));
                if let Some((left, right)) = entries {
                    self.entries[expr.id] = Some(left.union(right));
                }
            }
            _ => {}
        }
        let mut call = list_library(overload, target, args)
            .or_else(|| self.kubernetes(function, overload, target, args))
            .unwrap_or_else(|| standard(overload, target, args));
        call.cost = args.iter().fold(call.cost, |cost, arg| cost.plus(arg.cost));
        call
    }

    /// Kubernetes' libraries, whose costs go by the name of the function.
    fn kubernetes(
        &self,
        function: &str,
        overload: &str,
        target: Option<&Arg<'_>>,
        args: &[Arg<'_>],
    ) -> Option<Call> {
        let first = args.first().map(known);
        let tenth = |size: Range| Call::from(size.factor(0.1));
        Some(match function {
            "check" => Range::of(350_000).into(),
            "fieldSelector" | "labelSelector" => {
                let length = first?;
                let requirements = length.factor(0.5).factor(50.0);
                LIST.plus(length.factor(0.1)).plus(requirements).into()
            }
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                self.walk(target?).into()
            }
            "url" => Call {
                cost: first?.factor(0.1),
                size: first,
            },
            "lowerAscii" | "upperAscii" | "substring" | "trim" => Call {
                cost: known(target?).factor(0.1),
                size: Some(known(target?)),
            },
            "replace" => replace(known(target?), first?, known(args.get(1)?)),
            "split" => split(known(target?), args),
            "join" => self.join(target?, args),
            "find" | "findAll" => Call {
                cost: pattern(known(target?), first?),
                size: Some(Range {
                    min: 0,
                    max: known(target?).max,
                }),
            },
            "ip" if overload == "cidr_ip" => ONE.into(),
            "ip" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver"
            | "isSemver" => tenth(first?),
            "ip.isCanonical" => first?.factor(0.2).into(),
            "containsIP" | "containsCIDR" => contains(function, overload, first?).into(),
            "validate" => first?.factor(0.1).factor(FORMAT_PATTERN * 0.25).into(),
            "_==_" => self.equality(args)?.into(),
            _ => return None,
        })
    }

    /// Equality of two values of one of Kubernetes' own types.
    fn equality(&self, args: &[Arg<'_>]) -> Option<Range> {
        let [left, right] = args else {
            return None;
        };
        let of = &self.checked.types[left.expr.id];
        if of != &self.checked.types[right.expr.id] {
            return None;
        }
        match of {
            Type::Opaque(name, _) => match &**name {
                "kubernetes.NamedFormat" => Some(Range { min: 1, max: 64 }.factor(0.1)),
                "kubernetes.URL" => {
                    let most = right.size.map_or(1, |size| size.max);
                    Some(Range { min: 1, max: most }.factor(0.1))
                }
                name if name.starts_with("kubernetes.") || name.starts_with("net.") => Some(ONE),
                _ => None,
            },
            _ => None,
        }
    }

    fn walk(&self, target: &Arg<'_>) -> Range {
        let Some((of, place)) = self.element(target) else {
            return known(target).factor(0.1);
        };
        let mut each = ONE;
        if matches!(of, Type::String | Type::Bytes) {
            let size = self.size_at(&place).unwrap_or(Range::UNKNOWN);
            each = each.plus(size.factor(0.1));
        }
        known(target).times(each)
    }

    /// The type of what a list holds, and its place.
    fn element(&self, list: &Arg<'_>) -> Option<(Type, Vec<String>)> {
        let of = (*self.checked.types[list.expr.id].parts().first()?).clone();
        let mut place = list.place.clone();
        if !place.is_empty() {
            place.push("@items".to_owned());
        }
        Some((of, place))
    }

    fn join(&self, target: &Arg<'_>, args: &[Arg<'_>]) -> Call {
        let list = known(target);
        let mut size = NONE;
        if let Some((_, place)) = self.element(target) {
            size = list.times(self.size_at(&place).unwrap_or(Range::UNKNOWN));
        }
        if let Some(separator) = args.first() {
            let count = Range {
                min: list.min.saturating_sub(1),
                max: list.max.saturating_sub(1),
            };
            size = size.plus(known(separator).times(count));
        }
        Call {
            cost: size.factor(0.1),
            size: Some(size),
        }
    }
}

fn index_part(overload: &str) -> Option<&'static str> {
    match overload {
        "index_list" => Some("@items"),
        "index_map" => Some("@values"),
        _ => None,
    }
}

fn known(arg: &Arg<'_>) -> Range {
    arg.size.unwrap_or(Range::UNKNOWN)
}

fn pattern(text: Range, pattern: Range) -> Range {
    text.plus(ONE).factor(0.1).times(pattern.factor(0.25))
}

fn int_of(arg: &Arg<'_>) -> Option<u64> {
    match &arg.expr.kind {
        Kind::Literal(Literal::Int(number)) => Some(u64::try_from(*number).unwrap_or(0)),
        _ => None,
    }
}

fn replace(text: Range, old: Range, new: Range) -> Call {
    let (mut count, mut kept) = (NONE, NONE);
    if old.min == 0 {
        (count.max, kept.max) = (text.max.saturating_add(1), text.max);
    } else if new.max <= old.min {
        kept.max = text.max;
    } else {
        count.max = text.max.div_ceil(old.min);
    }
    if old.max == 0 {
        (count.min, kept.min) = (text.min.saturating_add(1), text.min);
    } else if old.max <= new.min {
        kept.min = text.min;
    } else {
        count.min = text.min.div_ceil(old.max);
    }
    Call {
        cost: text.factor(0.2),
        size: Some(count.times(new).plus(kept)),
    }
}

fn split(text: Range, args: &[Arg<'_>]) -> Call {
    let most = match args.get(1).map(|arg| &arg.expr.kind) {
        // A count below zero is a very large one.
        Some(Kind::Literal(Literal::Int(count))) => count.cast_unsigned(),
        _ => text.max,
    };
    Call {
        cost: text.factor(0.2),
        size: Some(Range { min: 0, max: most }),
    }
}

fn contains(function: &str, overload: &str, other: Range) -> Range {
    let mut cost = ADDRESS.plus(ADDRESS).factor(0.1);
    if function == "containsCIDR" {
        cost = cost.plus(ADDRESS.factor(0.1)).plus(ONE);
    }
    if overload.ends_with("_string") {
        cost = cost.plus(other.factor(0.1));
    }
    cost
}

/// What a call that sorts compares, and whether that is the list itself (`sort`) or a list of keys.
fn sort_of(overload: &str) -> Option<(&str, &str)> {
    let (kind, how) = overload.strip_prefix("list_")?.split_once('_')?;
    matches!(how, "sort" | "sortByAssociatedKeys").then_some((kind, how))
}

/// Calls that make lists, and sets.
fn list_library(overload: &str, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Call> {
    let makes = |factor: f64, size: Range| Call {
        cost: size.factor(factor).plus(ONE).plus(LIST),
        size: Some(size),
    };
    let sets = |factor: f64| {
        let [left, right] = args else {
            return None;
        };
        Some(
            known(left)
                .times(known(right))
                .factor(factor)
                .plus(ONE)
                .into(),
        )
    };
    Some(match overload {
        "list_sets_contains_list" | "list_sets_intersects_list" => return sets(1.0),
        "list_sets_equivalent_list" => return sets(2.0),
        "list_slice" => {
            let start = int_of(args.first()?).unwrap_or(0);
            let end = int_of(args.get(1)?).unwrap_or(known(target?).max);
            makes(1.0, Range::of(end.wrapping_sub(start)))
        }
        "list_flatten" | "list_flatten_int" => {
            let depth = args
                .first()
                .map_or(1, |arg| int_of(arg).unwrap_or(u64::MAX));
            makes(depth as f64, known(target?))
        }
        "lists_range" => makes(1.0, Range::of(int_of(args.first()?).unwrap_or(u64::MAX))),
        "list_reverse" => makes(1.0, known(target?)),
        "list_distinct" => makes(2.0, known(target?).times(known(target?))),
        sort if let Some((kind, how)) = sort_of(sort) => {
            let by = if how == "sort" { target } else { args.first() };
            let size = known(by?).times(known(by?));
            let text = matches!(kind, "string" | "bytes");
            makes(if text { 2.1 } else { 2.0 }, size)
        }
        _ => return None,
    })
}

/// The language's own functions, whose costs go by overload.
fn standard(overload: &str, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Call {
    match (overload, target, args) {
        ("string_format", Some(target), _) => known(target).factor(0.1).into(),
        ("string_to_bytes", _, [text]) => Call {
            cost: known(text).factor(0.1),
            size: Some(Range {
                min: known(text).min,
                max: known(text).max.wrapping_mul(4),
            }),
        },
        ("bytes_to_string", _, [bytes]) => Call {
            cost: known(bytes).factor(0.1),
            size: Some(Range {
                min: known(bytes).min / 4,
                max: known(bytes).max,
            }),
        },
        ("strings_quote", _, [text]) => Call {
            cost: known(text).factor(0.1),
            size: Some(Range {
                min: known(text).min.wrapping_add(2),
                max: known(text).max.wrapping_mul(2).wrapping_add(2),
            }),
        },
        ("starts_with_string" | "ends_with_string", _, [part]) => known(part).factor(0.1).into(),
        ("in_list", _, [_, list]) => known(list).into(),
        ("matches_string", Some(target), [source]) => pattern(known(target), known(source)).into(),
        ("contains_string", Some(target), [part]) => known(target)
            .factor(0.1)
            .times(known(part).factor(0.1))
            .into(),
        ("add_list", _, [left, right]) => Call {
            cost: ONE,
            size: Some(known(left).plus(known(right))),
        },
        ("add_string" | "add_bytes", _, [left, right]) => {
            let size = known(left).plus(known(right));
            Call {
                cost: size.factor(0.1),
                size: Some(size),
            }
        }
        (
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes"
            | "equals"
            | "not_equals",
            _,
            [left, right],
        ) => {
            let max = known(left).max.min(known(right).max);
            let min = u64::from(max > 0);
            Range { min, max }.factor(0.1).into()
        }
        _ => ONE.into(),
    }
}
