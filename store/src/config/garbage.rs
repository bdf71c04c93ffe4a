//! Flags, variables and configuration files that mean nothing: refused with a text, never with a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Config;
use super::table::FLAGS;

fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(FLAGS.iter().map(|flag| flag.name).collect::<Vec<_>>());
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn value() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "true",
        "0",
        "-1",
        "18446744073709551616",
        "1h30m",
        "http://",
        "https://[::1]:0",
        "a=b,c",
        "a=http://127.0.0.1:1",
        "new",
        "existing",
        "\u{0}",
        "{}",
        "nan",
    ];
    prop_oneof![
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        ".{0,20}"
    ]
}

fn argument() -> impl Strategy<Value = String> {
    let flag = (name(), value()).prop_map(|(name, value)| format!("--{name}={value}"));
    prop_oneof![4 => flag, 1 => ".{0,20}"]
}

fn refused_with_a_text(arguments: Vec<String>, environment: Vec<(String, String)>) {
    if let Err(error) = Config::parse(arguments, environment) {
        assert!(!error.message().trim().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn command_lines(arguments in vec(argument(), 0..6)) {
        refused_with_a_text(arguments, Vec::new());
    }

    #[test]
    fn variables(pairs in vec((name(), value()), 0..4)) {
        let variable = |(name, value): (String, String)| {
            (format!("ETCD_{}", name.replace('-', "_").to_uppercase()), value)
        };
        refused_with_a_text(Vec::new(), pairs.into_iter().map(variable).collect());
    }

    #[test]
    fn files(pairs in vec((name(), value()), 0..6), tail in ".{0,30}") {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        std::fs::write(file.path(), lines.concat() + &tail).unwrap();
        refused_with_a_text(vec![format!("--config-file={}", file.path().display())], Vec::new());
    }
}
