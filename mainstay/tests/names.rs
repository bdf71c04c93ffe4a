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

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    for words in [&["ctl", "version"][..], &["version"], &["help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(PROGRAM)
            .args(words)
            .env_clear()
            .stdout(writer)
            .output()
            .unwrap();
        // As a shell shows the end by SIGPIPE.
        assert_eq!(output.status.code(), Some(141), "{words:?}");
        assert_eq!(output.stderr, b"", "{words:?}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(PROGRAM)
        .arg("version")
        .env_clear()
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.starts_with("mainstay: cannot write to standard output: No space left"),
        "{errors}"
    );
}
