//! Random sources and programs: nothing panics, and everything ends within its budget.

use objects::cel::{Bindings, Budget, CALL_COST_MAX, Environment, EvalError, Program, Type, Value};
use proptest::prelude::*;

fn environment() -> Environment {
    Environment {
        variables: [("self".to_owned(), Type::List(Type::Int.into()))].into(),
        patches: true,
    }
}

/// Runs what checks, and holds it to the limit of one call.
fn run(source: &str) {
    let Ok(program) = Program::compile(source, &environment()) else {
        return;
    };
    let items: Vec<Value> = (0..20).map(Value::Int).collect();
    let bindings = Bindings::from([("self".to_owned(), items.into())]);
    let mut budget = Budget::default();
    let before = budget.left;
    let outcome = program.evaluate(&bindings, &mut budget);
    let spent = before - budget.left;
    if spent > CALL_COST_MAX {
        assert_eq!(outcome, Err(EvalError::TooCostly), "{source}");
    }
}

fn operand() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "self",
        "1",
        "0",
        "-3",
        "'a'",
        "b'z'",
        "2.5",
        "3u",
        "true",
        "false",
        "null",
        "x",
        "y",
        "[]",
        "{}",
        "9223372036854775807",
        "duration('1h')",
        "timestamp('2020-01-01T00:00:00Z')",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 64, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in",
        ]);
        let method = prop::sample::select(vec![
            "size()",
            "map(x, x)",
            "all(x, x > 1)",
            "filter(x, x == y)",
            "exists(x, y, x == y)",
            "sum()",
            "sort()",
            "reverse()",
            "flatten()",
            "substring(1)",
            "split('')",
            "map(y, self.map(x, x + y))",
            "matches('a+')",
            "getHours()",
            "?a",
            "a",
            "hasValue()",
            "transformMap(x, y, y)",
            "optMap(x, x + 1)",
            "join(',')",
            "distinct()",
            "format([1])",
        ]);
        prop_oneof![
            (two.clone(), operator)
                .prop_map(|((left, right), by)| format!("({left} {by} {right})")),
            (inner.clone(), method).prop_map(|(of, method)| format!("{of}.{method}")),
            two.clone().prop_map(|(of, key)| format!("{of}[{key}]")),
            two.clone()
                .prop_map(|(left, right)| format!("[{left}, {right}]")),
            two.clone()
                .prop_map(|(key, value)| format!("{{{key}: {value}}}")),
            (two, inner.clone())
                .prop_map(|((when, then), other)| format!("({when} ? {then} : {other})")),
            inner.prop_map(|of| format!("string({of})")),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_is_refused_without_panic(source in ".{0,200}") {
        run(&source);
    }

    #[test]
    fn words_in_any_order_do_no_harm(words in prop::collection::vec(prop::sample::select(vec![
        "self", "(", ")", "[", "]", "{", "}", ".", "?", ":", "+", "-", "!", "'a", "'", "\\", "1", "1e9", "0x",
        "u", "in", "has", "all", "x", ",", "&&", "||", "==", "r'", "b\"", "`a`", "//", "\n", "é", "map",
    ]), 0..40)) {
        run(&words.join(" "));
        run(&words.concat());
    }

    #[test]
    fn what_checks_ends_within_its_budget(source in operand()) {
        run(&source);
        run(&format!("self.map(y, {source})"));
        run(&format!("self.exists(x, self.all(y, {source} == x))"));
    }
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    for source in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        "-".repeat(10_000) + "x",
        format!("1{}", " + 1".repeat(10_000)),
        format!("self{}", ".a".repeat(10_000)),
        format!("self{}", ".optMap(x, x)".repeat(40)),
        "[".repeat(10_000),
    ] {
        assert!(Program::compile(&source, &environment()).is_err());
    }
}

#[test]
fn long_chains_of_one_logical_operator_are_fine() {
    let source = format!("true{}", " && true".repeat(2_000));
    let program = Program::compile(&source, &environment()).expect("the chain is balanced");
    let outcome = program.evaluate(&Bindings::new(), &mut Budget::default());
    assert_eq!(outcome, Ok(Value::Bool(true)));
}

#[test]
fn a_call_that_costs_too_much_is_cut_off() {
    let source = "self.map(a, self.map(b, self.map(c, self.map(d, self.map(e, a)))))";
    let program = Program::compile(source, &environment()).expect("the source checks");
    let items: Vec<Value> = (0..30).map(Value::Int).collect();
    let bindings = Bindings::from([("self".to_owned(), items.into())]);
    let outcome = program.evaluate(&bindings, &mut Budget::default());
    assert_eq!(outcome, Err(EvalError::TooCostly));
}
