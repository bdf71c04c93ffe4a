//! The first word and the program's own name choose what the binary is.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay");

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .env_clear()
        .output()
        .expect("the test's own set-up")
}

#[test]
fn under_the_name_etcd_it_is_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = folder.path().join("etcd");
    symlink(PROGRAM, &etcd).unwrap();
    let output = Command::new(&etcd)
        .arg("--version")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"etcd Version: 3."), "{output:?}");
    let output = Command::new(&etcd)
        .arg("--no-such-flag")
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        output
            .stderr
            .starts_with(b"flag provided but not defined: -no-such-flag\nUsage:")
    );
}

#[test]
fn an_unknown_command_is_named() {
    let output = run(&["stor"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        output
            .stderr
            .starts_with(b"mainstay: unknown command \"stor\""),
        "{output:?}"
    );
}

#[test]
fn settings_that_cannot_be_end_with_one() {
    let output = run(&["store", "--heartbeat-interval=900"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("should be at least as 5 times as"),
        "{errors}"
    );
}

#[test]
fn a_client_without_a_server_says_so() {
    let output = run(&["ctl", "--endpoints", "127.0.0.1:1", "get", "a"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.starts_with("Error: no endpoint can be reached"),
        "{errors}"
    );
}
