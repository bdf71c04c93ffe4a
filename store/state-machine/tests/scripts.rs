//! Scripts of commands and reads, checked against the text they gave when last looked at.
//!
//! A line of a script is one step. `> ` begins its answer. `REWRITE=1` writes the answers anew.

use crate::script::Runner;

/// Every line that is no answer, followed by its answers.
fn run(script: &str) -> String {
    let mut runner = Runner::new();
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for answer in runner.step(line) {
            out.push_str(&format!("> {answer}\n"));
        }
    }
    out
}

#[test]
fn scripts_give_the_answers_written_in_them() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let script = std::fs::read_to_string(&path).unwrap();
        let answered = run(&script);
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&path, &answered).unwrap();
        } else {
            assert_eq!(answered, script, "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 6, "only {count} scripts were found");
}
