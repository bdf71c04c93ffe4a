//! The language by itself: what expressions say, and what is said of those that are wrong.

use objects::cel::{Bindings, Budget, Environment, Program, Value};

fn evaluate(source: &str) -> Result<Value, String> {
    let program =
        Program::compile(source, &Environment::default()).map_err(|error| error.to_string())?;
    program
        .evaluate(&Bindings::new(), &mut Budget::default())
        .map_err(|error| error.to_string())
}

#[test]
fn every_line_of_true_expressions_is_true() {
    let wrong: Vec<String> = include_str!("cel/true.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| evaluate(line) != Ok(Value::Bool(true)))
        .map(|line| format!("{line}: {:?}", evaluate(line)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_failing_expression_fails_in_upstream_s_words() {
    for pair in include_str!("cel/errors.txt").split("\n\n") {
        let Some((source, message)) = pair.trim().split_once('\n') else {
            continue;
        };
        let failure = evaluate(source).expect_err(source);
        assert_eq!(failure, message, "{source}");
    }
}
