//! What holds for Rust files: a first line that says what the file is for, a length one can read, one door per library.

use super::Findings;
use super::files::File;

const LINES_LONG: usize = 500;
const LINES_MAX: usize = 800;

/// Generators' and compilers' marks of unfinished work.
const UNFINISHED: [&str; 3] = ["todo!(", "unimplemented!(", "dbg!("];

/// A library that is used in one place of the house.
struct Door {
    names: &'static [&'static str],
    /// Beginnings of paths.
    places: &'static [&'static str],
}

const DOORS: &[Door] = &[
    Door {
        names: &["openraft"],
        places: &["store/src/raft"],
    },
    Door {
        names: &["rocksdb"],
        places: &["store/state-machine/src/disk"],
    },
    Door {
        names: &[
            "etcdserverpb",
            "mvccpb",
            "v3lockpb",
            "v3electionpb",
            "authpb",
        ],
        places: &[
            "proto/",
            "store/src/grpc",
            "store/tests/",
            "benches/",
            "chaos/",
            "interop/",
            "mainstay/src/ctl",
            "mainstay/src/client",
            "apiserver/src/storage",
            "apiserver/tests/",
        ],
    },
    // Whoever links it has libc's functions replaced in its own process. It is preloaded, never called.
    Door {
        names: &["power_shim"],
        places: &["chaos/shim/"],
    },
];

pub(super) fn check(file: &File, findings: &mut Findings) {
    let path = &file.path;
    if !file.text.starts_with("//! ") {
        findings.error(path, "the first line must be `//!` and one sentence");
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        findings.error(
            path,
            format!("{lines} lines, more than {LINES_MAX}: split it by idea"),
        );
    } else if lines > LINES_LONG {
        findings.warning(path, format!("{lines} lines, more than {LINES_LONG}"));
    }
    for (number, line) in file.text.lines().enumerate() {
        let code = code_of(line);
        let place = || format!("{path}:{}", number + 1);
        for door in DOORS {
            let name = door.names.iter().find(|name| uses(code, name));
            if let Some(name) = name
                && !door.places.iter().any(|start| path.starts_with(start))
            {
                findings.error(
                    place(),
                    format!("{name} belongs in {}", door.places.join(", ")),
                );
            }
        }
        if let Some(mark) = UNFINISHED.iter().find(|mark| code.contains(**mark)) {
            findings.error(place(), format!("{mark}) must not land"));
        }
    }
}

/// The line without its comment and without what stands in quotes.
fn code_of(line: &str) -> &str {
    let code = line.split("//").next().unwrap_or_default();
    code.split('"').next().unwrap_or_default()
}

/// Whether `name` stands in a path or an import, as a whole word.
fn uses(code: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let imports = code
        .trim_start()
        .trim_start_matches("pub ")
        .starts_with("use ");
    code.match_indices(name).any(|(start, _)| {
        let (before, behind) = (&code[..start], &code[start + name.len()..]);
        let whole = !before.ends_with(part_of_word) && !behind.starts_with(part_of_word);
        whole && (imports || before.ends_with("::") || behind.starts_with("::"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(
            &File {
                path: path.to_owned(),
                text: text.to_owned(),
            },
            &mut findings,
        );
        findings.errors
    }

    #[test]
    fn a_library_behind_another_door_is_found() {
        for code in [
            "use openraft::Raft;",
            "use openraft as o;",
            "let r = openraft::Raft::new();",
        ] {
            let text = format!("//! Text.\n{code}\n");
            assert_eq!(errors("store/src/replica.rs", &text).len(), 1, "{code}");
            assert!(errors("store/src/raft/log.rs", &text).is_empty(), "{code}");
        }
        let text = "//! Text.\nuse proto::{mvccpb, server};\nfn f() -> proto::etcdserverpb {}\n";
        assert_eq!(errors("store/src/replica.rs", text).len(), 2);
    }

    #[test]
    fn words_in_comments_texts_and_names_are_no_use() {
        let text = "//! About openraft::Raft.\n// rocksdb::DB\nlet a = \"openraft::x\";\nlet my_openraft = 1;\n";
        assert!(errors("store/src/replica.rs", text).is_empty());
    }

    #[test]
    fn unfinished_work_and_missing_first_lines_are_found() {
        let mark = ["to", "do!()"].concat();
        assert_eq!(errors("a.rs", &format!("fn f() {{ {mark} }}\n")).len(), 2);
    }

    #[test]
    fn long_files_are_found() {
        let text = format!("//! Text.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(errors("a.rs", &text).len(), 1);
    }
}
